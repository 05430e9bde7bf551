"""A plan as clients write it, and what it means: checked, and told in the terms of `orders.plans.values`."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Any, Literal

import msgspec

from orders.errors import ApiError, invalid
from orders.ids import uuid7
from orders.json_in import Reader, not_json
from orders.ledger.values import NewOrder
from orders.order_in import (
    Bps,
    ExitIn,
    Name,
    OrderIn,
    TokenName,
    TrailBps,
    canonical,
    check_ahead,
    checked,
    checked_amount,
    checked_threshold,
    moment,
    token,
)
from orders.plans.commands import NewPlan
from orders.plans.exits import check_together
from orders.plans.values import Bracket, Exit, Schedule, Spec, Terms
from routing.cluster import mode

KINDS = {"takeProfit": "tp", "stopLoss": "stop", "trailing": "trail", "timeLimit": "time"}
MAX_TAKE_PROFITS = 8
TAKING_SLIPPAGE_BPS, PROTECTING_SLIPPAGE_BPS, MAX_SLIPPAGE_BPS = 50, 100, 1_000
"""Where a client names none: an exit that protects is to fill, and widens up to ten per cent."""
MIN_EVERY_S, MAX_EVERY_S, MIN_ENDLESS_S = 1.0, 366 * 86_400.0, 60.0
MAX_SLICES = 1_000


class BracketIn(OrderIn, frozen=True, kw_only=True):
    """An order with its exits; with `entry: false` the exits alone (OCO), which sell `amount` of `tokenIn`."""

    kind: Literal["bracket"]
    client_plan_id: Name | None = None
    entry: bool = True


class ScheduleIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True, kw_only=True):
    """The same order again and again."""

    kind: Literal["schedule"]
    client_plan_id: Name | None = None
    token_in: TokenName
    token_out: TokenName
    amount: Decimal | None = None
    slice_amount: Decimal | None = None
    slices: Annotated[int, msgspec.Meta(ge=1, le=MAX_SLICES)] | None = None
    every: timedelta | None = None
    window: timedelta | None = None
    start_at: datetime | None = None
    jitter_bps: Annotated[int, msgspec.Meta(ge=0, le=9_000)] = 0
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    catch_up: Literal["skip", "spread"] = "skip"
    stop_after_failures: Annotated[int, msgspec.Meta(ge=1, le=MAX_SLICES)] | None = None
    slippage_bps: Bps = 50
    max_price_impact_bps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None


class ExitAmendIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    leg: str
    at_bps: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | msgspec.UnsetType = msgspec.UNSET
    price: Decimal | msgspec.UnsetType = msgspec.UNSET
    portion_bps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | msgspec.UnsetType = msgspec.UNSET
    trail_bps: TrailBps | msgspec.UnsetType = msgspec.UNSET
    slippage_bps: Bps | msgspec.UnsetType = msgspec.UNSET
    max_slippage_bps: Bps | msgspec.UnsetType = msgspec.UNSET


class PlanAmendIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    exits: Annotated[tuple[ExitAmendIn, ...], msgspec.Meta(min_length=1, max_length=12)]


class KindIn(msgspec.Struct):
    kind: str = ""


READERS = {"bracket": Reader(BracketIn), "schedule": Reader(ScheduleIn)}
PlanIn = BracketIn | ScheduleIn


def parse_plan(body: bytes) -> PlanIn:
    """Raises `ApiError`: INVALID_JSON, VALIDATION_FAILED."""
    try:
        kind = msgspec.json.decode(body, type=KindIn).kind
    except msgspec.ValidationError:
        kind = ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(body, error) from None
    if kind not in READERS:
        raise invalid("kind", "must be bracket or schedule")
    plan: PlanIn = READERS[kind].read(body)
    return plan


def unnamed(order: OrderIn, new: NewOrder) -> NewOrder:
    """Where there are no wallets."""
    return new


def plan_of(
    plan: PlanIn,
    *,
    account_id: int,
    key: str | None,
    now: datetime,
    request_id: str | None = None,
    named_wallet: Callable[[OrderIn, NewOrder], NewOrder] = unnamed,
) -> NewPlan:
    """The plan as it goes into the ledger, but for what the present market has to say.

    Raises `ApiError`: VALIDATION_FAILED, UNKNOWN_TOKEN, SAME_TOKEN.
    """
    if isinstance(plan, ScheduleIn):
        return _new(plan.client_plan_id, account_id, key, schedule_of(plan, now), plan)
    if plan.exits is None:
        raise invalid("exits", "is required for a bracket")
    order = checked(plan, account_id=account_id, idempotency_key=None, now=now, request_id=request_id)
    check_ahead(order.expires_at, now)
    order = named_wallet(plan, order)
    return _new(plan.client_plan_id, account_id, key, bracket_of(order, plan.exits, entry=plan.entry), plan)


def plan_of_order(order: OrderIn, new: NewOrder, key: str | None) -> NewPlan:
    """The bracket of an order with exits (`POST /api/orders/execute`); `new` is the order, checked.

    Its clientOrderId is the order's, and finds the plan again as well.
    """
    assert order.exits is not None
    spec = bracket_of(new, order.exits, entry=True)
    name = None if order.client_order_id is None else f"order:{order.client_order_id}"
    return _new(None, new.account_id, key or name, spec, order)


def _new(client_plan_id: str | None, account_id: int, key: str | None, spec: Spec, asked: PlanIn | OrderIn) -> NewPlan:
    return NewPlan(
        id=uuid7(),
        account_id=account_id,
        client_plan_id=client_plan_id,
        idempotency_key=key,
        # Of what was asked for: what the engine adds, the time for one, is another at every call.
        request_hash=hashlib.sha256(canonical(normal(asked))).digest(),
        kind="bracket" if isinstance(spec, Bracket) else "schedule",
        spec=spec,
    )


def normal(asked: Any) -> Any:
    """Numbers by their value and tokens by their mint, so that the same wish has the same hash however it is written."""
    if isinstance(asked, msgspec.Struct):
        return {
            name: token(name, value).mint if name.startswith("token_") else normal(value)
            for name in asked.__struct_fields__
            if (value := getattr(asked, name)) is not None
        }
    if isinstance(asked, tuple):
        return [normal(each) for each in asked]
    return asked.normalize() if isinstance(asked, Decimal) else asked


def bracket_of(order: NewOrder, exits: tuple[ExitIn, ...], *, entry: bool) -> Bracket:
    """Without an entry `order` says what the exits sell."""
    if not entry and order.amount is None:
        raise invalid("amount", "of what is held already is a number of tokenIn")
    sold, bought = (order.token_out, order.token_in) if entry else (order.token_in, order.token_out)
    legs = legs_of(exits)
    decimals = token("tokenIn", sold).decimals
    if entry:
        return Bracket(
            token=sold,
            quote=bought,
            decimals=decimals,
            exits=legs,
            entry=terms_of(order),
            mode=mode(),
            wallet=order.wallet,
        )
    if order.type != "market":
        raise invalid("type", "belongs to the entry; exits without one have triggers of their own")
    if order.client_order_id is not None:
        raise invalid("clientOrderId", "belongs to the entry; a plan has a clientPlanId")
    return Bracket(
        token=sold,
        quote=bought,
        decimals=decimals,
        exits=legs,
        amount=order.amount,
        expires_at=order.expires_at,
        mode=mode(),
        wallet=order.wallet,
    )


def terms_of(order: NewOrder) -> Terms:
    return Terms(**{name: getattr(order, name) for name in Terms.__struct_fields__})


def legs_of(exits: tuple[ExitIn, ...]) -> tuple[Exit, ...]:
    """Raises `ApiError`: VALIDATION_FAILED, which names the exit."""
    takes = [exit for exit in exits if exit.kind == "takeProfit"]
    if len(takes) > MAX_TAKE_PROFITS:
        raise invalid("exits", f"has more than {MAX_TAKE_PROFITS} of the kind takeProfit")
    legs: list[Exit] = []
    for n, exit in enumerate(exits):
        field = f"exits[{n}]"
        leg = KINDS[exit.kind]
        if exit.kind == "takeProfit":
            leg += str(sum(each.leg.startswith("tp") for each in legs) + 1)
        elif any(each.leg == leg for each in legs):
            raise invalid(f"{field}.kind", f"{exit.kind} stands twice")
        legs.append(_exit(field, leg, exit, alone=len(takes) == 1))
    check_together(legs)
    return tuple(legs)


ALLOWED = {
    "takeProfit": {"at_bps", "price", "portion_bps"},
    "stopLoss": {"at_bps", "price", "max_slippage_bps"},
    "trailing": {"trail_bps", "activate_at_bps", "max_slippage_bps"},
    "timeLimit": {"after", "max_slippage_bps"},
}


def _exit(field: str, leg: str, exit: ExitIn, *, alone: bool) -> Exit:
    names = dict(zip(exit.__struct_fields__, exit.__struct_encode_fields__, strict=True))
    for name in names.keys() - ALLOWED[exit.kind] - {"kind", "slippage_bps"}:
        if getattr(exit, name) is not None:
            raise invalid(f"{field}.{names[name]}", f"does not belong to {exit.kind}")
    if exit.kind in ("takeProfit", "stopLoss") and (exit.at_bps is None) == (exit.price is None):
        raise invalid(f"{field}.atBps", "one of atBps and price is required")
    if exit.kind == "stopLoss" and exit.at_bps is not None and exit.at_bps >= 10_000:
        raise invalid(f"{field}.atBps", "is below a price of nothing")
    if exit.kind == "takeProfit" and exit.portion_bps is None and not alone:
        raise invalid(f"{field}.portionBps", "is required where there are several take-profits")
    if exit.kind == "trailing" and exit.trail_bps is None:
        raise invalid(f"{field}.trailBps", "is required")
    if exit.kind == "timeLimit" and (exit.after is None or not 1 <= exit.after.total_seconds() <= MAX_EVERY_S):
        raise invalid(f"{field}.after", "is required: a duration from PT1S to P366D")
    protects = exit.kind != "takeProfit"
    slippage = exit.slippage_bps
    if slippage is None:
        slippage = PROTECTING_SLIPPAGE_BPS if protects else TAKING_SLIPPAGE_BPS
    widest = max(slippage, MAX_SLIPPAGE_BPS) if exit.max_slippage_bps is None else exit.max_slippage_bps
    if widest < slippage:
        raise invalid(f"{field}.maxSlippageBps", "is less than slippageBps")
    return Exit(
        leg=leg,
        kind=exit.kind,
        at_bps=exit.at_bps,
        price=checked_threshold(f"{field}.price", exit.price),
        portion_bps=exit.portion_bps or 10_000,
        trail_bps=exit.trail_bps,
        activate_at_bps=exit.activate_at_bps,
        slippage_bps=slippage,
        max_slippage_bps=widest if protects else slippage,
        after_s=None if exit.after is None else exit.after.total_seconds(),
    )


def schedule_of(plan: ScheduleIn, now: datetime) -> Schedule:
    sold, bought = token("tokenIn", plan.token_in), token("tokenOut", plan.token_out)
    if sold is bought:
        raise ApiError("SAME_TOKEN", "tokenIn and tokenOut are the same.", {"tokenOut": ["is the same as tokenIn"]})
    total = None if plan.amount is None else checked_amount(plan.amount, sold)
    slices, unit = plan.slices, Decimal(1).scaleb(-sold.decimals)
    if (plan.every is None) == (plan.window is None):
        raise invalid("every", "one of every and window is required")
    if plan.slice_amount is not None:
        slice_amount = checked_amount(plan.slice_amount, sold)
        if total is not None and slices is not None:
            raise invalid("sliceAmount", "follows from amount and slices")
        if slices is not None:
            total = slice_amount * slices
    elif total is None or slices is None:
        raise invalid("amount", "is required with slices, where there is no sliceAmount")
    else:
        slice_amount = (total / slices).quantize(unit, ROUND_FLOOR)
    if slice_amount <= 0 or total is not None and slice_amount > total:
        raise invalid("slices", f"a slice must be at least {unit:f} and at most amount")
    if plan.window is not None:
        if slices is None:
            raise invalid("slices", "is required with window")
        every_s = plan.window.total_seconds() / slices
    else:
        assert plan.every is not None
        every_s = plan.every.total_seconds()
    least_s = MIN_EVERY_S if slices is not None else MIN_ENDLESS_S
    if not least_s <= every_s <= MAX_EVERY_S:
        raise invalid("every", f"a slice must have from {least_s:g} s to a year")
    if plan.catch_up == "spread" and slices is None:
        raise invalid("catchUp", "spread needs a number of slices to spread over")
    start_at = moment(plan.start_at, now)
    if start_at is not None and start_at < now - timedelta(minutes=1):
        raise invalid("startAt", "is in the past")
    lowest, highest = checked_threshold("minPrice", plan.min_price), checked_threshold("maxPrice", plan.max_price)
    if lowest is not None and highest is not None and lowest >= highest:
        raise invalid("maxPrice", "is not above minPrice")
    return Schedule(
        token_in=sold.mint,
        token_out=bought.mint,
        decimals=sold.decimals,
        slippage_bps=plan.slippage_bps,
        start_at=max(start_at or now, now).astimezone(UTC),
        every_s=every_s,
        slice_amount=slice_amount,
        total=total,
        slices=slices,
        jitter_bps=plan.jitter_bps,
        min_price=lowest,
        max_price=highest,
        catch_up=plan.catch_up,
        stop_after_failures=plan.stop_after_failures,
        max_price_impact_bps=plan.max_price_impact_bps,
        mode=mode(),
    )
