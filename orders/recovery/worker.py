"""What a worker process of the queue `dbsync` is made of: connections, publisher, trigger book, and the work of its tasks."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

import redis
from celery import current_app

from orders import metrics
from orders.aftercommit import AfterCommit
from orders.dispatch import dispatch, dispatches_waiting
from orders.ledger.clock import note_skew
from orders.ledger.session import Session
from orders.overload import Overload
from orders.plans.step import BATCH as STEP_BATCH
from orders.plans.step import step_due
from orders.publisher import Publisher
from orders.recovery.dead_man import fire_dead_men
from orders.recovery.reconcile import BATCH, Reconciler, Watch, expire
from orders.recovery.retention import purge
from orders.resting.keeper import Keeper
from orders.resting.missing import Missing
from routing.cluster import mode
from routing.prices import PriceStore
from triggers.arming import Arming
from triggers.book import Book
from triggers.pulse import mark

log = logging.getLogger(__name__)
Result = TypeVar("Result")

EXPIRE_ROUNDS = 10
"""Batches of expired orders that one task ends, so that other tasks get their turn."""
STATEMENT_TIMEOUT_MS = 10_000
BOOK_SETTLES_S = 5.0
"""From an order's commit to its change of the book, at the worst of a burst: what is missing later was lost."""
STEP_PLANS_S = 5.0
"""Of steps in one task, so that other tasks get their turn."""
BUSY_PAUSE_S = 0.005
"""Somebody else has a leg locked: for one statement."""
OLD_EXECUTORS = """
DELETE FROM orders_executor WHERE state <> 'alive' AND heartbeat_at < now() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.run_at IS NOT NULL AND o.executor = orders_executor.id)
"""


OLD_SPENDS = "DELETE FROM risk_spend WHERE day < (now() AT TIME ZONE 'UTC')::date - 1"


class Recovery:
    """Made when the worker starts, closed when it stops. Its methods are called from the threads of Celery's pool."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._publisher = Publisher(settings.REDIS_URL)
        self._arming = Arming(settings.REDIS_URL)
        self._after_commit = AfterCommit(self._publisher, self._arming, dispatch)
        self._book = Book(settings.REDIS_URL)
        self._prices = PriceStore(settings.REDIS_URL, mode=mode())
        self._missing = Missing(self._book, self._prices, mode=mode())
        self._overload = Overload(settings.REDIS_URL)
        self._keeper = Keeper(
            self._book,
            mode=mode(),
            overloaded=self._overload.is_said,
            settle_s=BOOK_SETTLES_S,
        )
        self._reconciler = Reconciler(
            watch=Watch(gap_s=settings.EXECUTOR_DEAD_AFTER_S / 2),
            max_attempts=settings.MAX_ATTEMPTS,
            dead_after_s=settings.EXECUTOR_DEAD_AFTER_S,
            settle_s=settings.EXECUTOR_DEAD_AFTER_S - settings.HEARTBEAT_S,
            grace_s=settings.RECONCILE_GRACE_S,
            backlog_grace_s=settings.RECONCILE_BACKLOG_GRACE_S,
            dispatch=dispatch,
            waiting=dispatches_waiting,
            mode=mode(),
            overloaded=self._overload.is_said,
            announce=announce,
            carry_out=self._after_commit.carry_out,
        )

    def close(self) -> None:
        """Sends what waits, then closes every connection."""
        self._publisher.close()
        self._arming.close()
        self._book.close()
        self._prices.close()
        self._overload.close()
        for session in self._sessions:
            session.close()

    def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """On this thread's own connection."""
        if not hasattr(self._local, "session"):
            self._local.session = Session(
                self._settings.DATABASE_URL, name="dbsync", statement_timeout_ms=STATEMENT_TIMEOUT_MS
            )
            self._sessions.append(self._local.session)
        session: Session = self._local.session
        return session.run(function, *arguments)

    def _worked(self, task: str) -> None:
        """Notes for `/readyz` that the task has done its work."""
        with suppress(redis.RedisError):
            mark(self._book.redis, task)

    def reconcile(self) -> None:
        """Finds what wake-ups, executors and Redis have lost."""
        done = self._run(self._reconciler.run)
        self._worked("reconcile")
        metrics.EXECUTORS_LOST.inc(done.get("dead", 0))
        metrics.TAKEOVERS.inc(done.get("taken_over", 0))
        metrics.DISPATCHED_AGAIN.inc(done.get("dispatched", 0))

    def expire(self) -> None:
        """Fires dead man's switches, then ends orders that waited past their time."""
        self._run(fire_dead_men, self._after_commit.carry_out)
        for _round in range(EXPIRE_ROUNDS):
            if self._run(expire, self._after_commit.carry_out) < BATCH:
                return

    def keep_book(self) -> None:
        """Compares the trigger book with Postgres and puts it right; tells whose stops have no price."""
        try:
            done = self._run(self._keeper.run)
            self._run(note_skew)
            self._run(self._missing.look)
        except redis.RedisError as error:
            log.warning("the trigger book cannot be kept: %s", error)
            return
        self._worked("keep_book")
        if found := {name: count for name, count in done.items() if count and name != "rebuilt"}:
            log.warning("the trigger book was put right: %s", found)

    def step_plans(self) -> None:
        """The steps of plans that are due, until none is, or for a while."""
        ends = time.monotonic() + STEP_PLANS_S
        while time.monotonic() < ends:
            stepped = self._run(step_due, self._after_commit.carry_out)
            if stepped.plans < STEP_BATCH and not stepped.busy:
                return
            if stepped.busy:
                time.sleep(BUSY_PAUSE_S)

    def prune(self) -> None:
        """Deletes executors that stopped long ago, what days before spent, and finished orders where RETENTION_DAYS says so."""
        self._run(lambda connection: connection.execute(OLD_EXECUTORS))
        self._run(lambda connection: connection.execute(OLD_SPENDS))
        if days := self._settings.RETENTION_DAYS:
            purged = self._run(lambda connection: purge(connection, days=days))
            log.info("%d orders that ended more than %d days ago are purged", purged, days)


def announce(dead_letter: int, order_id: UUID, reason: str) -> None:
    """Sends the message of a dead letter. Raises `BROKER_AWAY` while the broker is."""
    current_app.send_task(
        "dead_letter",
        kwargs={"id": dead_letter, "order_id": str(order_id), "reason": reason},
        queue="dead",
        # The same for the same letter, should it be sent again by a process that crashed before it could note it.
        task_id=f"dead-letter-{dead_letter}",
    )
