"""Risk in the admin: who may trade what, who changed it, and the kill switch. Limits are set over REST or on a terminal."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.auth import user_name
from accounts.models import Account
from accounts.read_only import ReadOnlyAdmin
from risk.changes import By, CapsNotSet, limits_of, set_state
from risk.models import Change, Rule
from risk.values import EVERYBODY, Limits, TradingState

COLOURS = {"ACTIVE": "success", "REDUCING": "warning", "HALTED": "danger"}


def name_of(account_id: int) -> str:
    if account_id == EVERYBODY:
        return "everybody"
    return Account.objects.filter(pk=account_id).values_list("name", flat=True).first() or f"account {account_id}"


class OperatorsOnly(ReadOnlyAdmin):
    """Whoever may halt trading may look, and nobody else."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


@admin.register(Rule)
class RuleAdmin(OperatorsOnly):
    """Of everybody together, and of each account that has one."""

    list_display = ("whose", "shown_state", "limits")
    list_filter = ("state",)
    ordering = ("account_id",)
    fields = readonly_fields = ("whose", "state", "limits")
    actions = ("halt", "reduce", "activate")

    @display(description="account")
    def whose(self, rule: Rule) -> str:
        return name_of(rule.account_id)

    @display(description="trading state", label=COLOURS)
    def shown_state(self, rule: Rule) -> str:
        return rule.state

    @display(description="limits")
    def limits(self, rule: Rule) -> str:
        limits = limits_of(rule)
        set_ = {name: value for name in Limits.__struct_fields__ if (value := getattr(limits, name)) not in (None, ())}
        return ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in set_.items()) or "none"

    @admin.action(description="HALT: submit nothing more", permissions=["operate"])
    def halt(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self._set(request, queryset, TradingState.HALTED)

    @admin.action(description="Only let positions be reduced", permissions=["operate"])
    def reduce(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self._set(request, queryset, TradingState.REDUCING)

    @admin.action(description="Let trading go on", permissions=["operate"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        self._set(request, queryset, TradingState.ACTIVE)

    def _set(self, request: HttpRequest, queryset: QuerySet[Rule], state: TradingState) -> None:
        by = By(user_name(request.user), staff=True, request_id=request.META.get("REQUEST_ID"))
        for rule in queryset:
            try:
                set_state(rule.account_id, state, by)
            except CapsNotSet as error:
                messages.error(request, f"{name_of(rule.account_id)}: {error.__doc__}")
                continue
            messages.success(request, f"{name_of(rule.account_id)}: {state}, within a second.")


def shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


@admin.register(Change)
class ChangeAdmin(OperatorsOnly):
    """Who changed what, when, from and to."""

    list_display = ("at", "whose", "by", "before", "after", "request_id")
    ordering = ("-id",)
    fields = readonly_fields = list_display

    @display(description="account")
    def whose(self, change: Change) -> str:
        return name_of(change.account_id)
