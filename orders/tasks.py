"""The Celery tasks of orders: thin, by name, ids only."""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

import redis
from celery import current_app, shared_task
from django.conf import settings
from kombu.exceptions import ChannelError

from orders.dispatch import dispatch
from orders.events import Publisher
from orders.execution.worker import Worker
from orders.ledger.clock import note_skew
from orders.ledger.session import Session
from orders.recovery.reconcile import BATCH, Reconciler, Watch, expire
from orders.recovery.retention import forget
from orders.resting.keeper import Keeper
from orders.resting.placement import arming
from runtime import metrics
from triggers.book import Book
from triggers.pulse import mark

log = logging.getLogger(__name__)
EXPIRE_ROUNDS = 10
"""Batches a task ends before it makes room for another."""
_worker: Worker | None = None
_starting = threading.Lock()


def start_worker(name: str = "orders") -> Worker:
    """This process's executor, made at the first call."""
    global _worker
    with _starting:
        if _worker is None:
            _worker = Worker(name)
        return _worker


def drain_worker() -> None:
    if _worker is not None:
        _worker.drain()


def close_worker() -> None:
    if _worker is not None:
        _worker.close()


@shared_task(name="execute_orders", queue="orders", ignore_result=True)
def execute_orders(*, order_ids: Sequence[str], trigger: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Executes those of the orders that are due; `trigger` is what fired resting ones."""
    start_worker().execute([UUID(order_id) for order_id in order_ids], trigger)


@cache
def publisher() -> Publisher:
    return Publisher(settings.REDIS_URL)


@cache
def session() -> threading.local:
    return threading.local()


def reconcile_session() -> Session:
    """One connection a thread of the pool."""
    local = session()
    if not hasattr(local, "session"):
        local.session = Session(settings.DATABASE_URL, name="dbsync", statement_timeout_ms=10_000)
    found: Session = local.session
    return found


@cache
def watch() -> Watch:
    return Watch(gap_s=settings.EXECUTOR_DEAD_AFTER_S / 2)


def dispatch_all(order_ids: Sequence[UUID]) -> None:
    for start in range(0, len(order_ids), settings.MAX_DISPATCH_IDS):
        dispatch(order_ids[start : start + settings.MAX_DISPATCH_IDS])


def announce(dead_letter: int, order_id: UUID, reason: str) -> None:
    current_app.send_task(
        "dead_letter",
        kwargs={"id": dead_letter, "order_id": str(order_id), "reason": reason},
        queue="dead",
        # The same for the same letter, should it be sent again by a process that died before it could note it.
        task_id=f"dead-letter-{dead_letter}",
    )


def dispatches_waiting() -> int | None:
    """Messages on the queue `orders` that no worker has taken; None when the broker does not answer."""
    try:
        with current_app.connection_for_read() as connection:
            return int(connection.default_channel.queue_declare("orders", passive=True).message_count)
    except ChannelError:
        return 0  # Redis keeps no empty list, so kombu knows no empty queue.
    except Exception as error:
        log.warning("the broker does not answer: %s", error)
        return None


@shared_task(name="reconcile", queue="dbsync", ignore_result=True)
def reconcile(**_: Any) -> None:
    """Finds what doorbells, executors and Redis lost."""
    reconciler = Reconciler(
        watch=watch(),
        max_attempts=settings.MAX_ATTEMPTS,
        dead_after_s=settings.EXECUTOR_DEAD_AFTER_S,
        settle_s=settings.EXECUTOR_DEAD_AFTER_S - settings.HEARTBEAT_S,
        grace_s=settings.RECONCILE_GRACE_S,
        backlog_grace_s=settings.RECONCILE_BACKLOG_GRACE_S,
        dispatch=dispatch_all,
        waiting=dispatches_waiting,
        announce=announce,
        publish=publisher().publish,
    )
    done = reconcile_session().run(reconciler.run)
    worked("reconcile")
    metrics.EXECUTORS_LOST.inc(done.get("dead", 0))
    metrics.TAKEOVERS.inc(done.get("taken_over", 0))
    metrics.DISPATCHED_AGAIN.inc(done.get("dispatched", 0))


@shared_task(name="expire_orders", queue="dbsync", ignore_result=True)
def expire_orders(**_: Any) -> None:
    """Ends orders that waited past their time."""
    for _round in range(EXPIRE_ROUNDS):
        news = reconcile_session().run(expire, arming().tell)
        publisher().publish(news)
        if len(news) < BATCH:
            return


@cache
def book() -> Book:
    return Book(settings.REDIS_URL)


@cache
def keeper() -> Keeper:
    return Keeper(book())


def worked(task: str) -> None:
    """Notes for `/readyz` that the task has done its work."""
    with suppress(redis.RedisError):
        mark(book().redis, task)


@shared_task(name="keep_book", queue="dbsync", ignore_result=True)
def keep_book(**_: Any) -> None:
    """Keeps the trigger book true to Postgres."""
    try:
        done = reconcile_session().run(keeper().run)
        reconcile_session().run(note_skew)
    except redis.RedisError as error:
        log.warning("the trigger book cannot be kept: %s", error)
        return
    worked("keep_book")
    if found := {name: count for name, count in done.items() if count and name != "rebuilt"}:
        log.warning("the trigger book was put right: %s", found)


PRUNE = """
DELETE FROM orders_executor WHERE state <> 'alive' AND heartbeat_at < now() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.run_at IS NOT NULL AND o.executor = orders_executor.id)
"""


@shared_task(name="prune", queue="dbsync", ignore_result=True)
def prune(**_: Any) -> None:
    """Forgets executors that left long ago, and finished orders where RETENTION_DAYS says so."""
    reconcile_session().run(lambda connection: connection.execute(PRUNE))
    if settings.RETENTION_DAYS:
        forgotten = reconcile_session().run(lambda connection: forget(connection, days=settings.RETENTION_DAYS))
        log.info("%d orders that ended more than %d days ago are forgotten", forgotten, settings.RETENTION_DAYS)
