"""What operators do to orders and plans, one by one."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.http import HttpRequest

from accounts.auth import user_name
from orders.commands import Asker, Overtaken
from orders.errors import ApiError
from orders.models import Order, Plan

MAX_REFUSALS_SHOWN = 5
Changed = TypeVar("Changed", Order, Plan)


def on_each(request: HttpRequest, rows: list[Changed], change: Callable[[Changed], Any], done: str) -> None:
    """Changes orders or plans one by one and says how many were, and why the others were not."""
    refused: list[str] = []
    for row in rows:
        try:
            change(row)
        except ApiError as error:
            refused.append(f"{row.pk}: {error.message}")
        except Overtaken as overtaken:
            refused.append(f"{row.pk}: {overtaken}")
    if len(rows) > len(refused):
        messages.success(request, f"{len(rows) - len(refused)} {done}.")
    for line in refused[:MAX_REFUSALS_SHOWN]:
        messages.warning(request, line)


def asker(request: HttpRequest) -> Asker:
    return Asker(user_name(request.user), request.META.get("REQUEST_ID"))
