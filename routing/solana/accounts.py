"""Accounts as they stand: many addresses in one call, and nothing is asked twice within a moment."""

import asyncio
import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from solders.pubkey import Pubkey

from routing.solana.addresses import pubkey
from routing.solana.blockhash import COMMITMENT
from routing.solana.nodes import At, Nodes

MAX_ADDRESSES = 100
"""Of one `getMultipleAccounts`."""
MAX_AGE_S = 0.4
"""Of what is answered without a question: a slot. Whatever is computed from it, the chain checks the outcome."""
MAX_KEPT = 20_000


class _Account(msgspec.Struct):
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
        self._asking: set[asyncio.Task[None]] = set()

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
            loop.call_soon(self._ask_all, loop)
        made = self._wanted[address] = loop.create_future()
        return made

    def _ask_all(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted, self._wanted = self._wanted, {}
        addresses = list(wanted)
        for start in range(0, len(addresses), MAX_ADDRESSES):
            part = {address: wanted[address] for address in addresses[start : start + MAX_ADDRESSES]}
            task = loop.create_task(self._ask(part))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, wanted: "dict[Pubkey, asyncio.Future[Account | None]]") -> None:
        try:
            options = {"encoding": "base64", "commitment": COMMITMENT}
            names = [str(address) for address in wanted]
            answer = await self._nodes.read(At[list[_Account | None]], "getMultipleAccounts", names, options)
            for (address, future), raw in zip(wanted.items(), answer.value, strict=True):
                account = self._keep(address, _read(raw), answer.context.slot)
                if not future.done():
                    future.set_result(account)
        except Exception as error:
            for future in wanted.values():
                if not future.done():
                    future.set_exception(error)
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


def _read(raw: _Account | None) -> Account | None:
    if raw is None:
        return None
    return Account(pubkey(raw.owner), base64.b64decode(raw.data[0]), raw.lamports, datetime.now(UTC))
