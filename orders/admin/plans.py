"""Plans: the list, one plan with its orders and events, cancel."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display

from orders import commands
from orders.admin.changes import asker, on_one
from orders.admin.panels import PanelsAdmin, nowrap
from orders.admin.plan_facts import happened, plan_facts, progress, title, waits_for
from orders.ids import uuid_of
from orders.models import Plan, PlanStatus
from orders.plans.values import ENDED
from orders.plans.values import PlanStatus as Wanted

MAX_SHOWN = 200
COLOURS = {
    PlanStatus.ACTIVE: "info",
    PlanStatus.PAUSED: "warning",
    PlanStatus.CLOSING: "warning",
    PlanStatus.COMPLETED: "success",
    PlanStatus.FAILED: "danger",
}


def plans_of(object_id: str) -> QuerySet[Plan]:
    """The plan of an address, or none."""
    plan_id = uuid_of(object_id)
    return Plan.objects.none() if plan_id is None else Plan.objects.filter(pk=plan_id)


def close(plan: Plan, by: commands.Asker) -> Plan:
    return commands.change_plan(plan, Wanted.CLOSING, by)


@admin.register(Plan)
class PlanAdmin(PanelsAdmin):
    list_display = ("made", "swap", "kind", "shown_status", "progress_", "account", "client_id")
    list_display_links = ("swap",)
    list_filter = ("kind", "status")
    list_select_related = ("account",)
    search_fields = ("id",)
    search_help_text = "Plan id or client plan id"
    actions_detail = ("cancel_plan",)
    change_form_after_template = "admin/plan_panels.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Plan], search_term: str
    ) -> tuple[QuerySet[Plan], bool]:
        term = search_term.strip().replace("\0", "")
        if plan_id := uuid_of(term):
            return queryset.filter(pk=plan_id), False
        return queryset.filter(client_plan_id=term) if term else queryset, False

    def panels(self, object_id: str) -> dict[str, Any]:
        """See `PanelsAdmin`."""
        context: dict[str, Any] = {"title": "Plan", "subtitle": None}
        plan = plans_of(object_id).select_related("account").first()
        if plan is not None:
            context |= {
                "facts": plan_facts(plan),
                "legs": [(order, waits_for(order)) for order in plan.orders.order_by("-id")[:MAX_SHOWN]],
                "events": [(event, list(happened(event.data))) for event in plan.events.order_by("-seq")[:MAX_SHOWN]],
            }
        return context

    @display(description="made")
    def made(self, plan: Plan) -> str:
        return nowrap(f"{plan.created_at:%m-%d %H:%M:%S}")

    @display(description="plan")
    def swap(self, plan: Plan) -> str:
        return nowrap(title(plan))

    @display(description="status", label=COLOURS)
    def shown_status(self, plan: Plan) -> str:
        return plan.status

    @display(description="progress")
    def progress_(self, plan: Plan) -> str:
        return progress(plan)

    @display(description="client plan id")
    def client_id(self, plan: Plan) -> str:
        """Enough of it to know it again."""
        name = plan.client_plan_id or ""
        return name if len(name) <= 24 else f"{name[:14]}…{name[-8:]}"

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Its button is there while the plan goes on."""
        if not self.has_operate_permission(request):
            return False
        open_plan = plans_of(str(object_id)).exclude(status__in=ENDED)
        return request.method == "POST" or open_plan.exists()

    @action(description="Cancel", permissions=["cancel"], url_path="cancel", icon="cancel")
    def cancel_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        by, plans = asker(request), plans_of(object_id)
        return on_one(self, request, plans, object_id, lambda plan: close(plan, by), "plan cancelled")
