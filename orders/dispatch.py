"""The doorbell: one Celery message for the orders of a moment.

A message costs a worker over a millisecond whatever it carries, so ids are collected for a moment before one is sent.
It is best effort: an order whose message is lost is rung for again by the reconciler.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

BROKER_AWAY = (OperationalError, OSError, redis.RedisError)
"""kombu passes on as they are what Redis refuses to do, out of memory for one."""

MAX_SHOWN = 1024
"""Characters, as Celery would cut it."""


def dispatch(order_ids: Sequence[UUID], *, trigger: dict[str, Any] | None = None, delay_s: float = 0) -> None:
    """Sends one `execute_orders` message, blocking. Raises `BROKER_AWAY` while the broker is.

    RabbitMQ counts whole seconds: there the message comes as much as one second later than it was asked for.
    """
    kwargs: dict[str, Any] = {"order_ids": [str(order_id) for order_id in order_ids]}
    if trigger is not None:
        kwargs["trigger"] = trigger
    # What Flower shows. Celery's own writing of it costs a third of the message.
    shown = repr(kwargs)[:MAX_SHOWN]
    # Cut down to a whole second, as kombu would, it came too early to be due, and a fraction of one would be refused.
    countdown = (math.ceil(delay_s) if settings.RABBITMQ else delay_s) or None
    current_app.send_task("execute_orders", kwargs=kwargs, kwargsrepr=shown, queue="orders", countdown=countdown)


class Dispatcher:
    """Rings for orders from an event loop; fire and forget.

    Sends at once when it was silent for `window_ms` or when a message of `max_batch` ids is full, else what has come until the
    window ends. While the broker is away at most `capacity` ids wait; those beyond are left to the reconciler.
    """

    def __init__(self, *, window_ms: float, max_batch: int, capacity: int) -> None:
        self._window_s = window_ms / 1000
        self._max_batch = max_batch
        self._capacity = capacity
        self._waiting: list[UUID] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doorbell")
        self._task: asyncio.Task[None] | None = None
        self._full = asyncio.Event()
        self._sent_at = -math.inf
        self.lost = 0

    def dispatch(self, order_ids: Sequence[UUID]) -> None:
        """Call it from the loop."""
        if len(self._waiting) + len(order_ids) > self._capacity:
            self.lost += len(order_ids)
            return
        self._waiting.extend(order_ids)
        if len(self._waiting) >= self._max_batch:
            self._full.set()
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def close(self) -> None:
        """Sends what waits, at once."""
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
            log.warning("doorbell for %d orders not sent: %s", len(order_ids), error)
