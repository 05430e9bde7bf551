"""An order and its events as clients read them, over REST, WebSocket and command line alike."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from orders.codes import FAILURES
from orders.lifecycle import Status
from orders.limits import TOKEN_IN, TOKEN_OUT, asked_in_token_in, shown_inverse
from orders.mints import mint_of
from orders.models import Order
from orders.wire import text, timestamp
from routing.gates import Gates, of_json
from routing.world import tokens

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC, microseconds, `Z`."""
Uuid = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
PerTokenIn = Annotated[str, msgspec.Meta(description="tokenOut per tokenIn.")]
StatusName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [status.value for status in Status]})]

MOCK = "mock"
"""The mode of rows that were written before there were modes."""


class Out(msgspec.Struct, rename="camel"):
    """An answer: its fields give the JSON and the OpenAPI schema. Amounts and prices are decimal strings."""

    def fields(self) -> dict[str, Any]:
        """By their names in JSON, in their order."""
        names = zip(type(self).__struct_encode_fields__, self.__struct_fields__, strict=True)
        return {name: getattr(self, own) for name, own in names}


class FailureOut(Out):
    code: Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(FAILURES)})]
    message: str | None


class TriggerOut(Out, omit_defaults=True):
    kind: Literal["token_launch", "liquidity", "volume"]
    min_liquidity: str | None = None
    volume_factor: str | None = None


class ShareOut(Out):
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)]


class FeeOut(Out):
    kind: Literal["venue", "network", "priority", "tip", "rent"]
    token: Annotated[str, msgspec.Meta(description="Mint.")]
    amount: str


class PartOut(Out):
    venue: str
    pool: Annotated[str, msgspec.Meta(description="Address.")]
    amount_in: str
    amount_out: str


class LimitPricesOut(Out):
    """The limit both ways."""

    token_out: Annotated[str, msgspec.Meta(description="tokenOut per tokenIn.")]
    token_in: Annotated[
        str, msgspec.Meta(description="tokenIn per tokenOut; to 18 digits where it was not asked for so.")
    ]


class OrderOut(Out):
    """The contract's "order out"."""

    order_id: Uuid
    client_order_id: str | None
    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["market", "limit", "sniper"]})]
    token_in: Annotated[str, msgspec.Meta(description="Its symbol, if that is verified, else its mint.")]
    token_out: str
    mint_in: Annotated[str, msgspec.Meta(description="Of tokenIn: what the order really names.")]
    mint_out: str
    amount: (
        Annotated[
            str | ShareOut,
            msgspec.Meta(
                description="Of tokenIn: a number, or a share of what there is. Null where exactOut says what is bought."
            ),
        ]
        | None
    )
    exact_out: Annotated[str, msgspec.Meta(description="Of tokenOut, what was asked for as amountOut.")] | None
    amount_in_max: Annotated[str, msgspec.Meta(description="Of tokenIn, the most that is sold for exactOut.")] | None
    slippage_bps: int
    limit_price: Annotated[str, msgspec.Meta(description="As it was asked for: see priceIn.")] | None
    price_in: (
        Annotated[
            Literal["tokenOut", "tokenIn"],
            msgspec.Meta(description="What limitPrice counts, for one of the other token."),
        ]
        | None
    )
    limit_prices: LimitPricesOut | None
    trigger_condition: Literal["gte", "lte"] | None
    trail_bps: int | None
    activation_price: PerTokenIn | None
    worst_price: Annotated[str, msgspec.Meta(description="Of a stop that has fired, tokenOut per tokenIn.")] | None
    time_in_force: Literal["gtc", "ioc"]
    trigger: TriggerOut | None
    max_price_impact_bps: int | None
    max_fee_lamports: Annotated[int, msgspec.Meta(description="What it pays the chain at most, rent apart.")] | None
    gates: Annotated[Gates, msgspec.Meta(description="What a sniper asks of the token itself.")] | None
    expires_at: Moment | None
    status: StatusName
    resting: Annotated[bool, msgspec.Meta(description="Waits for its trigger.")]
    seq: Annotated[int, msgspec.Meta(description="Of the last event.")]
    attempts: int
    venue: str | None
    executed_price: PerTokenIn | None
    amount_in: Annotated[str, msgspec.Meta(description="What it takes of tokenIn, once that is decided.")] | None
    amount_out: str | None
    fee: Annotated[str, msgspec.Meta(description="The venue's, in tokenOut.")] | None
    tx_hash: str | None
    wallet: Annotated[str, msgspec.Meta(description="Public key; null on the mock.")] | None
    mode: Annotated[
        str, msgspec.Meta(description="`EXECUTION_MODE` at its intake; `paper-…` where landings are simulated.")
    ]
    slot: int | None
    fees: list[FeeOut] | None
    failure: FailureOut | None
    plan_id: Uuid | None
    leg: Annotated[str, msgspec.Meta(description="Which part of its plan.")] | None
    created_at: Moment
    updated_at: Moment


