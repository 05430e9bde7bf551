"""The operator's view of orders: everything can be seen, and what is changed goes through `orders.commands`."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.models import Account
from orders import commands
from orders.admin.keyset import KeysetMixin
from orders.errors import ApiError
from orders.ids import uuid_of
from orders.lifecycle import FINAL, Status
from orders.models import DeadLetter, Executor, Order, OrderEvent, OrderType, Transaction
from orders.wire import text

MAX_EVENTS = 500
STATUS_COLOURS = {
    Status.PENDING: "warning",
    Status.ROUTING: "info",
    Status.BUILDING: "info",
    Status.SUBMITTED: "info",
    Status.CONFIRMED: "success",
    Status.FAILED: "danger",
}


def wish(order: Order) -> str:
    return f"{text(order.amount)} {order.token_in} → {order.token_out}"


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Looks, and offers actions to whoever has the permission to change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("orders.change_order"))


class StatusFilter(admin.SimpleListFilter):
    """The partial indexes hang on what changes once in an order's life, so each status names that, too."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("resting", "resting"), *((status.value, status.value) for status in Status)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        match self.value():
            case None:
                return queryset
            case "open":
                return queryset.filter(finished_at=None)
            case "resting":
                return queryset.filter(resting=True, finished_at=None)
            case Status.CONFIRMED:
                return queryset.filter(status=Status.CONFIRMED)
            case status if status in FINAL:
                return queryset.filter(status=status, finished_at__isnull=False, tx_hash=None)
            case status:
                return queryset.filter(status=status, finished_at=None)


class TypeFilter(admin.SimpleListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value) for kind in OrderType]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        return queryset if self.value() is None else queryset.filter(type=self.value())


class AccountFilter(admin.SimpleListFilter):
    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Account.objects.order_by("name").values_list("pk", "name")[:50]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        wanted = self.value()
        return queryset.filter(account_id=int(wanted)) if wanted and wanted.isdigit() else queryset


def found_orders(queryset: QuerySet[Order], term: str) -> QuerySet[Order]:
    """By order id, client order id or signature, each whole: every one of them has an index."""
    term = term.strip().replace("\0", "")
    if order_id := uuid_of(term):
        return queryset.filter(pk=order_id)
    of_client = queryset.filter(account__in=Account.objects.all(), client_order_id=term).values("pk")
    of_signature = Transaction.objects.filter(signature=term).values("order_id")
    ids = [*of_client.values_list("pk", flat=True), *of_signature.values_list("order_id", flat=True)]
    return queryset.filter(pk__in=ids)


def on_each(request: HttpRequest, orders: list[Order], change: Callable[[Order], Any], done: str) -> None:
    """Changes orders one by one and says how many were, and why the others were not."""
    refused: list[str] = []
    for order in orders:
        try:
            change(order)
        except ApiError as error:
            refused.append(f"{order.pk}: {error.message}")
    if len(orders) > len(refused):
        messages.success(request, f"{len(orders) - len(refused)} {done}.")
    for line in refused[:5]:
        messages.warning(request, line)


def cancel(order: Order) -> None:
    commands.cancel(order)


def requeue(order: Order, by: str) -> None:
    commands.requeue(order, by)


