"""The answers of the REST API: each struct gives the JSON and its part of the OpenAPI document."""

from typing import Annotated, Any

import msgspec

from orders.codes import ERRORS
from orders.events import QuoteData
from orders.representation import EventOut, Moment, OrderOut, Out, StatusName, Uuid
from risk.values import TradingState
from routing.gates import Gates
from routing.values import Program
from routing.venues import registered

Cursor = Annotated[str, msgspec.Meta(description="Of the next page.")]


def schema(answer: type[msgspec.Struct]) -> dict[str, Any]:
    """For drf-spectacular: the component that `orders.http.openapi` puts into the document."""
    return {"$ref": f"#/components/schemas/{answer.__name__}"}


class AcceptedOut(Out):
    order_id: Uuid
    status: StatusName
    client_order_id: str | None
    ws: Annotated[str, msgspec.Meta(description="Where its stages are streamed.")]
    created_at: Moment


class BalanceOut(Out):
    token: Annotated[str, msgspec.Meta(description="Its symbol where that is verified, else the mint.")]
    mint: str
    amount: Annotated[str, msgspec.Meta(description="What the wallet has. Of SOL: wrapped and not, together.")]
    reserved: Annotated[str, msgspec.Meta(description="What orders in work may still spend of it, fees included.")]


class WalletOut(Out):
    id: int
    address: str
    name: str
    default: Annotated[bool, msgspec.Meta(description="Of orders that name no wallet.")]
    balances: list[BalanceOut]


class WalletsOut(Out):
    wallets: list[WalletOut]


class AirdropOut(Out):
    id: int
    address: str
    token: str
    amount: str


class ErrorBody(Out):
    code: Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(ERRORS)})]
    message: str
    details: dict[str, list[str]]
    retryable: bool
    request_id: str


class ErrorOut(Out):
    error: ErrorBody


class AcceptedPlanOut(AcceptedOut):
    """Of an order with exits."""

    plan_id: Uuid


class BatchOut(Out):
    results: Annotated[
        list[Any],
        msgspec.Meta(
            description="An accepted order or an error for each, in their order.",
            extra_json_schema={"items": {"oneOf": [schema(AcceptedOut), schema(ErrorOut)]}},
        ),
    ]


class OrdersOut(Out):
    orders: list[OrderOut]
    next: Cursor | None


class CancelErrorOut(Out):
    code: str
    message: str


class CancelResultOut(Out, omit_defaults=True):
    """`status`, or why the order is not cancelled."""

    order_id: Uuid
    status: StatusName | None = None
    error: CancelErrorOut | None = None


class CancelledOut(Out):
    results: list[CancelResultOut]


class CancelAfterOut(Out):
    at: Annotated[Moment, msgspec.Meta(description="When the orders are cancelled; null: the switch is off.")] | None


class ChangedOut(Out):
    """What a key without the scope `read` gets of an order that it changed."""

    order_id: Uuid
    status: StatusName
    seq: int


class EventsOut(Out):
    events: list[EventOut]


class AttemptOut(Out):
    attempt: int | None
    at: Moment
    quotes: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    winner: str | None
    reason: str | None


class QuotesOfOrderOut(Out):
    attempts: list[AttemptOut]


class PreviewOut(Out):
    pair: str
    amount: Annotated[str, msgspec.Meta(description="Of tokenIn; null where exactOut is asked for.")] | None
    exact_out: Annotated[str, msgspec.Meta(description="Of tokenOut, what was asked for as amountOut.")] | None
    amount_in_max: str | None
    expected_in: (
        Annotated[str, msgspec.Meta(description="What exactOut costs. Null: no venue can trade it now.")] | None
    )
    max_in: Annotated[str, msgspec.Meta(description="What the order would sell for exactOut at most.")] | None
    slippage_bps: int
    expected_out: Annotated[str, msgspec.Meta(description="Null: no venue can trade it now.")] | None
    min_out: str | None
    net_price: Annotated[str, msgspec.Meta(description="After fee and price impact.")] | None
    impact_bps: str | None
    fee_bps: int | None
    venue: str | None
    reason: Annotated[str, msgspec.Meta(description="Why this venue, or why none.")]
    quotes: list[QuoteData]


class TestedOut(Out):
    resting: Annotated[bool, msgspec.Meta(description="The order would wait for its trigger.")]
    preview: Annotated[
        PreviewOut | None, msgspec.Meta(description="At the present prices; nothing is promised. Null for a share.")
    ]


class TicketOut(Out):
    ticket: str
    expires_in_s: int = msgspec.field(name="expiresInS")


class DeadLetterOut(Out):
    id: int
    order_id: Uuid
    epoch: int
    reason: str
    history: list[dict[str, Any]]
    created_at: Moment
    resolved_at: Moment | None
    resolved_by: str | None


class DeadLettersOut(Out):
    dead_letters: list[DeadLetterOut]
    next: Cursor | None


