"""Waking workers for orders: one Celery message for the orders of a moment.

A message costs its sender and its worker a millisecond and more whatever it carries, so under load ids are collected for a
moment before one is sent.
It is best effort: an order whose message is lost is dispatched again by the reconciler.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from uuid import UUID

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from runtime.broker import messages_waiting
from triggers.wakeup import send_wake_up

log = logging.getLogger(__name__)

BROKER_AWAY = (OperationalError, OSError, redis.RedisError)
"""kombu passes on as they are what Redis refuses to do, out of memory for one."""


def dispatch(order_ids: Sequence[UUID], delay_ms: int = 0) -> None:
    """Sends `execute_orders` messages of at most MAX_DISPATCH_IDS ids, blocking. Raises `BROKER_AWAY` while the broker is."""
    for start in range(0, len(order_ids), settings.MAX_DISPATCH_IDS):
        send_wake_up(order_ids[start : start + settings.MAX_DISPATCH_IDS], delay_s=delay_ms / 1000)


def dispatches_waiting() -> int | None:
    """Messages on the queue `orders` that no worker has taken; None when the broker does not answer."""
    return messages_waiting("orders")


class PlanWaker:
    """Wakes a worker for plans whose step is due, from a thread of its own; calls that come before a message is sent share it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plans")
        self._waiting = threading.Event()

    def wake(self) -> None:
        """Returns at once, from any thread."""
        if not self._waiting.is_set():
            self._waiting.set()
            self._thread.submit(self._send)

    def _send(self) -> None:
        self._waiting.clear()
        try:
            current_app.send_task("step_plans", queue="dbsync")
        except BROKER_AWAY as error:
            log.warning("plans wait for the beat: %s", error)


@cache
def plan_waker() -> PlanWaker:
    """This process' own, made with the first plan."""
    return PlanWaker()


def wake_plans() -> None:
    plan_waker().wake()


class Dispatcher:
    """Dispatches orders from any thread, without an answer, by a thread of its own.

    What comes to an idle dispatcher is sent at once. After a message the thread rests for `rest_ms` an id of it, at most
    `window_ms`, and what has come by then is the next message; one that is full, of `max_batch` ids, leaves at once. So the
    messages become fewer and larger as load grows. While the broker is away at most `capacity` ids wait; those beyond are
    left to the reconciler.
    """

    def __init__(self, *, rest_ms: float, window_ms: float, max_batch: int, capacity: int) -> None:
        self._rest_s = rest_ms / 1000
        self._window_s = window_ms / 1000
        self._max_batch = max_batch
        self._capacity = capacity
        self._waiting: list[UUID] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
        self._thread.start()
        self.lost = 0
        """Ids whose message could not be sent."""

    def dispatch(self, order_ids: Sequence[UUID]) -> None:
        """Takes ids over. Returns at once, from any thread."""
        with self._changed:
            had = len(self._waiting)
            if had + len(order_ids) > self._capacity:
                self.lost += len(order_ids)
                return
            self._waiting.extend(order_ids)
            if not had or had < self._max_batch <= len(self._waiting):
                self._changed.notify()

    def close(self) -> None:
        """Sends what waits, at once, and ends. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        rested_at = 0.0
        while batch := self._next(rested_at):
            rested_at = time.monotonic() + min(len(batch) * self._rest_s, self._window_s)
            self._dispatch(batch)

    def _next(self, rested_at: float) -> list[UUID]:
        """What the next message holds; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(self._is_due, rested_at - time.monotonic())
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            return batch

    def _is_due(self) -> bool:
        """Whether the next message leaves before the thread has rested."""
        return self._closing or len(self._waiting) >= self._max_batch

    def _dispatch(self, order_ids: list[UUID]) -> None:
        try:
            dispatch(order_ids)
        except BROKER_AWAY as error:
            self.lost += len(order_ids)
            log.warning("%d orders not dispatched: %s", len(order_ids), error)
        except Exception:  # The thread must outlive it.
            self.lost += len(order_ids)
            log.exception("%d orders not dispatched, the reconciler will", len(order_ids))
