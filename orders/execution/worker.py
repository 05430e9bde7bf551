"""An order worker process: the executor on its loop, its identity, its heartbeat, its end."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.conf import settings

from orders.dispatch import dispatch
from orders.events import CommittedEvent, Publisher
from orders.execution.executor import MAX_ADMITTED_AT_ONCE, Executor, change_of
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Move, Steps, Work
from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.statements import Change, Claimed
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event, Status
from orders.resting.placement import arming, rested, taken
from routing.world import world
from runtime import metrics
from runtime.loop import LoopThread
from runtime.process import ABOUT
from runtime.tuning import settle

log = logging.getLogger(__name__)

AUDIT_EVERY_S = 4.0
"""Between two looks for orders that the ledger says are ours and that nobody here drives."""

REGISTER = """
INSERT INTO orders_executor (id, name, pid, state, in_flight, started_at, heartbeat_at)
VALUES (%s, %s, %s, 'alive', 0, now(), now())
"""
# clock_timestamp: a beat that waited for a lock is as young as its end, and now() is its beginning.
BEAT = """
UPDATE orders_executor SET heartbeat_at = clock_timestamp(), in_flight = %s WHERE id = %s AND state = 'alive' RETURNING id
"""
STOP = "UPDATE orders_executor SET state = 'stopped', in_flight = 0, heartbeat_at = now() WHERE id = %s AND state = 'alive'"
HELD = "SELECT id, account_id, epoch, seq, status FROM orders_order WHERE run_at IS NOT NULL AND executor = %s"


class Worker:
    """Everything of one order worker process. Made in any thread; its coroutines run on its own loop."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}@{socket.gethostname()}"
        self._loop = LoopThread("orders")
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heartbeat")
        self._dispatcher_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dispatch")
        self._session = Session(settings.DATABASE_URL, name="heartbeat", statement_timeout_ms=3_000)
        # Apart from the heart: whatever holds the orders' table up must not make us look dead.
        self._audit_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._audit_session = Session(settings.DATABASE_URL, name="audit", statement_timeout_ms=5_000)
        self._orphaned: set[UUID] = set()
        self._loop.run(self._start())

    async def _start(self) -> None:
        self._publisher = Publisher(settings.REDIS_URL)
        self._told = 0
        self._recorder = Recorder(
            settings.DATABASE_URL,
            window_ms=settings.RECORD_WINDOW_MS,
            max_batch=settings.MAX_RECORD_BATCH,
            capacity=4 * settings.MAX_ORDERS_IN_FLIGHT,
            written=self._publish_changes,
        )
        self._claimer = Claimer(
            settings.DATABASE_URL,
            uuid4(),
            window_ms=settings.CLAIM_WINDOW_MS,
            # As many as the executor lets in before it waits for their claim: a writer does not rest before a full batch.
            max_batch=MAX_ADMITTED_AT_ONCE,
            capacity=2 * settings.MAX_ORDERS_IN_FLIGHT,
            written=self._publish_claims,
        )
        steps = Steps(
            world().router,
            RetryPolicy(settings.MAX_ATTEMPTS, settings.RETRY_BASE_MS, settings.RETRY_CAP_MS),
            random.Random(),
            submit_timeout_s=settings.SUBMIT_TIMEOUT_S,
            resend_after_s=settings.RESEND_AFTER_S,
        )
        self.executor = Executor(
            self._claimer,
            self._recorder,
            steps,
            max_in_flight=settings.MAX_ORDERS_IN_FLIGHT,
            dispatch=self._dispatch_again,
            rested=rested,
        )
        await self._register()
        self._tasks = [
            asyncio.create_task(self._every(settings.HEARTBEAT_S, self._beat)),
            asyncio.create_task(self._every(AUDIT_EVERY_S, self._audit)),
        ]
        settle()

    def execute(self, order_ids: Sequence[UUID], trigger: Mapping[str, Any] | None = None) -> None:
        """Executes orders and waits for them, from a task's thread."""
        self._loop.run(self.executor.execute(order_ids, trigger))

    def drain(self) -> "Future[None]":
        """Starts the end: no new orders, a while for those in flight, the rest handed over."""
        return self._loop.start(self._drain())

    def close(self) -> None:
        """After the drain: the executor leaves, what is unwritten is written."""
        self._loop.run(self._close(), timeout_s=5)

    def _publish_claims(self, claimed: list[Claimed]) -> None:
        taken(claimed)
        self._publisher.publish(
            [
                CommittedEvent(order.id, order.account_id, order.seq, order.status, order.at, order.event)
                for order in claimed
                if order.event is not None
            ]
        )

    def _publish_changes(self, written: list[tuple[Change, datetime]]) -> None:
        self._publisher.publish([CommittedEvent.of(change, at) for change, at in written])

    def _dispatch_again(self, order_ids: Sequence[UUID], delay_s: float) -> None:
        self._dispatcher_thread.submit(_dispatch_quietly, order_ids, delay_s)

    async def _register(self) -> None:
        def register(connection: statements.Connection) -> None:
            connection.execute(REGISTER, (self._claimer.executor, self.name, os.getpid()))

        await self._query(register)
        ABOUT["executor"] = str(self._claimer.executor)
        log.info("executor %s is %s", self._claimer.executor, self.name)

    async def _query(self, function: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._session.run, function)

    async def _query_orders(self, function: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._audit_thread, self._audit_session.run, function)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except psycopg.OperationalError as error:
                log.warning("%s missed: %s", act.__name__, str(error).strip())
            except Exception:
                log.exception("%s failed", act.__name__)

    async def _beat(self) -> None:
        metrics.IN_FLIGHT.set(len(self.executor.running))
        self._count()
        parameters = (len(self.executor.running), self._claimer.executor)
        alive = await self._query(lambda connection: connection.execute(BEAT, parameters).fetchone())
        if alive is None and not self.executor.draining:
            # We were away for so long that our orders went to others. What we hold is theirs now: drop it unwritten.
            log.error("executor %s was declared dead; starting anew", self._claimer.executor)
            await self.executor.abandon()
            self._claimer.executor = uuid4()
            await self._register()

    def _count(self) -> None:
        """The publisher's own count, as far as it has not been told."""
        metrics.EVENTS_DROPPED.inc(self._publisher.dropped - self._told)
        self._told = self._publisher.dropped

    async def _audit(self) -> None:
        """Hands back orders that the ledger says are ours though nobody here drives them: a claim whose answer was lost."""
        executor = self._claimer.executor
        rows = await self._query_orders(lambda c: c.execute(HELD, (executor,)).fetchall())
        held = {row[0]: row for row in rows if row[0] not in self.executor.asked}
        orphaned, self._orphaned = self._orphaned & set(held), set(held)
        for order_id in orphaned:
            _, account_id, epoch, seq, status = held[order_id]
            log.warning("order %s was ours without our knowing; handing it back", order_id)
            if status == Status.SUBMITTED:
                await self._disown([order_id])
            else:
                await self._recorder.submit(
                    Change(
                        order_id=order_id,
                        account_id=account_id,
                        epoch=epoch,
                        seq=seq + 1,
                        was=Status(status),
                        status=Status.PENDING,
                        data={"takeover": {"executor": self._claimer.executor, "from": status}},
                        delay_ms=0,
                    )
                )
            self._dispatch_again([order_id], 0)

    async def _disown(self, order_ids: list[UUID]) -> None:
        executor = self._claimer.executor
        await self._query_orders(lambda c: statements.disown(c, executor=executor, order_ids=order_ids))

    async def _drain(self) -> None:
        left = await self.executor.drain(settings.DRAIN_S)
        log.info("drained; %d orders are handed over", len(left))
        try:
            async with asyncio.timeout(2):
                await self._recorder.drain()
                await asyncio.gather(*(self._hand_over(work) for work in left if work.status in HANDED_BACK))
                if submitted := [work.order.id for work in left if work.status is Status.SUBMITTED]:
                    await self._disown(submitted)
        except (TimeoutError, psycopg.OperationalError):
            log.warning("not everything could be handed over; the reconciler will find it")
        for start in range(0, len(left), settings.MAX_DISPATCH_IDS):
            self._dispatch_again([work.order.id for work in left[start : start + settings.MAX_DISPATCH_IDS]], 0)

    async def _hand_over(self, work: Work) -> None:
        move = Move(Event.RELEASE, {"handover": {"executor": self.name}}, delay_ms=0)
        await self._recorder.submit(change_of(work, move))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._recorder.give_up()
        await self._recorder.drain()
        self._publisher.close()
        arming().close()
        executor = self._claimer.executor
        try:
            await self._query(lambda c: c.execute(STOP, (executor,)))
        except psycopg.OperationalError as error:
            log.warning("leaving without a word: %s", str(error).strip())


HANDED_BACK = frozenset({Status.ROUTING, Status.BUILDING})


def _dispatch_quietly(order_ids: Sequence[UUID], delay_s: float) -> None:
    try:
        dispatch(order_ids, delay_s=delay_s)
    except Exception as error:
        log.warning("doorbell for %d orders not sent: %s", len(order_ids), error)
