"""The world in memory: a ledger with the fences of the SQL one, a chain, and a router to it, on a clock that the test sets.

Every call of an executor waits at its gate until it is let through, so that the model may stop it between any two.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from orders.events import ConfirmData
from orders.ids import uuid7
from orders.ledger.values import Attempts, Change, Claimed, Position
from orders.lifecycle import FINAL, Status
from orders.recovery.reconcile import released
from routing.mock import tokens
from routing.selection import select
from routing.values import Fate, Fill, Pair, Quote, Selection, Swap, SwapStatus, Validity, VenueName
from routing.venue import SubmitUnknown, SwapRefused
from routing.venues import RAYDIUM
from tests.factories import claim

START = datetime(2030, 1, 1, tzinfo=UTC)
VALID = timedelta(seconds=30)
LANDS_AFTER = timedelta(seconds=2)
MAX_ATTEMPTS = 3
PAIR = tokens.REGISTRY.pair("SOL", "USDC")
assert PAIR is not None


def height(at: datetime) -> Validity:
    """This chain measures validity in blocks, a million a second: no time that anybody else could compare with a clock."""
    return Validity((at - START) // timedelta(microseconds=1))


class ManualLoop(asyncio.SelectorEventLoop):
    """Its time is the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds

    def settle(self) -> None:
        """Runs whatever can run without the clock moving."""
        for _ in range(12):
            self.run_until_complete(asyncio.sleep(0))

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


@dataclass
class Gate:
    """Where one executor's calls wait."""

    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def pass_(self) -> None:
        waits = asyncio.get_running_loop().create_future()
        self.waiting.append(waits)
        try:
            await waits
        finally:
            self.waiting.remove(waits)

    def let_through(self, which: int) -> None:
        if self.waiting:
            waits = self.waiting[which % len(self.waiting)]
            if not waits.done():
                waits.set_result(None)


@dataclass
class Transaction:
    swap: Swap
    lands_at: datetime | None
    promised: bool = False
    """The chain has answered that it expired, or that it is refused."""


