"""A plan and its events as clients read them."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from orders.models import Order, Plan, PlanEvent
from orders.plans.values import PlanStatus
from orders.representation import Moment, Out, StatusName, Uuid, limit_shown, number
from orders.trailing import followed
from orders.wire import timestamp
from routing.world import tokens

MAX_LEGS = 200
"""The newest; a schedule has one for each slice."""
PlanStatusName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [status.value for status in PlanStatus]})]


class LegOut(Out):
    leg: str
    round: int
    order_id: Uuid
    seq: Annotated[int, msgspec.Meta(description="Of the order's last event.")]
    status: StatusName
    resting: bool
    type: str
    amount: str | None
    exact_out: Annotated[str, msgspec.Meta(description="What an entry is to buy, where it says that.")] | None
    amount_in: Annotated[str, msgspec.Meta(description="What it sold.")] | None
    limit_price: (
        Annotated[str, msgspec.Meta(description="tokenOut per tokenIn, also where it was asked for in tokenIn.")] | None
    )
    trail_bps: int | None
    activation_price: str | None
    high: Annotated[str, msgspec.Meta(description="That a trailing stop follows, to the last second or two.")] | None
    slippage_bps: int
    amount_out: str | None
    executed_price: str | None
    failure: Annotated[str, msgspec.Meta(description="Its code.")] | None


class PlanOut(Out):
    plan_id: Uuid
    client_plan_id: str | None
    kind: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["bracket", "schedule"]})]
    status: PlanStatusName
    seq: Annotated[int, msgspec.Meta(description="Of the last event.")]
    spec: Annotated[dict[str, Any], msgspec.Meta(description="What was asked for, with everything that has a default.")]
    progress: Annotated[dict[str, Any], msgspec.Meta(description="What the last step counted.")]
    legs: Annotated[list[LegOut], msgspec.Meta(description=f"Its orders, the newest {MAX_LEGS}, the oldest first.")]
    next_at: Annotated[Moment, msgspec.Meta(description="When time alone makes something happen.")] | None
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None


class PlansOut(Out):
    plans: list[PlanOut]
    next: Annotated[str, msgspec.Meta(description="Of the next page.")] | None


class PlanEventOut(Out):
    seq: int
    status: PlanStatusName
    at: Moment
    data: dict[str, Any]


class PlanEventsOut(Out):
    events: list[PlanEventOut]


def plan_out(plan: Plan, orders: Sequence[Order]) -> PlanOut:
    return PlanOut(
        plan_id=str(plan.id),
        client_plan_id=plan.client_plan_id,
        kind=plan.kind,
        status=plan.status,
        seq=plan.seq,
        spec=camel(plain(named({name: value for name, value in plan.spec.items() if name not in ("kind", "mode")}))),
        progress=plain(plan.progress),
        legs=[leg_out(order) for order in orders],
        next_at=None if plan.due_at is None else timestamp(plan.due_at),
        created_at=timestamp(plan.created_at),
        updated_at=timestamp(plan.updated_at),
        finished_at=None if plan.finished_at is None else timestamp(plan.finished_at),
    )


def leg_out(order: Order) -> LegOut:
    assert order.leg is not None and order.round is not None
    trails = order.trail_bps is not None
    high = None if not trails else followed(order) if order.resting else order.trail_high
    return LegOut(
        leg=order.leg,
        round=order.round,
        order_id=str(order.id),
        seq=order.seq,
        status=order.status,
        resting=order.resting,
        type=order.type,
        amount=number(order.amount),
        exact_out=number(order.exact_out),
        amount_in=number(order.amount_in),
        limit_price=number(limit_shown(order)),
        trail_bps=order.trail_bps,
        activation_price=number(order.activation_price),
        high=number(high),
        slippage_bps=order.slippage_bps,
        amount_out=number(order.amount_out),
        executed_price=number(order.executed_price),
        failure=order.failure_code,
    )


def newest_orders(plan: Plan) -> list[Order]:
    """Those of its orders that are shown, the oldest first."""
    return list(Order.objects.filter(plan=plan).order_by("-id")[:MAX_LEGS])[::-1]


def event_out(event: PlanEvent) -> PlanEventOut:
    return PlanEventOut(event.seq, event.status, timestamp(event.at), plain(event.data))


EXPONENT = re.compile(r"[0-9]+(\.[0-9]+)?E\+[0-9]{1,2}")
TOKENS = ("token", "quote", "token_in", "token_out")


def named(value: Any) -> Any:
    """A stored spec with the tokens' names instead of their mints."""
    if isinstance(value, dict):
        return {
            name: tokens().label(inner) if name in TOKENS and isinstance(inner, str) else named(inner)
            for name, inner in value.items()
        }
    return value


def plain(value: Any) -> Any:
    """Stored numbers in plain digits: `300` is kept as `3E+2`, which is the same wish however it was written."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return f"{Decimal(value):f}" if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def camel(value: Any) -> Any:
    """The names of a stored spec as JSON has them elsewhere."""
    if isinstance(value, dict):
        return {
            first + "".join(map(str.title, rest)): camel(inner)
            for name, inner in value.items()
            for first, *rest in [name.split("_")]
        }
    return [camel(each) for each in value] if isinstance(value, list) else value
