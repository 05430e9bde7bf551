"""The message that wakes a worker for orders: encoded here for whoever sends it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings

MAX_SHOWN = 1024
"""Characters of its arguments that Flower shows; Celery would cut them at the same length."""


def send_wake_up(order_ids: Sequence[UUID], *, trigger: Mapping[str, Any] | None = None, delay_s: float = 0) -> None:
    """Sends one `execute_orders` message, blocking. `trigger` is what fired resting orders.

    Raises what kombu and the transport raise while the broker does not take it (`orders.dispatch.BROKER_AWAY`).
    RabbitMQ counts whole seconds: there the message comes as much as one second later than it was asked for.
    """
    kwargs: dict[str, Any] = {"order_ids": [str(order_id) for order_id in order_ids]}
    if trigger is not None:
        kwargs["trigger"] = trigger
    # Celery's own text of the arguments costs a third of what the message does.
    shown = repr(kwargs)[:MAX_SHOWN]
    # Rounded down to a whole second, as kombu does it, it would come before the order is due.
    countdown = (math.ceil(delay_s) if settings.RABBITMQ else delay_s) or None
    current_app.send_task("execute_orders", kwargs=kwargs, kwargsrepr=shown, queue="orders", countdown=countdown)
