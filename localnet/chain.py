"""The chain: blocks that come by a clock, and what becomes of the transactions in them.

LiteSVM executes; everything in time is kept here, because it knows one block hash and no slots: the window of valid
block hashes, heights and skipped slots, which signatures were seen, and how final each block is. One thread uses it.
"""

import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from localnet import meta
from localnet.faults import Faults
from localnet.fees import price_of
from localnet.store import Block, Landed, Store

WINDOW = 150
"""Blocks after its own in which a block hash is valid, as on mainnet. Clients are told by `lastValidBlockHeight`."""
RECENT = 2 * WINDOW
"""Blocks for which a node knows statuses without a look into its history."""
FIRST_SLOT, FIRST_HEIGHT = 300_000_000, 280_000_000
SKIPS_EVERY = 20
"""Blocks, after which a leader misses its slot: a slot is no height."""
NOT_INCLUDED = frozenset(
    {
        "AlreadyProcessed",
        "BlockhashNotFound",
        "AccountNotFound",
        "SignatureFailure",
        "InsufficientFundsForFee",
        "InvalidAccountForFee",
    }
)
"""Errors for which a leader leaves a transaction out; any other is recorded and pays its fee."""
CONFIRMED_AFTER = 1


@dataclass
class Made:
    """A block that may be taken back still: the accounts it changed as they were before it, and its signatures."""

    block: Block
    before: dict[Pubkey, Account | None] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Queued:
    transaction: VersionedTransaction
    price: int
    """Micro-lamports a compute unit that it bids."""
    not_before: int = 0
    """A height."""


@dataclass(frozen=True)
class Seen:
    slot: int
    height: int
    err: Any


Watcher = Callable[[set[Pubkey], list[Landed]], None]