class MemoryChain:
    """As the mock chain: idempotent by signature, knows nothing of orders, refuses after the validity."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop
        self.known: dict[str, Transaction] = {}
        self.sent: list[str] = []
        self.mood = "takes"
        """What befalls the next transaction: takes, loses, is silent, refuses, is late, never."""

    def submit(self, swap: Swap) -> None:
        self.sent.append(swap.signature)
        known = self.known.get(swap.signature)
        if known is not None:
            if known.promised:
                raise SwapRefused
            return
        mood, self.mood = self.mood, "takes"
        if height(self._loop.now) > swap.validity or mood == "refuses":
            self.known[swap.signature] = Transaction(swap, None, promised=True)
            raise SwapRefused
        if mood == "loses":
            return
        lands_at = self._loop.now + LANDS_AFTER * (10 if mood == "is late" else 1)
        self.known[swap.signature] = Transaction(
            swap, lands_at if height(lands_at) <= swap.validity and mood != "never" else None
        )
        if mood == "is silent":
            raise SubmitUnknown

    def status(self, swap: Swap) -> SwapStatus:
        known = self.known.get(swap.signature)
        if known and known.lands_at and known.lands_at <= self._loop.now:
            fill = Fill(swap.signature, Decimal(1), Decimal(1), Decimal(0), known.lands_at)
            return SwapStatus(swap.signature, Fate.LANDED, fill)
        if known and known.promised:
            return SwapStatus(swap.signature, Fate.EXPIRED)
        if (known is None or known.lands_at is None) and height(self._loop.now) > swap.validity:
            self.known[swap.signature] = Transaction(swap, None, promised=True)
            return SwapStatus(swap.signature, Fate.EXPIRED)
        return SwapStatus(swap.signature, Fate.PENDING)

    def landed(self, order_id: UUID) -> list[str]:
        return [
            signature
            for signature, one in self.known.items()
            if one.swap.reference == str(order_id) and one.lands_at and one.lands_at <= self._loop.now
        ]


class MemoryRouter:
    """The router and the venue of one executor: each call waits at its gate, before it acts and again before it answers."""

    _count = itertools.count(1)

    def __init__(self, chain: MemoryChain, loop: ManualLoop, gate: Gate) -> None:
        self._chain, self._loop, self._gate = chain, loop, gate

    async def quote(self, pair: Pair, amount: Decimal) -> Selection:
        await self._gate.pass_()
        quote = Quote(pair.name, RAYDIUM, amount, amount, Decimal(1), 0, Decimal(0), self._loop.now)
        return select([quote], [], now=self._loop.now, max_age=timedelta(hours=1))

    def venue(self, name: VenueName) -> "MemoryRouter":
        return self

    async def build(
        self, pair: Pair, quote: Quote, *, min_out: Decimal, slippage_bps: int, reference: str, attempt: int, **_: Any
    ) -> Swap:
        await self._gate.pass_()
        signature = f"s{next(self._count)}"
        return Swap(reference, attempt, quote.venue, signature, b"", min_out, START, height(self._loop.now + VALID))

    async def submit(self, swap: Swap) -> None:
        await self._gate.pass_()
        try:
            self._chain.submit(swap)
        finally:
            await self._gate.pass_()

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        await self._gate.pass_()
        return self._chain.status(swap)

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        await self._gate.pass_()
        found = [self._chain.status(swap) for swap in swaps]
        await self._gate.pass_()
        return found


@dataclass
class Row:
    id: UUID
    run_at: datetime
    status: Status = Status.PENDING
    seq: int = 1
    epoch: int = 0
    executor: UUID | None = None
    attempts: int = 0
    tx_hash: str | None = None
    path: list[Status] = field(default_factory=lambda: [Status.PENDING])
    intents: dict[str, Swap] = field(default_factory=dict)
    resolutions: dict[str, str] = field(default_factory=dict)

    @property
    def unresolved(self) -> Swap | None:
        left = [swap for signature, swap in self.intents.items() if signature not in self.resolutions]
        assert len(left) <= 1, "two unresolved intents"
        return left[0] if left else None


class MemoryLedger:
    """What `orders.ledger.statements` does in SQL: the same conditions, one order at a time."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop
        self.rows: dict[UUID, Row] = {}
        self.alive: set[UUID] = set()

    def accept(self) -> UUID:
        order_id = uuid7()
        self.rows[order_id] = Row(order_id, self._loop.now)
        return order_id

    def claim(self, executor: UUID, order_id: UUID) -> Claimed | None:
        row = self.rows[order_id]
        due = row.status is Status.PENDING and row.run_at <= self._loop.now
        if executor not in self.alive or not (due or row.status is Status.SUBMITTED and row.executor is None):
            return None
        if due:
            row.status, row.seq, row.attempts = Status.ROUTING, row.seq + 1, row.attempts + 1
            row.path.append(row.status)
        row.epoch, row.executor = row.epoch + 1, executor
        return claim(
            id=row.id,
            epoch=row.epoch,
            seq=row.seq,
            status=row.status,
            attempts=row.attempts,
            at=self._loop.now,
            swap=row.unresolved,
        )

    def record(self, change: Change) -> datetime | None:
        row = self.rows[change.order_id]
        if (row.epoch, row.seq, row.status) != (change.epoch, change.seq - 1, change.was):
            return None
        row.status, row.seq = change.status, change.seq
        row.path.append(change.status)
        if change.status is Status.PENDING:
            row.executor = None
        if change.delay_ms is not None:
            row.run_at = self._loop.now + timedelta(milliseconds=change.delay_ms)
        if change.intent is not None:
            row.intents[change.intent.signature] = change.intent
        if change.resolved is not None:
            row.resolutions.setdefault(*change.resolved)
        if isinstance(change.data, ConfirmData):
            row.tx_hash = change.data.tx_hash
        if change.attempts is not Attempts.KEEP:
            row.attempts = 0 if change.attempts is Attempts.RESET else row.attempts - 1
        return self._loop.now

    def take_over(self) -> None:
        """The reconciler's pass: its own decisions on the orders of executors that are not alive."""
        for row in self.rows.values():
            if row.executor is None or row.executor in self.alive or row.status in FINAL:
                continue
            if row.status is Status.SUBMITTED:
                row.executor, row.epoch = None, row.epoch + 1
            else:
                found = Position(row.id, 1, row.epoch, row.seq, row.status)
                assert self.record(released(found, row.attempts, row.executor, max_attempts=MAX_ATTEMPTS))


class Port:
    """A claimer or a recorder as an executor sees it. What is written is certain only when the answer is through the gate."""

    def __init__(self, gate: Gate, write: Any) -> None:
        self._gate, self._write = gate, write
        self.executor = uuid4()

    def submit(self, item: Any) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._submit(item))

    async def _submit(self, item: Any) -> Any:
        await self._gate.pass_()
        result = self._write(item)
        await self._gate.pass_()
        return result
