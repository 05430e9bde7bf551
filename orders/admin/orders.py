"""Orders: the list, one order with its history, cancel and requeue."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import action, display

from accounts.models import Account
from orders import commands
from orders.admin.changes import asker, on_each, on_one
from orders.admin.facts import SIGNS, called, facts, swap
from orders.admin.filters import AccountFilter, StatusFilter, TypeFilter
from orders.admin.panels import PanelsAdmin, nowrap
from orders.ids import uuid_of
from orders.lifecycle import Status
from orders.models import DeadLetter, Order, OrderEvent, OrderType, Transaction
from orders.wire import text

MAX_EVENTS = 500
NAMES = {"token_launch": "launch", "liquidity": "liquidity", "volume": "volume"}
"""Of a sniper's trigger, short enough for the list."""
STATUS_COLOURS = {
    Status.PENDING: "warning",
    Status.ROUTING: "info",
    Status.BUILDING: "info",
    Status.SUBMITTED: "info",
    Status.CONFIRMED: "success",
    Status.FAILED: "danger",
}


def found_orders(queryset: QuerySet[Order], term: str) -> QuerySet[Order]:
    """By order id, client order id or signature, each in full: every one of them has an index."""
    term = term.strip().replace("\0", "")
    if order_id := uuid_of(term):
        return queryset.filter(pk=order_id)
    of_client = queryset.filter(account__in=Account.objects.all(), client_order_id=term).values("pk")
    of_signature = Transaction.objects.filter(signature=term).values("order_id")
    ids = [*of_client.values_list("pk", flat=True), *of_signature.values_list("order_id", flat=True)]
    return queryset.filter(pk__in=ids)


@admin.register(Order)
class OrderAdmin(PanelsAdmin):
    list_display = ("shown_id", "placed", "account", "kind", "swap", "shown_status", "outcome")
    list_display_links = ("shown_id",)
    list_select_related = ("account",)
    list_filter = (StatusFilter, TypeFilter, AccountFilter)
    search_fields = ("id",)
    search_help_text = "Order id, client order id or signature"
    actions = ("cancel_orders",)
    actions_detail = ("cancel_order", "requeue_order")
    change_form_after_template = "admin/order_panels.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        return (found_orders(queryset, search_term) if search_term.strip() else queryset), False

    def panels(self, object_id: str) -> dict[str, Any]:
        """See `PanelsAdmin`."""
        context: dict[str, Any] = {"title": "Order", "subtitle": None}
        if order_id := uuid_of(object_id):
            events = list(OrderEvent.objects.filter(order_id=order_id).order_by("seq")[:MAX_EVENTS])
            context |= {
                "facts": facts(Order.objects.select_related("account").filter(pk=order_id).first()),
                "events": events,
                "rounds": [event for event in events if event.data.get("quotes")],
                "transactions": Transaction.objects.filter(order_id=order_id).order_by("attempt", "created_at"),
                "dead_letters": DeadLetter.objects.filter(order_id=order_id).order_by("epoch"),
            }
        return context

    @display(description="id")
    def shown_id(self, order: Order) -> str:
        return format_html("<code title='{}'>{}</code>", order.pk, str(order.pk)[-12:])

    @display(description="placed")
    def placed(self, order: Order) -> str:
        return nowrap(f"{order.created_at:%m-%d %H:%M:%S}")

    @display(description="type", label=True)
    def kind(self, order: Order) -> str:
        if order.type != OrderType.LIMIT or order.limit_price is None:
            return NAMES.get(order.trigger_kind or "", order.type)
        return f"{SIGNS[order.trigger_condition or 'gte']} {text(order.limit_price)}"

    @display(description="swap")
    def swap(self, order: Order) -> str:
        return nowrap(swap(order))

    @display(description="status", label=STATUS_COLOURS)
    def shown_status(self, order: Order) -> tuple[str, str]:
        return order.status, "resting" if order.resting else order.status

    @display(description="outcome")
    def outcome(self, order: Order) -> str:
        """What was received and where, or why nothing was."""
        if order.amount_out is None:
            return order.failure_code or ""
        return nowrap(f"{text(order.amount_out)} {called(order.token_out)} · {order.venue}")

    @admin.action(description="Cancel the chosen orders that have not begun", permissions=["operate"])
    def cancel_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        by = asker(request)
        on_each(request, list(queryset), lambda order: commands.cancel(order, by), "cancelled")

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Its button is there while the order can be cancelled."""
        return self._may(request, object_id, Status.PENDING)

    def has_requeue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Status.FAILED)

    def _may(self, request: HttpRequest, object_id: Any, status: Status) -> bool:
        """Whether a button shows. What is pressed too late is refused by `orders.commands`."""
        if not self.has_operate_permission(request):
            return False
        order_id = uuid_of(str(object_id))
        return order_id is not None and (
            request.method == "POST" or Order.objects.filter(pk=order_id, status=status).exists()
        )

    @action(description="Cancel", permissions=["cancel"], url_path="cancel", icon="cancel")
    def cancel_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        by = asker(request)
        orders = Order.objects.filter(pk=object_id)
        return on_one(self, request, orders, object_id, lambda order: commands.cancel(order, by), "order cancelled")

    @action(description="Requeue", permissions=["requeue"], url_path="requeue", icon="replay")
    def requeue_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        by = asker(request)
        orders = Order.objects.filter(pk=object_id)
        return on_one(self, request, orders, object_id, lambda order: commands.requeue(order, by), "order requeued")
