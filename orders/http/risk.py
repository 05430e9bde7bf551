"""Trading state and limits over REST: an account's own, and for staff everybody's."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import Caller
from accounts.models import Account
from accounts.rest import MayTrade
from orders.errors import ApiError
from orders.http.answers import (
    LimitsOut,
    RiskChangeOut,
    RiskOut,
    RuleOut,
    TradingStateOut,
    UsedOut,
    schema,
)
from orders.http.view import ERROR, ERRORS, View, json_body
from orders.ids import uuid7_at
from orders.json_in import Reader
from orders.models import Order
from orders.order_in import checked_gates, checked_threshold, token
from orders.representation import number
from orders.wire import text, timestamp
from risk import changes
from risk.changes import By, CapsNotSet, SetByStaff, limits_of
from risk.models import Budget, Change, Rule
from risk.rules import rules
from risk.values import EVERYBODY, Limits, TradingState, strictest
from risk.values import Rule as Known
from risk.worth import quote_tokens
from routing.gates import Gates
from routing.world import tokens

EVERYBODYS = "*"
"""In `account=`: the rule of all accounts together."""
SHOWN_CHANGES = 20
MAX_COUNTED = 10_000
"""Orders; more are not counted for people to read."""
Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Names = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=1000)]
ACCOUNT = OpenApiParameter("account", description="Staff: another account's name, or `*` for everybody together")


class LimitsIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """What is left out, or null, is not limited. Money counts in the first quote token."""

    max_notional_per_order: Decimal | None = None
    max_open_orders: Whole | None = None
    max_orders_per_minute: Whole | None = None
    max_daily_spend: Decimal | None = None
    max_daily_loss: Decimal | None = None
    price_collar_bps: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    allowed_tokens: Names | None = None
    denied_tokens: Names = ()
    gates: Gates | None = None

    def checked(self) -> Limits:
        """Raises `ApiError`: VALIDATION_FAILED, UNKNOWN_TOKEN."""
        allowed = self.allowed_tokens
        return Limits(
            max_notional_per_order=checked_threshold("maxNotionalPerOrder", self.max_notional_per_order),
            max_open_orders=self.max_open_orders,
            max_orders_per_minute=self.max_orders_per_minute,
            max_daily_spend=checked_threshold("maxDailySpend", self.max_daily_spend),
            max_daily_loss=checked_threshold("maxDailyLoss", self.max_daily_loss),
            price_collar_bps=self.price_collar_bps,
            allowed_tokens=None if allowed is None else tuple(token("allowedTokens", each).mint for each in allowed),
            denied_tokens=tuple(token("deniedTokens", each).mint for each in self.denied_tokens),
            gates=None if self.gates is None else checked_gates("gates", self.gates),
        )


class StateIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    state: Literal["ACTIVE", "REDUCING", "HALTED"]
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


limits_reader, state_reader = Reader(LimitsIn), Reader(StateIn)


class RiskView(View):
    accepts = {"GET": frozenset({"account"}), "PUT": frozenset({"account"})}

    @extend_schema(operation_id="risk_read", parameters=[ACCOUNT], responses={200: schema(RiskOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """The account's trading state and limits, what is used of them today, everybody's, and the newest changes."""
        return Response(risk_out(self.account_id()))

    @extend_schema(
        operation_id="risk_limits",
        parameters=[ACCOUNT],
        request={"application/json": {"$ref": "#/components/schemas/LimitsIn"}},
        responses={200: schema(RiskOut), 415: ERROR, 422: ERROR, **ERRORS},
    )
    def put(self, request: Request) -> Response:
        """Sets all limits of the account. What an operator has set only an operator changes."""
        asked: LimitsIn = limits_reader.read(json_body(request))
        account_id, wanted = self.account_id(), asked.checked()
        try:
            changes.set_limits(account_id, wanted, by(request))
        except SetByStaff:
            raise ApiError("FORBIDDEN", "An operator has set these limits; the account cannot change them.") from None
        except CapsNotSet:
            raise caps_not_set() from None
        rules.refresh()
        return Response(risk_out(account_id))

    def account_id(self) -> int:
        """Raises `Http404`, `PermissionDenied`."""
        caller, name = self.request.auth, self.asked.text("account")
        if name is None:
            return int(caller.account_id)
        return named(name, caller)


class TradingStateView(View):
    permission = MayTrade

    @extend_schema(
        operation_id="trading_state",
        request={"application/json": {"$ref": "#/components/schemas/StateIn"}},
        responses={200: schema(TradingStateOut), 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """The kill switch: HALTED stops, within a second, everything that is not submitted yet; ACTIVE lets it go on. Staff, for
        everybody or for the `account` that is named; an account for itself, unless it would loosen what an operator has set."""
        asked: StateIn = state_reader.read(json_body(request))
        account_id = named(EVERYBODYS if asked.account is None else asked.account, request.auth)
        try:
            rule = changes.set_state(account_id, TradingState(asked.state), by(request))
        except SetByStaff:
            raise ApiError("FORBIDDEN", "An operator has stopped trading; only an operator lets it go on.") from None
        except CapsNotSet:
            raise caps_not_set() from None
        rules.refresh()
        return Response(TradingStateOut(TradingState(rule.state), asked.account, timestamp(timezone.now())))


def caps_not_set() -> ApiError:
    return ApiError(
        "CAPS_NOT_SET",
        "On mainnet nobody trades without everybody's maxNotionalPerOrder and maxDailySpend: set them with"
        " PUT /api/risk?account=*, and halt trading before you take them away.",
    )


def by(request: Request) -> By:
    return By(request.auth.name, request.auth.is_staff, request.META["REQUEST_ID"])


def named(name: str, caller: Caller) -> int:
    """The account that the caller means and may mean. Raises `Http404`, `PermissionDenied`."""
    if not caller.is_staff:
        if name == EVERYBODYS or not Account.objects.filter(pk=caller.account_id, name=name).exists():
            raise PermissionDenied
        return caller.account_id
    if name == EVERYBODYS:
        return EVERYBODY
    found = Account.objects.filter(name=name).values_list("pk", flat=True).first()
    if found is None:
        raise Http404
    return int(found)


def risk_out(account_id: int) -> RiskOut:
    """As Postgres has it now."""
    found = {rule.account_id: rule for rule in Rule.objects.filter(pk__in=[EVERYBODY, account_id])}
    own, all_ = (found.get(each) or Rule(account_id=each) for each in (account_id, EVERYBODY))
    name = None if account_id == EVERYBODY else Account.objects.get(pk=account_id).name
    quotes = quote_tokens()
    return RiskOut(
        account=name,
        trading_state=strictest(known(rule) for rule in (own, all_)),
        currency=quotes[0].label if quotes else None,
        own=rule_out(own),
        everybody=rule_out(all_),
        used=used_out(account_id),
        changes=[
            RiskChangeOut(
                None if change.account_id == EVERYBODY else name,
                timestamp(change.at),
                change.by,
                change.before,
                change.after,
            )
            for change in Change.objects.filter(account_id__in=[EVERYBODY, account_id]).order_by("-id")[:SHOWN_CHANGES]
        ],
    )


def known(rule: Rule) -> Known:
    return Known(account_id=rule.account_id, state=TradingState(rule.state))


def rule_out(rule: Rule) -> RuleOut:
    limits, label = limits_of(rule), tokens().label
    return RuleOut(
        TradingState(rule.state),
        rule.state_by_staff,
        rule.limits_by_staff,
        LimitsOut(
            max_notional_per_order=number(limits.max_notional_per_order),
            max_open_orders=limits.max_open_orders,
            max_orders_per_minute=limits.max_orders_per_minute,
            max_daily_spend=number(limits.max_daily_spend),
            max_daily_loss=number(limits.max_daily_loss),
            price_collar_bps=limits.price_collar_bps,
            allowed_tokens=None if limits.allowed_tokens is None else [label(mint) for mint in limits.allowed_tokens],
            denied_tokens=[label(mint) for mint in limits.denied_tokens],
            gates=limits.gates,
        ),
    )


def used_out(account_id: int) -> UsedOut:
    now = timezone.now()
    budget = Budget.objects.filter(pk=account_id, day=now.date()).first()
    orders = Order.objects.all() if account_id == EVERYBODY else Order.objects.filter(account_id=account_id)
    return UsedOut(
        spent_today=text(budget.spent if budget else Decimal(0)),
        lost_today=text(budget.lost if budget else Decimal(0)),
        lost_unpriced=[tokens().label(mint) for mint in (budget and budget.unpriced) or ()],
        open_orders=orders.filter(finished_at=None)[:MAX_COUNTED].count(),
        orders_last_minute=orders.filter(pk__gte=uuid7_at(now.timestamp() - 60))[:MAX_COUNTED].count(),
    )
