"""Waking workers for orders: one Celery message for the orders of a moment.

A message costs a worker over a millisecond whatever it carries, so ids are collected for a moment before one is sent.
It is best effort: an order whose message is lost is dispatched again by the reconciler.
"""

import asyncio
import logging
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
    """Dispatches orders from an event loop, without an answer.

    Sends at once when nothing was sent for `window_ms` or when a message of `max_batch` ids is full, else what has come until
    the window ends. While the broker is away at most `capacity` ids wait; those beyond are left to the reconciler.
    """

    def __init__(self, *, window_ms: float, max_batch: int, capacity: int) -> None:
        self._window_s = window_ms / 1000
        self._max_batch = max_batch
        self._capacity = capacity
        self._waiting: list[UUID] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dispatch")
        self._task: asyncio.Task[None] | None = None
        self._full = asyncio.Event()
        self._sent_at = -math.inf
        self.lost = 0
        """Ids whose message could not be sent."""

    def dispatch(self, order_ids: Sequence[UUID]) -> None:
        """Takes ids over. To be called on the loop."""
        if len(self._waiting) + len(order_ids) > self._capacity:
            self.lost += len(order_ids)
            return
        self._waiting.extend(order_ids)
        if len(self._waiting) >= self._max_batch:
            self._full.set()
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def close(self) -> None:
        """Sends what waits, at once, and ends."""
        self._window_s = 0
        self._full.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=False)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._sent_at + self._window_s):
                    await self._full.wait()
            self._sent_at = loop.time()
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            if len(self._waiting) < self._max_batch:
                self._full.clear()
            await loop.run_in_executor(self._thread, self._dispatch, batch)

    def _dispatch(self, order_ids: list[UUID]) -> None:
        try:
            dispatch(order_ids)
        except BROKER_AWAY as error:
            self.lost += len(order_ids)
            log.warning("%d orders not dispatched: %s", len(order_ids), error)
