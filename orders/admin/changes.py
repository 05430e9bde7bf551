"""What operators do to orders, one by one."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from accounts.auth import user_name
from orders.commands import Asker, Overtaken
from orders.errors import ApiError
from orders.models import Order

MAX_REFUSALS_SHOWN = 5


def on_each(request: HttpRequest, orders: list[Order], change: Callable[[Order], Any], done: str) -> None:
    """Changes orders one by one and says how many were, and why the others were not."""
    refused: list[str] = []
    for order in orders:
        try:
            change(order)
        except ApiError as error:
            refused.append(f"{order.pk}: {error.message}")
        except Overtaken as overtaken:
            refused.append(f"{order.pk}: {overtaken}")
    if len(orders) > len(refused):
        messages.success(request, f"{len(orders) - len(refused)} {done}.")
    for line in refused[:MAX_REFUSALS_SHOWN]:
        messages.warning(request, line)


def asker(request: HttpRequest) -> Asker:
    return Asker(user_name(request.user), request.META.get("REQUEST_ID"))
