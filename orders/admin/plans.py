"""Plans, with their orders and events."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from accounts.read_only import ReadOnlyAdmin
from orders.models import Plan, PlanStatus

MAX_SHOWN = 200
BREAK = SafeString("<br>")


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "status", "account", "client_plan_id", "finished_at")
    list_filter = ("kind", "status")
    list_select_related = ("account",)
    ordering = ("-id",)
    show_full_result_count = False
    search_fields = ("id__exact", "client_plan_id__exact")
    fields = (
        "id", "account", "client_plan_id", "kind", "status", "seq", "holder", "due_at", "progress", "spec", "legs", "events_",
        "created_at", "updated_at", "finished_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("spec")

    @display(description="orders")
    def legs(self, plan: Plan) -> str:
        orders = plan.orders.order_by("-id")[:MAX_SHOWN]
        return format_html_join(
            BREAK,
            '<a href="{}">{} {}</a> {} {}',
            ((reverse("admin:orders_order_change", args=[o.pk]), o.leg, o.round, o.status, o.amount) for o in orders),
        )

    @display(description="events")
    def events_(self, plan: Plan) -> str:
        events = plan.events.order_by("-seq")[:MAX_SHOWN]
        return format_html_join(
            BREAK,
            "{} {} {} {}",
            ((e.seq, e.at.isoformat(), PlanStatus(e.status).label, e.data) for e in events),
        )