class TokenOut(Out):
    mint: str
    symbol: Annotated[
        str, msgspec.Meta(description="As its maker calls it: it names the token only where it is verified.")
    ]
    name: str
    decimals: int
    program: Annotated[str, msgspec.Meta(extra_json_schema={"enum": [one.value for one in Program]})]
    extensions: Annotated[list[str], msgspec.Meta(description="Of a Token-2022 mint.")]
    verified: bool
    source: Annotated[str, msgspec.Meta(description="Who said so: the world it came with, staff, the chain.")]
    logo: str | None


class TokensOut(Out):
    tokens: list[TokenOut]


class PermitOut(Out):
    venue: str
    pool: Annotated[str | None, msgspec.Meta(description="Address of one pool; null: every pool of the venue.")]
    min_liquidity: Annotated[str, msgspec.Meta(description="What one side of a pool must hold, in the quote token.")]


class PairOut(Out):
    pair: str
    token_in: str
    token_out: str
    listed: Annotated[bool, msgspec.Meta(description="It is traded now.")]
    polled: Annotated[bool, msgspec.Meta(description="Its prices are always kept fresh.")]
    permits: Annotated[list[PermitOut] | None, msgspec.Meta(description="All that it may use; null: everything.")]


class PairsOut(Out):
    pairs: list[PairOut]
    tokens: list[TokenOut]


class VenueQuoteOut(Out):
    venue: str
    price: Annotated[str, msgspec.Meta(description="tokenOut per tokenIn, before the fee.")]
    net_price: Annotated[str, msgspec.Meta(description="After the fee, before any impact.")]
    fee_bps: int
    liquidity: Annotated[str, msgspec.Meta(description="Depth of one side of the pool, in its quote token.")]
    volume: Annotated[str, msgspec.Meta(description="Of the last minute, in the pool's quote token.")]
    observed_at: Moment
    age_ms: int


class SlowOut(Out):
    venue: str
    code: Annotated[str, msgspec.Meta(description="Such as VENUE_RATE_LIMITED, VENUE_TIMEOUT.")]
    message: str


QuotesOut: type[Out] = msgspec.defstruct(  # type: ignore[assignment]
    "QuotesOut",
    [
        ("pair", str),
        ("at", Moment),
        *((venue.lower(), VenueQuoteOut | None) for venue in registered()),
        ("best", VenueQuoteOut | None),
        ("slow", Annotated[list[SlowOut], msgspec.Meta(description="Venues that did not answer lately, and why.")]),
    ],
    bases=(Out,),
    rename="camel",
    module=__name__,
)
"""As `triggers.ticker.market_out` writes it, for the same JSON goes to the sockets of a pair."""


class LimitsOut(Out):
    """What is null is not limited. Money counts in `currency`; tokens by verified symbol, else by mint."""

    max_notional_per_order: str | None
    max_open_orders: int | None
    max_orders_per_minute: int | None
    max_daily_spend: str | None
    max_daily_loss: str | None
    price_collar_bps: int | None
    allowed_tokens: list[str] | None
    denied_tokens: list[str]
    gates: Annotated[Gates, msgspec.Meta(description="Of tokens that snipers buy.")] | None


class RuleOut(Out):
    state: TradingState
    state_by_staff: Annotated[bool, msgspec.Meta(description="Only an operator loosens it.")]
    limits_by_staff: Annotated[bool, msgspec.Meta(description="Only an operator changes them.")]
    limits: LimitsOut


class UsedOut(Out):
    spent_today: Annotated[str, msgspec.Meta(description="UTC day; counted while a daily limit is set.")]
    lost_today: Annotated[str, msgspec.Meta(description="Realised on the UTC day; noted while a daily limit is set.")]
    lost_unpriced: Annotated[
        list[str],
        msgspec.Meta(
            description="In these something was realised today, and nobody knows their price: not in lostToday."
        ),
    ]
    open_orders: int
    orders_last_minute: int


class RiskChangeOut(Out):
    account: Annotated[str | None, msgspec.Meta(description="null: everybody's rule.")]
    at: Moment
    by: str
    before: dict[str, Any]
    after: dict[str, Any]


class RiskOut(Out):
    account: Annotated[str | None, msgspec.Meta(description="null: everybody together.")]
    trading_state: Annotated[
        TradingState,
        msgspec.Meta(description="The stricter of the account's and everybody's."),
    ]
    currency: Annotated[str | None, msgspec.Meta(description="What limits of money count in.")]
    own: RuleOut
    everybody: RuleOut
    used: UsedOut
    changes: Annotated[list[RiskChangeOut], msgspec.Meta(description="The newest first.")]


class TradingStateOut(Out):
    state: TradingState
    account: Annotated[str | None, msgspec.Meta(description="null: everybody.")]
    at: Moment


DOCUMENTED: tuple[type[Out], ...] = (
    AcceptedOut,
    AcceptedPlanOut,
    BatchOut,
    CancelledOut,
    CancelAfterOut,
    OrderOut,
    OrdersOut,
    ChangedOut,
    EventsOut,
    QuotesOfOrderOut,
    PreviewOut,
    TestedOut,
    TicketOut,
    DeadLettersOut,
    PairsOut,
    TokensOut,
    QuotesOut,
    WalletsOut,
    AirdropOut,
    RiskOut,
    TradingStateOut,
    ErrorOut,
)