@admin.register(Order)
class OrderAdmin(KeysetMixin, ReadOnlyAdmin):
    list_display = ("shown_id", "placed", "account", "kind", "swap", "shown_status", "venue", "received", "why")
    list_display_links = ("shown_id",)
    list_select_related = ("account",)
    list_filter = (StatusFilter, TypeFilter, AccountFilter)
    list_fullwidth = True
    search_fields = ("id",)
    search_help_text = "Order id, client order id or transaction signature, in full"
    actions = ("cancel_orders",)
    actions_detail = ("cancel_order", "requeue_order")
    change_form_after_template = "admin/order_panels.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("id", "account", "client_order_id", "request_id"),
                    ("type", "status", "resting"),
                    ("swap", "limit_price", "trigger_condition"),
                    ("trigger_kind", "min_liquidity", "volume_factor"),
                    ("slippage_bps", "max_price_impact_bps", "expires_at"),
                    ("venue", "executed_price", "amount_out"),
                    ("fee", "attempts", "executor"),
                    ("tx_hash", "failure_code", "failure_message"),
                    ("created_at", "updated_at", "finished_at"),
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        return (found_orders(queryset, search_term) if search_term.strip() else queryset), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = extra_context or {}
        if order_id := uuid_of(object_id):
            events = list(OrderEvent.objects.filter(order_id=order_id).order_by("seq")[:MAX_EVENTS])
            context |= {
                "events": events,
                "rounds": [event for event in events if event.data.get("quotes")],
                "transactions": Transaction.objects.filter(order_id=order_id).order_by("attempt", "created_at"),
                "dead_letters": DeadLetter.objects.filter(order_id=order_id).order_by("epoch"),
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    @display(description="order", ordering=None)
    def shown_id(self, order: Order) -> str:
        return format_html("<code title='{}'>{}</code>", order.pk, str(order.pk)[-12:])

    @display(description="placed")
    def placed(self, order: Order) -> str:
        return f"{order.created_at:%Y-%m-%d %H:%M:%S}"

    @display(description="type", label=True)
    def kind(self, order: Order) -> str:
        if order.type != OrderType.LIMIT or order.limit_price is None:
            return order.trigger_kind or order.type
        return f"{'≤' if order.trigger_condition == 'lte' else '≥'} {text(order.limit_price)}"

    @display(description="order")
    def swap(self, order: Order) -> str:
        return wish(order)

    @display(description="status", label=STATUS_COLOURS)
    def shown_status(self, order: Order) -> tuple[str, str]:
        return order.status, "resting" if order.resting else order.status

    @display(description="received")
    def received(self, order: Order) -> str:
        return "" if order.amount_out is None else f"{text(order.amount_out)} {order.token_out}"

    @display(description="failure")
    def why(self, order: Order) -> str:
        return order.failure_code or ""

    @admin.action(description="Cancel the chosen orders that have not begun", permissions=["operate"])
    def cancel_orders(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        on_each(request, list(queryset), cancel, "cancelled")

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
        return self._changed(request, object_id, cancel, "order cancelled")

    @action(description="Requeue", permissions=["requeue"], url_path="requeue", icon="replay")
    def requeue_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        by = request.user.get_username()
        return self._changed(request, object_id, lambda order: requeue(order, by), "order requeued")

    def _changed(self, request: HttpRequest, object_id: str, change: Callable[[Order], Any], done: str) -> HttpResponse:
        here = reverse("admin:orders_order_change", args=[object_id])
        if request.method != "POST":  # Following a link changes nothing.
            context = {**self.admin_site.each_context(request), "title": done.capitalize() + "?", "back": here}
            return TemplateResponse(request, "admin/sure.html", context)
        on_each(request, list(Order.objects.filter(pk=object_id)), change, done)
        return HttpResponseRedirect(here)


class ResolvedFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "all"), ("resolved", "dealt with")]

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": not self.value(),
            "query_string": changelist.get_query_string(remove=["state"]),
            "display": "open",
        }
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        match self.value():
            case "all":
                return queryset
            case "resolved":
                return queryset.filter(resolved_at__isnull=False)
            case _:
                return queryset.filter(resolved_at=None)


@admin.register(DeadLetter)
class DeadLetterAdmin(KeysetMixin, ReadOnlyAdmin):
    list_display = ("created_at", "link", "reason", "attempts", "last_message", "resolved_at", "resolved_by")
    list_select_related = ("order",)
    list_filter = (ResolvedFilter,)
    list_fullwidth = True
    search_fields = ("reason",)
    search_help_text = "Order id or reason, in full"
    actions = ("requeue_letters",)
    change_form_after_template = "admin/dead_letter_panel.html"
    fields = (("link", "reason"), ("created_at", "announced_at"), ("resolved_at", "resolved_by"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        return queryset.filter(Q(order_id=uuid_of(term)) if uuid_of(term) else Q(reason=term.upper())), False

    @display(description="order")
    def link(self, letter: DeadLetter) -> str:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:orders_order_change", args=[letter.order_id]), wish(letter.order)
        )

    @display(description="attempts")
    def attempts(self, letter: DeadLetter) -> int:
        return len(letter.history)

    @display(description="last error")
    def last_message(self, letter: DeadLetter) -> str:
        return str(letter.history[-1].get("message", "")) if letter.history else ""

    @admin.action(description="Requeue the chosen orders", permissions=["operate"])
    def requeue_letters(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        by = request.user.get_username()
        on_each(request, [letter.order for letter in queryset], lambda order: requeue(order, by), "requeued")


@admin.register(Executor)
class ExecutorAdmin(ReadOnlyAdmin):
    list_display = ("name", "pid", "shown_state", "in_flight", "started_at", "heartbeat_at")
    list_per_page = 50
    ordering = ("-heartbeat_at",)

    @display(description="state", label={"alive": "success", "dead": "danger"})
    def shown_state(self, executor: Executor) -> str:
        return executor.state