class EventOut(Out):
    seq: int
    status: StatusName
    at: Moment
    data: dict[str, Any]


def number(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def amount_in(order: Order) -> Decimal | None:
    """The mock takes what was asked for."""
    return order.amount if order.amount_in is None and order.status == Status.CONFIRMED else order.amount_in


def sold_of(amount: Decimal | None, percent: int | None) -> str | ShareOut | None:
    """The amount of tokenIn as clients read it; None where it follows from what is bought."""
    return number(amount) if percent is None else ShareOut(percent)


def limit_shown(order: Order) -> Decimal | None:
    """A trailing stop that has followed no price yet has none."""
    return None if order.trail_bps is not None and order.trail_high is None else order.limit_price


def order_out(order: Order) -> OrderOut:
    """A plain row of the table does as well."""
    trigger = failure = None
    if order.trigger_kind is not None:
        trigger = TriggerOut(order.trigger_kind, number(order.min_liquidity), number(order.volume_factor))  # type: ignore[arg-type]
    if order.failure_code is not None:
        failure = FailureOut(order.failure_code, order.failure_message)
    limit_price = limit_shown(order)
    in_token_in = asked_in_token_in(order.limit_price, order.asked_price, order.trigger_condition)
    known, mint_in, mint_out = tokens(), mint_of(order.token_in), mint_of(order.token_out)
    return OrderOut(
        order_id=str(order.id),
        client_order_id=order.client_order_id,
        type=order.type,
        token_in=known.label(mint_in),
        token_out=known.label(mint_out),
        mint_in=mint_in,
        mint_out=mint_out,
        amount=sold_of(order.amount, order.percent),
        exact_out=number(order.exact_out),
        amount_in_max=number(order.amount_in_max),
        slippage_bps=order.slippage_bps,
        limit_price=number(limit_price) if in_token_in is None else text(in_token_in),
        price_in=None if limit_price is None else TOKEN_OUT if in_token_in is None else TOKEN_IN,  # type: ignore[arg-type]
        limit_prices=None
        if limit_price is None
        else LimitPricesOut(text(limit_price), text(in_token_in or shown_inverse(limit_price))),
        trigger_condition=order.trigger_condition,  # type: ignore[arg-type]
        trail_bps=order.trail_bps,
        activation_price=number(order.activation_price),
        worst_price=number(order.worst_price),
        time_in_force="ioc" if order.time_in_force == "ioc" else "gtc",
        trigger=trigger,
        max_price_impact_bps=order.max_price_impact_bps,
        max_fee_lamports=order.max_fee_lamports,
        gates=of_json(order.gates),
        expires_at=None if order.expires_at is None else timestamp(order.expires_at),
        status=order.status,
        resting=order.resting,
        seq=order.seq,
        attempts=order.attempts,
        venue=order.venue,
        executed_price=number(order.executed_price),
        amount_in=number(amount_in(order)),
        amount_out=number(order.amount_out),
        fee=number(order.fee),
        tx_hash=order.tx_hash,
        wallet=order.wallet,
        mode=order.mode or MOCK,
        slot=order.slot,
        fees=None if order.fees is None else [FeeOut(**fee) for fee in order.fees],
        failure=failure,
        plan_id=None if order.plan_id is None else str(order.plan_id),
        leg=order.leg,
        created_at=timestamp(order.created_at),
        updated_at=timestamp(order.updated_at),
    )


def event_out(seq: int, status: str, at: datetime, data: Mapping[str, Any]) -> EventOut:
    return EventOut(seq, status, timestamp(at), dict(data))
