"""The executor: claims orders, drives each from status to status, records every step before the next one.

It runs on one event loop. An order that it owns is a coroutine that waits for venues and for the group commit. A write that
is refused means that the order has another owner, and the coroutine ends without another write.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from orders import metrics
from orders.events import FailData, ReleaseData, RetryData
from orders.execution.steps import Steps
from orders.execution.work import InternalError, Move, Work
from orders.ledger.values import Claimed, Recorded
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import FINAL, Event, Status
from orders.models import OrderType
from orders.telemetry import accepted_at
from orders.transitions import transition
from runtime.faults import crash_point
from runtime.groupcommit import WriteQueueFull

log = logging.getLogger(__name__)

UNKNOWN_PAUSE_S = 0.5
"""Between two questions about a transaction whose outcome is unknown."""
MAX_ADMITTED_AT_ONCE = 100
"""Orders, between two checks of whether the loop keeps up with them; at most one message more."""
KEPT_UP_S = 0.05
"""One turn of the loop. A quote is valid for 1.5 s and an order has five stages: with turns much longer than this, quotes are
stale before they are compared, venues seem late, and orders lose their attempts to our own slowness."""
PREPARING = frozenset({Status.ROUTING, Status.BUILDING})
SENT = frozenset({Status.SUBMITTED})
"""Perhaps: its intent is written, so it may be."""
NOT_WAITED_FOR = frozenset({Event.BUILD})
"""Nothing irreversible depends on it: if it is refused, so is the change that follows it."""


class Executor:
    """Executes orders in one process."""

    def __init__(
        self, claimer: Claimer, recorder: Recorder, steps: Steps, *, max_in_flight: int, max_preparing: int
    ) -> None:
        """`max_preparing`: of those in flight, how many may be between their claim and their intent."""
        self._claimer = claimer
        self._recorder = recorder
        self._steps = steps
        self._slots = asyncio.Semaphore(max_in_flight)
        self._preparing = asyncio.Semaphore(max_preparing)
        self._admission = asyncio.Lock()
        self._queued: dict[object, float] = {}
        """Since when each dispatch waits for admission, by the loop's clock; the longest first."""
        self._taken = 0
        self.running: dict[UUID, Work] = {}
        self._drivers: dict[UUID, asyncio.Task[None]] = {}
        self.draining = False

    @property
    def asked(self) -> Collection[UUID]:
        """Orders that this executor owns or is about to claim."""
        return self._drivers.keys()

    @property
    def admission_wait_s(self) -> float:
        """For how long the dispatch that came first waits to be let in."""
        return asyncio.get_running_loop().time() - next(iter(self._queued.values())) if self._queued else 0.0

    async def execute(self, order_ids: Iterable[UUID], trigger: Mapping[str, Any] | None = None) -> None:
        """Executes those of the orders that are due and have no owner; returns when this executor owns none of them."""
        wanted = list(dict.fromkeys(order_ids))
        drivers: list[asyncio.Task[None]] = []
        turn = object()
        self._queued[turn] = asyncio.get_running_loop().time()
        try:
            for start in range(0, len(wanted), MAX_ADMITTED_AT_ONCE):
                drivers += await self._admit(wanted[start : start + MAX_ADMITTED_AT_ONCE], trigger)
        finally:
            del self._queued[turn]
        await asyncio.gather(*drivers, return_exceptions=True)

    async def _admit(self, order_ids: Sequence[UUID], trigger: Mapping[str, Any] | None) -> list[asyncio.Task[None]]:
        """Starts drivers. Beyond what this process keeps up with, orders wait here while they are still pending in Postgres."""
        async with self._admission:
            if self.draining:
                return []
            drivers = [self._driver(order_id, trigger) for order_id in order_ids if not self._drives(order_id)]
            self._taken += len(drivers)
            if self._taken >= MAX_ADMITTED_AT_ONCE:
                self._taken = 0
                await self._kept_up()
            return drivers

    def _drives(self, order_id: UUID) -> bool:
        """Whether a wake-up for the order is a repetition.

        A driver that is recording `pending` is at its end: the wake-up may be the one that follows that very record, and
        come before the driver has learned of it.
        """
        work = self.running.get(order_id)
        return order_id in self._drivers and not (work is not None and work.status is Status.PENDING)

    async def _kept_up(self) -> None:
        """Waits until every admitted order is claimed, and then for a turn of the loop that is short enough."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(0)  # The drivers submit their claims.
        await self._claimer.drain()
        late = True
        while late and not self.draining:
            began = clock()
            await asyncio.sleep(0)
            late = clock() - began > KEPT_UP_S

    def _driver(self, order_id: UUID, trigger: Mapping[str, Any] | None) -> asyncio.Task[None]:
        driver = self._drivers[order_id] = asyncio.create_task(self._one(order_id, trigger))
        # A task that is cancelled before its first step runs no `finally`, so only the callback releases the order.
        driver.add_done_callback(lambda done: self._release(order_id, done))
        return driver

    def _release(self, order_id: UUID, driver: asyncio.Task[None] | None) -> None:
        """Unless the order has a new driver already."""
        if self._drivers.get(order_id) is driver:
            del self._drivers[order_id]
            self.running.pop(order_id, None)

    async def _one(self, order_id: UUID, trigger: Mapping[str, Any] | None) -> None:
        try:
            async with self._slots:
                async with self._preparing:
                    order = await self._claim(order_id, trigger)
                    if order is None:
                        return
                    crash_point("after_claim")
                    work = self._begin(order, trigger)
                    ours = await self._drive(work, PREPARING)
                # Hundreds can wait for the chain where one that is being prepared asks nodes within a deadline.
                if ours:
                    await self._drive(work, SENT)
        except (psycopg.OperationalError, WriteQueueFull) as error:
            log.warning("order %s waits for the reconciler: %s", order_id, str(error).strip())
        except Exception:
            log.exception("order %s waits for the reconciler", order_id)
        finally:
            # At once, not a turn of the loop later: the wake-up for the retry may be there already.
            self._release(order_id, asyncio.current_task())

    async def _claim(self, order_id: UUID, trigger: Mapping[str, Any] | None) -> Claimed | None:
        if self.draining:
            return None
        claim = self._claimer.submit((order_id, trigger))
        try:
            return await claim
        except asyncio.CancelledError:
            self._claimer.withdraw(claim)
            raise

    def _begin(self, order: Claimed, trigger: Mapping[str, Any] | None) -> Work:
        work = self.running[order.id] = Work.begin(order)
        begun(order, trigger)
        bind_contextvars(order_id=str(order.id), attempt=order.attempts, epoch=order.epoch)
        if order.request_id is not None:
            bind_contextvars(request_id=order.request_id)
        return work

    async def _drive(self, work: Work, through: Collection[Status]) -> bool:
        """Takes the order through these statuses. False: it has another owner."""
        while work.status in through:
            move = await self._next(work)
            if move is None:
                await asyncio.sleep(UNKNOWN_PAUSE_S)
            elif not await self._write(work, move):
                return False
        return True

    async def _next(self, work: Work) -> Move | None:
        try:
            return await self._steps.next(work)
        except Exception as error:
            log.exception("order %s: the step at %s failed", work.order.id, work.status)
            if work.status is Status.SUBMITTED:
                return None  # Its transaction may land: our own failure never ends it.
            return self._steps.failed(work, InternalError(f"{type(error).__name__} in the engine"))

    async def _write(self, work: Work, move: Move) -> bool:
        """Records the move. False: the order has another owner."""
        change = transition(
            work.position, move.event, move.data, delay_ms=move.delay_ms, intent=move.intent, resolved=move.resolved
        )
        if move.event is Event.CONFIRM:
            crash_point("before_confirm_commit")
        waited_for = move.event not in NOT_WAITED_FOR
        written = self._recorder.submit(change, hurry=waited_for)
        stage, work.status, work.seq = work.status, change.status, change.seq
        if not waited_for:
            written.add_done_callback(_ignore_outcome)
            passed(work, stage)
            return True
        if await written is None:
            if move.event is not Event.SUBMIT or not await self._give_up(work):
                log.info("order %s has another owner", work.order.id)
            return False
        passed(work, stage)
        if work.status is Status.PENDING:
            crash_point("after_release_commit")
        if move.event is Event.CONFIRM:
            crash_point("after_confirm_commit")
        elif move.event is Event.SUBMIT:
            crash_point("after_intent")
        elif isinstance(move.data, FailData):
            log.warning("order %s failed: %s", work.order.id, move.data.error.code)
        elif isinstance(move.data, RetryData):
            log.info("order %s is tried again: %s", work.order.id, move.data.error.code)
        return True

    async def _give_up(self, work: Work) -> bool:
        """Gives up an order whose intent was not written, if it is still ours: trading is halted, or Postgres refuses the values.

        The next claim says what becomes of it. The event of `building` is written with the intent or before it.
        """
        data = ReleaseData(reason="NOT_SUBMITTED")
        for seq, status in ((work.seq - 1, Status.BUILDING), (work.seq - 2, Status.ROUTING)):
            position = replace(work.position, seq=seq, status=status)
            if await self._recorder.submit(transition(position, Event.RELEASE, data, delay_ms=0)) is not None:
                return True
        return False

    async def drain(self, timeout_s: float) -> list[Work]:
        """Claims no more orders, waits for those in flight, and stops the ones that do not end within the time.

        Returns what was stopped; this executor is still the owner in Postgres.
        """
        self.draining = True
        if self._drivers:
            await asyncio.wait(list(self._drivers.values()), timeout=timeout_s)
        return await self.abandon()

    async def abandon(self) -> list[Work]:
        """Stops every order where it is, without a write."""
        left = list(self.running.values())
        drivers = list(self._drivers.values())
        for driver in drivers:
            driver.cancel()
        await asyncio.gather(*drivers, return_exceptions=True)
        return left


STAGES = {status: metrics.STAGE_SECONDS.labels(status) for status in Status if status not in FINAL}


def begun(order: Claimed, trigger: Mapping[str, Any] | None) -> None:
    if order.event is None or order.attempts > 1:
        return
    if trigger is None:
        STAGES[Status.PENDING].observe(max(0.0, time.time() - accepted_at(order.id)))
    elif quoted := trigger.get("observedAt"):
        metrics.TRIGGER_LAG_SECONDS.observe(max(0.0, time.time() - datetime.fromisoformat(quoted).timestamp()))


def passed(work: Work, stage: Status) -> None:
    now = time.monotonic()
    STAGES[stage].observe(now - work.since)
    work.since = now
    if work.status is Status.CONFIRMED and work.order.type == OrderType.MARKET:
        metrics.ACCEPT_TO_CONFIRM_SECONDS.observe(max(0.0, time.time() - accepted_at(work.order.id)))


def _ignore_outcome(written: "asyncio.Future[Recorded | None]") -> None:
    """Marks the exception as seen, so that asyncio does not log it."""
    if not written.cancelled():
        written.exception()
