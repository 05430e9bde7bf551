"""Risk in the admin: who may trade what, who changed it, and the kill switch."""

from typing import Any

import msgspec
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.auth import user_name
from accounts.models import Account
from accounts.read_only import ReadOnlyAdmin
from risk.changes import By, CapsNotSet, limits_of, set_limits, set_state
from risk.forms import LimitsForm
from risk.models import Change, Rule
from risk.values import EVERYBODY, Limits, TradingState
from routing.gates import Gates

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
    """Of everybody together, and of each account that has one. A change of limits is noted as one over REST is."""

    form = LimitsForm
    list_display = ("whose", "shown_state", "limits")
    list_filter = ("state",)
    ordering = ("account_id",)
    readonly_fields = ("whose", "state")
    actions = ("halt", "reduce", "activate")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("account" if obj is None else "whose", *(() if obj is None else ("state",)), *Limits.__struct_fields__)

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        set_limits(obj.pk, form.limits, by(request))

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
        for rule in queryset:
            try:
                set_state(rule.account_id, state, by(request))
            except CapsNotSet as error:
                messages.error(request, f"{name_of(rule.account_id)}: {error.__doc__}")
                continue
            messages.success(request, f"{name_of(rule.account_id)}: {state}, within a second.")


def by(request: HttpRequest) -> By:
    return By(user_name(request.user), staff=True, request_id=request.META.get("REQUEST_ID"))


def shown(value: Any) -> str:
    if isinstance(value, Gates):
        return msgspec.json.encode(value).decode()
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
