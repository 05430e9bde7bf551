"""The mock chain: append-only and idempotent by signature; it does not know who sends.

It needs no process of its own. A transaction's landing time is drawn when it is sent, and whoever looks first
after that settles it.
"""

import asyncio
import math
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from routing.clock import Clock, utc_now
from routing.mock import faults, report, settlement
from routing.mock.calls import Answer, Call, Look, Send, Sent, Sighting, Verdict
from routing.mock.faults import Fault
from routing.mock.market import Market
from routing.mock.report import ChainReport
from routing.mock.settlement import Settlement, Terms
from routing.mock.store import ChainStore, writing
from routing.values import Fate, Swap, SwapStatus
from routing.venue import SubmitUnknown, SwapRefused, VenueUnavailable
from runtime.groupcommit import GroupCommit, WriteQueueFull

_LANDING_S = (1.90, 2.10)
"""With building and sending at least 2 s even on a cached quote, at most 3 s after a direct one."""
_SLOT_S = 0.05
"""Transactions land together at multiples of this, like in a real chain's slots, and are looked up together."""
_WINDOW_MS = (2.0, 25.0)
"""Without latency and with it: a write transaction costs as much as a dozen orders, and 25 ms of 2 s are not felt."""
_MAX_BATCH = 500
"""Settling costs some 50 µs each, so a full batch stays well below a tenth of a second."""
_CAPACITY = 100_000
_RECHECK_S = 1.0
"""How often a wait asks for a transaction that the chain has not seen: another process may send it again."""

_REFUSALS = {
    Verdict.REFUSED: "The chain refused the transaction.",
    Verdict.TOO_LATE: "The transaction is no longer valid.",
}


class MockChain:
    """One process' access to the store in `directory`.

    `latency` is a factor on the time to land, 0 = at once. `failure_rate` (0..1) is the part of submissions
    that are refused, lost, or land without an answer.
    """

    def __init__(
        self,
        directory: Path,
        market: Market,
        *,
        latency: float = 1.0,
        failure_rate: float = 0.0,
        clock: Clock = utc_now,
        rng: random.Random | None = None,
    ) -> None:
        self._market = market
        self._latency = latency
        self._clock = clock
        self._rng = rng or random.Random()
        self._store = ChainStore(
            directory,
            settle=self._settle,
            landing=self._landing,
            clock=clock,
            rng=self._rng,
            failure_rate=failure_rate,
        )
        self._calls: GroupCommit[Call, Answer] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._landings: dict[str, datetime] = {}

    async def submit(self, swap: Swap) -> None:
        """See `Chain`."""
        try:
            sent = await self._call(Send(swap))
        except (sqlite3.Error, OSError, WriteQueueFull) as error:
            raise SubmitUnknown(str(error), venue=swap.venue) from error
        assert isinstance(sent, Sent)
        if sent.verdict in _REFUSALS:
            raise SwapRefused(_REFUSALS[sent.verdict], venue=swap.venue)
        if sent.verdict is Verdict.UNANSWERED:
            raise SubmitUnknown(venue=swap.venue)
        if sent.lands_at is not None and len(self._landings) < _CAPACITY:
            self._landings[swap.signature] = sent.lands_at

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Chain`. Asks once when the landing time is known from the submission."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        lands_at = self._landings.pop(swap.signature, None)
        if lands_at is not None:
            await self._sleep_until(lands_at, ends)
        while True:
            (seen,) = await self._look([swap])
            if seen.status.fate is not Fate.PENDING or loop.time() >= ends:
                return seen.status
            recheck = self._clock() + timedelta(seconds=_RECHECK_S)
            await self._sleep_until(seen.lands_at or recheck, ends)

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Chain`."""
        return [seen.status for seen in await self._look(swaps)]

    async def close(self) -> None:
        """Answers what was asked, then lets go of the store."""
        if self._calls is not None and self._loop is asyncio.get_running_loop():
            await self._calls.close()
        self._store.close()

    def report(self, reference: str | None = None) -> ChainReport:
        """What landed and every submission, of one reference or of all. Blocks; for any thread."""
        self._store.settle_due()
        with closing(self._store.connect()) as db:
            return report.read(db, reference)

    def misbehave(
        self, fault: Fault, *, probability: float = 1.0, count: int | None = None, delay_s: float = 5.0
    ) -> None:
        """Commits the fault on submissions from now on, of every process, `count` times at most.

        `delay_s` is for `Fault.DELAY`. Blocks; for any thread.
        """
        with closing(self._store.connect()) as own, writing(own) as db:
            faults.give(db, fault, probability=probability, count=count, delay_s=delay_s)

    def behave(self) -> None:
        """Ends every fault that was commanded. Blocks; for any thread."""
        with closing(self._store.connect()) as own, writing(own) as db:
            faults.clear(db)

    async def _look(self, swaps: Sequence[Swap]) -> list[Sighting]:
        if not swaps:
            return []
        try:
            answer = await self._call(Look(swaps))
        except (sqlite3.Error, OSError, WriteQueueFull) as error:
            raise VenueUnavailable(str(error)) from error
        assert isinstance(answer, list)
        return answer

    def _call(self, call: Call) -> asyncio.Future[Answer]:
        """Raises `WriteQueueFull`."""
        loop = asyncio.get_running_loop()
        if self._calls is None or self._loop is not loop:
            # A group lives on one loop, while a synchronous caller may bring a new loop for every call.
            self._loop = loop
            self._calls = GroupCommit(
                self._store.transact,
                name="mock-chain",
                window_ms=_WINDOW_MS[self._latency > 0],
                max_batch=_MAX_BATCH,
                capacity=_CAPACITY,
            )
        return self._calls.submit(call, hurry=not self._latency)

    async def _sleep_until(self, moment: datetime, ends: float) -> None:
        """Until the chain's clock says `moment`, or the loop's `ends`."""
        left_s = min((moment - self._clock()).total_seconds(), ends - asyncio.get_running_loop().time())
        if left_s > 0:
            await asyncio.sleep(left_s)

    def _landing(self, now: datetime) -> datetime:
        """The slot in which a transaction of `now` lands."""
        if not self._latency:
            return now
        earliest = now.timestamp() + self._rng.uniform(*_LANDING_S) * self._latency
        slot_s = _SLOT_S * self._latency
        return datetime.fromtimestamp(math.ceil(earliest / slot_s) * slot_s, UTC)

    def _settle(self, terms: Terms, signature: str, landed_at: datetime) -> Settlement:
        return settlement.settle(terms, self._market, signature=signature, landed_at=landed_at)
