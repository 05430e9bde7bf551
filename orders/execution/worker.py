"""An order worker process: the executor on its loop, its identity, its heartbeat, its end."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.conf import settings

from orders import metrics
from orders.aftercommit import AfterCommit
from orders.dispatch import dispatch
from orders.effects import of_claimed, of_disowned
from orders.events import Handover, ReleaseData, Takeover
from orders.execution.executor import MAX_ADMITTED_AT_ONCE, Executor
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.execution.work import Work
from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.values import Claimed, Position
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event, Status
from orders.overload import LATE_S, Overload
from orders.publisher import Publisher
from orders.risk import worth
from orders.transitions import transition
from risk.changes import halt_first_start
from risk.rules import rules
from routing.cluster import mode
from routing.gates import Gates
from routing.world import close_world, world
from runtime.loop import LoopThread
from runtime.process import ABOUT
from runtime.tuning import settle
from triggers.arming import Arming

log = logging.getLogger(__name__)

AUDIT_EVERY_S = 4.0
"""Seconds between two searches for orphaned claims: orders that the ledger says are ours and that nothing here drives."""

WORLD_CLOSES_WITHIN_S = 1.0
"""A chain that does not answer must not keep the process from its end."""

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
        # Apart from the heartbeat: a lock on the table of orders must not make this process look crashed.
        self._audit_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._audit_session = Session(settings.DATABASE_URL, name="audit", statement_timeout_ms=5_000)
        self._overload = Overload(settings.REDIS_URL)
        self._orphaned: set[UUID] = set()
        self._loop.run(self._start())

    async def _start(self) -> None:
        await world().verify()
        # A database that was prepared in another mode: before the first claim.
        await asyncio.to_thread(halt_first_start)
        rules.start()
        self._publisher = Publisher(settings.REDIS_URL)
        self._arming = Arming(settings.REDIS_URL)
        self._after_commit = AfterCommit(self._publisher, self._arming, self._dispatch)
        self._counted = 0
        self._recorder = Recorder(
            settings.DATABASE_URL,
            window_ms=settings.RECORD_WINDOW_MS,
            max_batch=settings.MAX_RECORD_BATCH,
            capacity=4 * settings.MAX_ORDERS_IN_FLIGHT,
            written=self._after_commit.recorded,
        )
        self._claimer = Claimer(
            settings.DATABASE_URL,
            uuid4(),
            window_ms=settings.CLAIM_WINDOW_MS,
            # As many as the executor admits before it waits for their claims: before a full batch the writer does not cool down.
            max_batch=MAX_ADMITTED_AT_ONCE,
            capacity=2 * settings.MAX_ORDERS_IN_FLIGHT,
            written=self._claimed,
            mode=mode(),
            worth=worth,
        )
        own = world()
        self._wallets = None
        if own.balances is not None:
            # Only here: on the mock no process pays for the packages that sign and encrypt.
            from orders.execution.wallets import Wallets

            self._wallets = Wallets(settings, own.balances, own.chain)
        steps = Steps(
            own.router,
            RetryPolicy(settings.MAX_ATTEMPTS, settings.RETRY_BASE_MS, settings.RETRY_CAP_MS),
            random.Random(),
            submit_timeout_s=settings.SUBMIT_TIMEOUT_S,
            resend_after_s=settings.RESEND_AFTER_S,
            wallets=self._wallets,
            look=own.gates,
            look_by_default=settings.SNIPER_GATES,
            defaults=gates_of,
        )
        self.executor = Executor(
            self._claimer,
            self._recorder,
            steps,
            max_in_flight=settings.MAX_ORDERS_IN_FLIGHT,
            max_preparing=settings.MAX_ORDERS_PREPARING,
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
        """Begins to stop: no new orders, some time for those in flight, the others are released."""
        return self._loop.start(self._drain())

    def close(self) -> None:
        """After the drain: writes what is unwritten, signs the executor off and closes everything."""
        self._loop.run(self._close(), timeout_s=5)

    def _claimed(self, claimed: list[Claimed]) -> None:
        self._after_commit.carry_out([of_claimed(order) for order in claimed])

    def _dispatch(self, order_ids: Sequence[UUID], delay_ms: int) -> None:
        """In a thread of its own: neither a writer's thread nor the loop waits for the broker."""
        self._dispatcher_thread.submit(_dispatch_quietly, order_ids, delay_ms)

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
        if self.executor.admission_wait_s > LATE_S:
            # Not waited for: a Redis that does not answer must not hold the heartbeat up.
            self._audit_thread.submit(self._overload.say)
        metrics.IN_FLIGHT.set(len(self.executor.running))
        self._count()
        parameters = (len(self.executor.running), self._claimer.executor)
        alive = await self._query(lambda connection: connection.execute(BEAT, parameters).fetchone())
        if alive is None and not self.executor.draining:
            # This process was silent for so long that its orders have other owners now: nothing of them is recorded here.
            log.error("executor %s was declared crashed; starting anew", self._claimer.executor)
            await self.executor.abandon()
            self._claimer.executor = uuid4()
            await self._register()

    def _count(self) -> None:
        """Adds what the publisher has dropped since the last time."""
        metrics.EVENTS_DROPPED.inc(self._publisher.dropped - self._counted)
        self._counted = self._publisher.dropped

    async def _audit(self) -> None:
        """Releases orphaned claims: orders that are ours though nothing here drives them, because a claim's answer was lost."""
        executor = self._claimer.executor
        rows = await self._query_orders(lambda c: c.execute(HELD, (executor,)).fetchall())
        held = {row[0]: Position(*row) for row in rows if row[0] not in self.executor.asked}
        # A claim that is being answered looks the same: only what was there the last time, too, is orphaned.
        orphaned, self._orphaned = self._orphaned & set(held), set(held)
        for order_id in orphaned:
            order = held[order_id]
            log.warning("order %s was claimed and not driven; releasing it", order_id)
            if order.status == Status.SUBMITTED:
                await self._disown([order_id])
            else:
                takeover = ReleaseData(takeover=Takeover(executor=executor, from_=order.status))
                await self._recorder.submit(transition(order, Event.RELEASE, takeover, delay_ms=0))

    async def _disown(self, order_ids: list[UUID]) -> None:
        executor = self._claimer.executor
        freed = await self._query_orders(lambda c: statements.disown(c, executor=executor, order_ids=order_ids))
        self._after_commit.carry_out(of_disowned(freed))

    async def _drain(self) -> None:
        left = await self.executor.drain(settings.DRAIN_S)
        log.info("drained; %d orders are released", len(left))
        try:
            async with asyncio.timeout(2):
                await self._recorder.drain()
                await asyncio.gather(*(self._release(work) for work in left if work.status in RELEASED))
                if submitted := [work.order.id for work in left if work.status is Status.SUBMITTED]:
                    await self._disown(submitted)
        except (TimeoutError, psycopg.OperationalError):
            log.warning("not everything could be released; the reconciler will find it")

    async def _release(self, work: Work) -> None:
        handover = ReleaseData(handover=Handover(executor=self.name))
        await self._recorder.submit(transition(work.position, Event.RELEASE, handover, delay_ms=0))

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._recorder.give_up()
        await self._recorder.drain()
        if self._wallets is not None:
            await self._wallets.close()
        executor = self._claimer.executor
        try:
            await self._query(lambda c: c.execute(STOP, (executor,)))
        except psycopg.Error as error:
            log.warning("the executor could not be signed off: %s", str(error).strip())
        self._publisher.close()
        self._arming.close()
        self._overload.close()
        rules.close()
        for thread in (self._dispatcher_thread, self._threads, self._audit_thread):
            thread.shutdown(wait=False)
        try:
            async with asyncio.timeout(WORLD_CLOSES_WITHIN_S):
                await close_world()
        except TimeoutError:
            log.warning("the world does not close in time; the end of the process closes it")


RELEASED = frozenset({Status.ROUTING, Status.BUILDING})


def gates_of(account_id: int) -> list[Gates | None]:
    """What an account asks of tokens that are bought unseen, then what is asked of everybody."""
    return [rule.limits.gates for rule in reversed(rules.of(account_id))]


def _dispatch_quietly(order_ids: Sequence[UUID], delay_ms: int) -> None:
    try:
        dispatch(order_ids, delay_ms)
    except Exception as error:
        metrics.DISPATCHES_LOST.inc(len(order_ids))
        log.warning("%d orders not dispatched, the reconciler will: %s", len(order_ids), error)
