"""The doorbell: one Celery message for the orders of a moment.

A message costs a worker over a millisecond whatever it carries, so while one is being sent the next collects ids. It is
best effort: an order whose message is lost is rung for again by the reconciler.
"""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from runtime.groupcommit import GroupCommit, GroupFull

log = logging.getLogger(__name__)


def ring(order_ids: Sequence[UUID], *, trigger: dict[str, Any] | None = None, delay_s: float = 0) -> None:
    """Sends one `execute_orders` message, blocking. Raises `kombu.exceptions.OperationalError` while the broker is away."""
    kwargs: dict[str, Any] = {"order_ids": [str(order_id) for order_id in order_ids]}
    if trigger is not None:
        kwargs["trigger"] = trigger
    current_app.send_task("execute_orders", kwargs=kwargs, queue="orders", countdown=delay_s or None)


class Doorbell(GroupCommit[UUID, None]):
    """Rings for orders from an event loop; fire and forget."""

    def __init__(self, *, window_ms: float, most: int, capacity: int) -> None:
        super().__init__(self._ring, name="doorbell", window_ms=window_ms, most=most, capacity=capacity)
        self.lost = 0

    def ring(self, order_id: UUID) -> None:
        try:
            self.submit(order_id).add_done_callback(lambda sent: sent.cancelled() or sent.exception())
        except GroupFull:
            self.lost += 1

    def _ring(self, order_ids: list[UUID]) -> list[None]:
        try:
            ring(order_ids)
        except (OperationalError, OSError, redis.RedisError) as error:
            self.lost += len(order_ids)
            log.warning("doorbell for %d orders not sent: %s", len(order_ids), error)
        return [None] * len(order_ids)
