"""Accounts as they stand: many addresses in one call, and nothing is asked twice within a moment."""

import asyncio
import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from solders.pubkey import Pubkey

from routing.http import NoAnswer
from routing.solana.addresses import pubkey
from routing.solana.blockhash import COMMITMENT
from routing.solana.nodes import MAX_BEHIND_SLOTS, NO_ANSWER, At, Nodes

MAX_ADDRESSES = 100
"""Of one `getMultipleAccounts`."""
MAX_AGE_S = 0.4
"""Of what is answered without a question: a slot. Whatever is computed from it, the chain checks the outcome."""
MAX_KEPT = 20_000


class RawAccount(msgspec.Struct):
    """As nodes write it."""

    data: tuple[str, str]
    owner: str
    lamports: int


@dataclass(frozen=True, slots=True)
class Account:
    owner: Pubkey
    data: bytes
    lamports: int
    seen_at: datetime


@dataclass(slots=True)
class _Kept:
    account: Account | None
    slot: int
    at: float


class Accounts:
    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._kept: dict[Pubkey, _Kept] = {}
        self._wanted: dict[Pubkey, asyncio.Future[Account | None]] = {}
        self._together: list[list[Pubkey]] = []
        """Of each question: what is to come out of one answer, as of one slot."""
        self._asking: set[asyncio.Task[None]] = set()

    def peek(self, address: Pubkey) -> Account | None:
        """What is known, however old."""
        kept = self._kept.get(address)
        return None if kept is None else kept.account

    def put(self, accounts: Mapping[Pubkey, Account], slot: int) -> None:
        """Takes in what a node tells by itself: accounts as of the end of a slot.

        A slot far ahead of what is known is none: what is kept under it would outlive every later answer.
        """
        known = (kept.slot for address in accounts if (kept := self._kept.get(address)) is not None)
        if slot - max(known, default=slot) > MAX_BEHIND_SLOTS:
            return
        for address, account in accounts.items():
            self._keep(address, account, slot)

    async def get(self, addresses: Iterable[Pubkey], *, max_age_s: float = MAX_AGE_S) -> dict[Pubkey, Account | None]:
        """Each account, None where there is none. Raises `RpcError`, `NoAnswer`."""
        now = time.monotonic()
        found: dict[Pubkey, Account | None] = {}
        waited: dict[Pubkey, asyncio.Future[Account | None]] = {}
        for address in addresses:
            kept = self._kept.get(address)
            if kept is not None and now - kept.at <= max_age_s:
                found[address] = kept.account
            else:
                waited[address] = self._want(address)
        if waited:
            self._together.append(list(waited))
            # Not `gather`: whoever is cancelled must not cancel the answer of the others who wait for it.
            await asyncio.wait(waited.values())
            found |= {address: answer.result() for address, answer in waited.items()}
        return found

    def forget(self) -> None:
        """Everything is asked for again."""
        self._kept.clear()

    def _want(self, address: Pubkey) -> "asyncio.Future[Account | None]":
        loop = asyncio.get_running_loop()
        wanted = self._wanted.get(address)
        if wanted is not None and wanted.get_loop() is loop:
            return wanted
        if not any(answer.get_loop() is loop for answer in self._wanted.values()):
            self._wanted.clear()
            self._together.clear()
            loop.call_soon(self._ask_all, loop)
        made = self._wanted[address] = loop.create_future()
        return made

    def _ask_all(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted, self._wanted, together, self._together = self._wanted, {}, self._together, []
        for part in parts(together):
            task = loop.create_task(self._ask({address: wanted[address] for address in part}))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, wanted: "dict[Pubkey, asyncio.Future[Account | None]]") -> None:
        try:
            options = {"encoding": "base64", "commitment": COMMITMENT}
            names = [str(address) for address in wanted]
            answer = await self._nodes.read(At[list[RawAccount | None]], "getMultipleAccounts", names, options)
            for (address, future), raw in zip(wanted.items(), answer.value, strict=True):
                account = self._keep(address, None if raw is None else account_of(raw), answer.context.slot)
                if not future.done():
                    future.set_result(account)
        except Exception as error:
            # Whatever a node says that is no account: nobody knows how the accounts stand.
            reason = error if isinstance(error, NO_ANSWER) else NoAnswer("a node answers something else than accounts")
            for future in wanted.values():
                if not future.done():
                    future.set_exception(reason)
                    future.exception()  # Seen, should its asker be gone.

    def _keep(self, address: Pubkey, account: Account | None, slot: int) -> Account | None:
        """What is known now: an answer from an older slot than the last one is a lagging node's."""
        kept, now = self._kept.get(address), time.monotonic()
        if kept is not None and kept.slot > slot:
            kept.at = now
            return kept.account
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[address] = _Kept(account, slot, now)
        return account


def parts(together: Iterable[Sequence[Pubkey]]) -> list[list[Pubkey]]:
    """Calls of at most `MAX_ADDRESSES`, each address once. What was asked for together is told by one call: the two vaults of a
    pool as of different slots would make a price that never was."""
    made, seen = [list[Pubkey]()], set[Pubkey]()
    for asked in together:
        new = [address for address in asked if address not in seen]
        seen.update(new)
        for start in range(0, len(new), MAX_ADDRESSES):
            piece = new[start : start + MAX_ADDRESSES]
            if len(made[-1]) + len(piece) > MAX_ADDRESSES:
                made.append([])
            made[-1] += piece
    return [part for part in made if part]


def account_of(raw: RawAccount) -> Account:
    """Raises `ValueError`."""
    return Account(pubkey(raw.owner), base64.b64decode(raw.data[0]), raw.lamports, datetime.now(UTC))
