"""What operators do to orders and plans, one by one."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

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


def on_one(
    page: ModelAdmin,
    request: HttpRequest,
    row: QuerySet[Changed],
    object_id: str,
    change: Callable[[Changed], Any],
    done: str,
) -> HttpResponse:
    """Asks whether it is meant, then changes the row, and goes back to its page. Following a link changes nothing."""
    what = row.model._meta.model_name
    here = reverse(f"admin:orders_{what}_change", args=[object_id])
    if request.method != "POST":
        asked = {"title": f"{done.capitalize()}?", "back": here, "what": what}
        return TemplateResponse(request, "admin/sure.html", {**page.admin_site.each_context(request), **asked})
    on_each(request, list(row), change, done)
    return HttpResponseRedirect(here)


def asker(request: HttpRequest) -> Asker:
    return Asker(user_name(request.user), request.META.get("REQUEST_ID"))