class Chain:
    def __init__(
        self,
        folder: Path,
        *,
        programs: Mapping[Pubkey, bytes],
        genesis: Callable[["Chain"], None],
        finalized_after: int = 1,
        genesis_hash: str | None = None,
    ) -> None:
        """`programs`: address → ELF file. `genesis(chain)` makes a new chain's accounts.

        `finalized_after`: how many blocks later one is final; `genesis_hash`: what it says instead of its own.
        """
        self._genesis_hash = genesis_hash
        self.finalized_after = finalized_after
        self.store = Store(folder)
        # Both are kept here, for longer.
        self.svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0)
        self.faults = Faults()
        self.watchers: list[Watcher] = []
        self.window: OrderedDict[str, int] = OrderedDict()
        """Block hash → the height of its block."""
        self.slots: dict[int, int] = {}
        """Height → slot, of recent blocks."""
        self.seen: dict[str, Seen] = {}
        self.queue: OrderedDict[str, Queued] = OrderedDict()
        self.bids: list[tuple[int, list[tuple[int, set[Pubkey]]]]] = []
        """(slot, [(price, accounts written)]) of the last blocks."""
        self.submissions = 0
        self._open: list[Made] = []
        self._changed: dict[Pubkey, Account | None] = {}
        for program, elf in programs.items():
            self.svm.add_program(program, elf)
        self._open_state(genesis)

    def _open_state(self, genesis: Callable[["Chain"], None]) -> None:
        known = self.store.meta()
        if known is None:
            self.slot, self.height, self.faucet = FIRST_SLOT, FIRST_HEIGHT, Keypair()
            self.store.begin_at(self.slot, self.height, bytes(self.faucet))
            genesis(self)
        else:
            self.slot, self.height, self.faucet = known[0], known[1], Keypair.from_bytes(known[2])
            for address, account in self.store.accounts():
                self.svm.set_account(address, account)
            for block in self.store.blocks(self.height - RECENT):
                self._remember(block)
            for signature, slot, height, err in self.store.statuses(self.height - RECENT):
                self.seen[signature] = Seen(slot, height, err)
        self.tick()

    @property
    def genesis_hash(self) -> str:
        return self._genesis_hash or str(Hash.hash(bytes(self.faucet.pubkey())))

    def close(self) -> None:
        self.store.close()

    # --- Accounts ----------------------------------------------------------------------------------------------------
    def get(self, address: Pubkey) -> Account | None:
        account = self.svm.get_account(address)
        return None if account is None or account.lamports == 0 else account

    def put(self, address: Pubkey, account: Account) -> None:
        """Sets an account without a transaction; it is part of the next block."""
        self._changed.setdefault(address, self.get(address))
        self.svm.set_account(address, account)

    # --- Blocks ------------------------------------------------------------------------------------------------------
    def tick(self) -> Block:
        """Makes one block of what is queued, the highest bids first. Raises `sqlite3.OperationalError`: none is made."""
        self.height += 1
        self.slot += 2 if self.height % SKIPS_EVERY == 0 else 1
        self.svm.warp_to_slot(self.slot)
        clock = self.svm.get_clock()
        clock.unix_timestamp = int(time.time())
        self.svm.set_clock(clock)
        digest = Hash.hash(f"{self.height}:{self.slot}:{time.time_ns()}".encode() + bytes(self.faucet.pubkey()))
        block = Block(self.height, self.slot, str(digest), int(time.time()))
        made, landed = Made(block, dict(self._changed)), list[Landed]()
        self._changed.clear()
        bids: list[tuple[int, set[Pubkey]]] = []
        due = sorted(self._due(), key=lambda queued: -queued.price)
        for queued in due:
            if done := self._execute(queued.transaction, len(landed), made):
                each, writable = done
                landed.append(each)
                bids.append((queued.price, writable))
        self.bids = [*self.bids, (self.slot, bids)][-WINDOW:]
        accounts = [(address, self.get(address)) for address in made.before]
        try:
            self.store.write(block, landed, accounts)
        except sqlite3.Error:
            self._take_back(made)
            raise
        self._remember(block)
        for each in landed:
            self.seen[each.signature] = Seen(each.slot, each.height, each.err)
        self._open = [*self._open, made][-self.finalized_after :] if self.finalized_after else []
        self._forget()
        for watcher in self.watchers:
            watcher(set(made.before), landed)
        return block

    def _due(self) -> list[Queued]:
        due = [queued for queued in self.queue.values() if queued.not_before <= self.height]
        for queued in due:
            del self.queue[str(queued.transaction.signatures[0])]
        return due

    def _remember(self, block: Block) -> None:
        self.window[block.blockhash] = block.height
        self.slots[block.height] = block.slot

    def _forget(self) -> None:
        while len(self.window) > RECENT + self.finalized_after:
            _, height = self.window.popitem(last=False)
            self.slots.pop(height, None)
        if len(self.seen) > 10_000:
            self.seen = {name: seen for name, seen in self.seen.items() if seen.height > self.height - RECENT}

    def _take_back(self, made: Made) -> dict[Pubkey, Account | None]:
        """The chain as it was before the block; the accounts that are other ones now."""
        for address, account in made.before.items():
            self.svm.set_account(address, account or Account(0, b"", Pubkey.default(), False))
        for signature in made.signatures:
            self.seen.pop(signature, None)
        self.window.pop(made.block.blockhash, None)
        self.slots.pop(made.block.height, None)
        self.height = made.block.height - 1
        return made.before

    def fork(self, count: int) -> int:
        """Takes the last `count` blocks back, as far as they are not final; how many they were.

        Their transactions are gone as if they had never come, and so are their block hashes. Slots go on.
        """
        taken = 0
        accounts: dict[Pubkey, Account | None] = {}
        while self._open and taken < count:
            taken += 1
            accounts |= self._take_back(self._open.pop())
        if taken:
            self.store.drop(self.height, self.slot, accounts.items())
        return taken

    # --- Transactions ------------------------------------------------------------------------------------------------
    def submit(self, transaction: VersionedTransaction, *, delay_blocks: int = 0) -> None:
        """Queues it for the next block or a later one; again: nothing more."""
        queued = Queued(transaction, price_of(transaction.message), self.height + delay_blocks)
        self.queue.setdefault(str(transaction.signatures[0]), queued)

    def withdraw(self, signature: str) -> None:
        """Takes a transaction out of the queue, where it still is."""
        self.queue.pop(signature, None)

    def at(self, commitment: str | None) -> int:
        """The height that a commitment has reached; `finalized` where none is named."""
        behind = {"processed": 0, "confirmed": min(CONFIRMED_AFTER, self.finalized_after)}
        return self.height - behind.get(commitment or "finalized", self.finalized_after)

    def is_valid(self, blockhash: str, commitment: str | None = "processed") -> bool:
        """Whether a transaction with the block hash may land in the next block, as a node of the commitment sees it."""
        height = self.window.get(blockhash)
        return height is not None and height <= self.at(commitment) and self.height + 1 <= height + WINDOW

    def _may_execute(self, transaction: VersionedTransaction) -> bool:
        """In the block that is being made, whose height is counted already."""
        signature = str(transaction.signatures[0])
        height = self.window.get(str(transaction.message.recent_blockhash))
        known = signature in self.seen or self.store.status(signature) is not None
        return height is not None and self.height <= height + WINDOW and not known

    def _execute(self, transaction: VersionedTransaction, place: int, made: Made) -> tuple[Landed, set[Pubkey]] | None:
        """None: a leader leaves it out without a trace."""
        if not self._may_execute(transaction):
            return None
        keys = meta.Keys(transaction.message, self.get)
        accounts = {key: self.get(key) for key in keys.writable}
        before = meta.lamports(keys.all, self.get), meta.token_balances(keys.all, self.get)
        result: Any = self.svm.send_transaction(transaction)
        err = error_of(result)
        if isinstance(err, str) and err in NOT_INCLUDED:
            return None
        for key, account in accounts.items():
            made.before.setdefault(key, account)
        signature = str(transaction.signatures[0])
        made.signatures.append(signature)
        told = meta.meta(keys, before, self.get, err, result.meta() if err is not None else result)
        names = tuple(str(key) for key in keys.all)
        landed = Landed(signature, self.slot, self.height, place, err, bytes(transaction), told, names)
        return landed, keys.writable

    def simulate(self, transaction: VersionedTransaction, *, verify: bool) -> tuple[Any, Any, dict[Pubkey, Account]]:
        """(error, the virtual machine's meta, accounts after it). Nothing changes."""
        if not verify:
            self.svm.with_sigverify(False)
        try:
            result: Any = self.svm.simulate_transaction(transaction)
        finally:
            self.svm.with_sigverify(True)
        err = error_of(result)
        return err, result.meta(), {} if err is not None else dict(result.post_accounts())


def error_of(result: Any) -> Any:
    """Solana's TransactionError in its JSON form; None: it succeeded."""
    return json.loads(result.to_json())["err"] if hasattr(result, "err") else None
