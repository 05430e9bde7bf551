"""An order as clients write it: one definition for both intake endpoints, for amending and for the OpenAPI document.

The shape is checked by msgspec while it parses; what needs the token registry is checked by `checked`.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings

from orders.errors import ApiError, invalid
from orders.ids import uuid7
from orders.json_in import Reader, not_json, validation_error
from orders.ledger.statements import NewOrder
from orders.limits import TOKEN_IN, TOKEN_OUT, per_token_in
from orders.mints import told_apart_by
from routing.base58 import is_address
from routing.cluster import mode
from routing.gates import Gates, normal, problem
from routing.values import Token
from routing.world import tokens

Bps = Annotated[int, msgspec.Meta(ge=0, le=5000)]
TrailBps = Annotated[int, msgspec.Meta(ge=50, le=9_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])")]
"""Without control characters. The pattern has no `$`, which in Python also matches before a newline at the end."""
TokenName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

PriceIn = Literal["tokenOut", "tokenIn"]
"""The limit counts tokenOut for one tokenIn, or tokenIn for one tokenOut."""

U64 = 2**64
"""Amounts on the chain are unsigned 64-bit counts of base units."""
MAX_PRICE = Decimal(10) ** 18
MIN_PRICE = Decimal(10) ** -18
MAX_DIGITS = 60
MAX_FEE_LAMPORTS = 10**12
"""1,000 SOL: what is above is a mistake. The engine's own ceiling is far lower."""
LATER_FIELDS = frozenset(
    {
        "asked_price",
        "max_fee_lamports",
        "percent",
        "exact_out",
        "amount_in_max",
        "wallet",
        "trail_bps",
        "activation_price",
        "worst_price",
        "time_in_force",
        "gates",
    }
)
"""Came after the first version. Unset they are left out of a request's hash, so that the version before made the same one."""
EXACT = Context(prec=200)
"""Rounds nothing that MAX_DIGITS lets pass."""
MAX_EXPIRY = timedelta(days=366)
TAKES_FEES = "transferFeeConfig"
"""Of a Token-2022 mint: less arrives than is sent."""


class SniperTrigger(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    kind: Literal["token_launch", "liquidity", "volume"] = "token_launch"
    min_liquidity: Decimal | None = None
    volume_factor: Decimal | None = None


class Share(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Of what the wallet has of tokenIn when the order is executed."""

    percent: Annotated[int, msgspec.Meta(ge=1, le=100)]


class ExitIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """One way out of what an order brings. Prices are quote per token: of the pair that sells what was bought."""

    kind: Literal["takeProfit", "stopLoss", "trailing", "timeLimit"]
    at_bps: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    price: Decimal | None = None
    portion_bps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    trail_bps: TrailBps | None = None
    activate_at_bps: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    slippage_bps: Bps | None = None
    max_slippage_bps: Bps | None = None
    after: timedelta | None = None


class OrderIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    token_in: TokenName
    token_out: TokenName
    amount: Decimal | Share | None = None
    """Of tokenIn. One of this and `amount_out` is required."""
    amount_out: Decimal | None = None
    """Of tokenOut, what is to be received: exact out."""
    amount_in_max: Decimal | None = None
    """Of tokenIn, the most that is sold for it."""
    type: Literal["market", "limit", "sniper"] = "market"
    slippage_bps: Bps = 50
    client_order_id: Name | None = None
    expires_at: datetime | None = None
    limit_price: Decimal | None = None
    price_in: PriceIn = "tokenOut"
    trigger_condition: Literal["gte", "lte"] | None = None
    trail_bps: TrailBps | None = None
    activation_price: Decimal | None = None
    worst_price: Decimal | None = None
    time_in_force: Literal["gtc", "ioc", "fok"] | None = None
    allow_far_price: bool = False
    trigger: SniperTrigger | None = None
    max_price_impact_bps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    max_fee_lamports: Annotated[int, msgspec.Meta(ge=1, le=MAX_FEE_LAMPORTS)] | None = None
    wallet: Annotated[str, msgspec.Meta(min_length=1, max_length=44)] | None = None
    gates: Gates | None = None
    exits: Annotated[tuple[ExitIn, ...], msgspec.Meta(min_length=1, max_length=12)] | None = None


class AmendIn(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    limit_price: Decimal | msgspec.UnsetType = msgspec.UNSET
    price_in: PriceIn | msgspec.UnsetType = msgspec.UNSET
    """As the order's own, where it is left out."""
    amount: Decimal | msgspec.UnsetType = msgspec.UNSET
    amount_out: Decimal | msgspec.UnsetType = msgspec.UNSET
    amount_in_max: Decimal | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | None | msgspec.UnsetType = msgspec.UNSET
    slippage_bps: Bps | msgspec.UnsetType = msgspec.UNSET
    trail_bps: TrailBps | msgspec.UnsetType = msgspec.UNSET
    allow_far_price: bool = False


class BatchIn(msgspec.Struct, forbid_unknown_fields=True):
    orders: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=100)]


order_reader, amend_reader = Reader(OrderIn), Reader(AmendIn)
decode_batch = msgspec.json.Decoder(BatchIn).decode
canonical = msgspec.msgpack.Encoder(decimal_format="string").encode


def parse_order(body: bytes | msgspec.Raw) -> OrderIn:
    """Raises `ApiError`: INVALID_JSON, VALIDATION_FAILED. So do the others."""
    order: OrderIn = order_reader.read(bytes(body))
    return order


def parse_batch(body: bytes) -> list[msgspec.Raw]:
    """The orders as they were written: each is read on its own."""
    try:
        orders = decode_batch(body).orders
        # `orders` is the only key there is; inside of the orders the text may stand as often as it likes.
        if body.count(b'"orders"') > 1 or b"\\" in body:
            if_repeated(body)
        return orders
    except msgspec.ValidationError as error:
        raise validation_error(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(body, error) from None


def if_repeated(body: bytes) -> None:
    """Raises `ApiError` where the batch itself has its key twice."""
    outermost: list[tuple[str, Any]] = []

    def last(pairs: list[tuple[str, Any]]) -> None:
        outermost[:] = pairs  # The outermost object is complete last.

    json.loads(body, object_pairs_hook=last)
    if len(outermost) > 1:
        raise invalid("orders", "stands twice in an object")


def parse_amend(body: bytes) -> AmendIn:
    amended: AmendIn = amend_reader.read(body)
    return amended


def checked(
    order: OrderIn, *, account_id: int, idempotency_key: str | None, now: datetime, request_id: str | None = None
) -> NewOrder:
    """The order as it goes into the ledger once `check_ahead` has let its expiry pass.

    Raises `ApiError`: VALIDATION_FAILED, UNKNOWN_TOKEN, SAME_TOKEN, NO_WALLET.
    """
    trigger = order.trigger or (SniperTrigger() if order.type == "sniper" else None)
    token_in, mint_out = token("tokenIn", order.token_in), bought(order, trigger)
    if token_in.mint == mint_out:
        raise ApiError("SAME_TOKEN", "tokenIn and tokenOut are the same.", {"tokenOut": ["is the same as tokenIn"]})
    share = order.amount.percent if isinstance(order.amount, Share) else None
    amount = checked_amount(order.amount, token_in) if isinstance(order.amount, Decimal) else None
    exact_out, amount_in_max = output_of(order, token_in, mint_out)
    if settings.EXECUTION_MODE == "mock" and (share is not None or order.wallet is not None):
        field = "wallet" if share is None else "amount"
        raise ApiError("NO_WALLET", "The mock has no wallets.", {field: ["needs a wallet, and the mock has none"]})
    check_type(order, trigger)
    condition = condition_of(order)
    limit_price, asked_price = limit_of(order.limit_price, order.price_in, condition)
    if limit_price is not None and order.worst_price is not None and order.worst_price > limit_price:
        raise invalid("worstPrice", "is above the price that triggers the stop")
    if order.trail_bps is not None:
        limit_price = MIN_PRICE  # Until it has followed a price there is none at which it fires.
    asked: dict[str, Any] = {
        "client_order_id": order.client_order_id,
        "type": order.type,
        "token_in": token_in.mint,
        "token_out": mint_out,
        "amount": amount,
        "percent": share,
        "exact_out": exact_out,
        "amount_in_max": amount_in_max,
        "slippage_bps": order.slippage_bps,
        "limit_price": limit_price,
        "asked_price": asked_price,
        "trigger_condition": condition,
        "trail_bps": order.trail_bps,
        "activation_price": checked_threshold("activationPrice", order.activation_price),
        "worst_price": checked_threshold("worstPrice", order.worst_price),
        # A swap is filled whole or not at all: the two words mean the same.
        "time_in_force": "ioc" if order.time_in_force in ("ioc", "fok") else None,
        "trigger_kind": trigger.kind if trigger else None,
        "min_liquidity": checked_threshold("trigger.minLiquidity", trigger.min_liquidity) if trigger else None,
        "volume_factor": checked_threshold("trigger.volumeFactor", trigger.volume_factor) if trigger else None,
        "max_price_impact_bps": order.max_price_impact_bps,
        "expires_at": moment(order.expires_at, now),
        "max_fee_lamports": order.max_fee_lamports,
        "gates": None if order.gates is None else asked_gates(order.type, order.gates),
    }
    # A wallet as it was named: which one is meant is looked up later, and the account's default may be another one by then.
    named = {**asked, "wallet": order.wallet}
    hashed = {name: value for name, value in named.items() if value is not None or name not in LATER_FIELDS}
    hashed |= {name: told_apart_by(asked[name]) for name in ("token_in", "token_out")}
    return NewOrder(
        id=uuid7(),
        account_id=account_id,
        idempotency_key=idempotency_key,
        # Of what was understood: `1.50` is `1.5`, a symbol is its mint, a default may be written out.
        request_hash=hashlib.sha256(canonical(hashed)).digest(),
        resting=order.type != "market" and order.time_in_force not in ("ioc", "fok"),
        request_id=request_id,
        mode=mode(),
        **asked,
    )


def check_type(order: OrderIn, trigger: SniperTrigger | None) -> None:
    """What belongs to a type of order, and what does not."""
    check_stop(order)
    if order.time_in_force in ("ioc", "fok") and (order.type == "sniper" or condition_of(order) == "lte"):
        raise invalid("timeInForce", "of an order that waits for its trigger is gtc")
    if order.type == "limit":
        if order.limit_price is None and order.trail_bps is None:
            raise invalid("limitPrice", "is required for a limit order")
    elif order.limit_price is not None:
        raise invalid("limitPrice", "belongs to limit orders only")
    elif order.trigger_condition is not None:
        raise invalid("triggerCondition", "belongs to limit orders only")
    elif order.price_in != TOKEN_OUT:
        raise invalid("priceIn", "belongs to limit orders only")
    if trigger is None:
        return
    if order.type != "sniper":
        raise invalid("trigger", "belongs to sniper orders only")
    if (trigger.kind == "liquidity") != (trigger.min_liquidity is not None):
        raise invalid("trigger.minLiquidity", "is required for, and belongs only to, the kind liquidity")
    if (trigger.kind == "volume") != (trigger.volume_factor is not None):
        raise invalid("trigger.volumeFactor", "is required for, and belongs only to, the kind volume")


def condition_of(order: OrderIn) -> str | None:
    """A trailing stop is a stop."""
    if order.type != "limit":
        return None
    return "lte" if order.trail_bps is not None else order.trigger_condition or "gte"


def check_stop(order: OrderIn) -> None:
    """What belongs to stops."""
    if order.trail_bps is not None:
        if order.type != "limit":
            raise invalid("trailBps", "belongs to limit orders only")
        if order.limit_price is not None or order.trigger_condition == "gte":
            raise invalid(
                "trailBps", "makes the order a stop whose price follows the market: without limitPrice and gte"
            )
    elif order.activation_price is not None:
        raise invalid("activationPrice", "belongs to orders with trailBps only")
    if order.worst_price is not None and (condition_of(order) != "lte" or order.trail_bps is not None):
        raise invalid("worstPrice", "belongs to stops, orders with triggerCondition lte")


def token(field: str, name: str) -> Token:
    found = tokens().resolve(name)
    if found is None:
        raise ApiError("UNKNOWN_TOKEN", f"{field} is no token that is traded here.", {field: ["is unknown"]})
    return found


def bought(order: OrderIn, trigger: SniperTrigger | None) -> str:
    """The mint of tokenOut. Who waits for a launch may name one that nobody knows yet, or that does not exist."""
    found = tokens().resolve(order.token_out)
    if found is not None:
        return found.mint
    if trigger is not None and trigger.kind == "token_launch" and is_address(order.token_out):
        return order.token_out
    return token("tokenOut", order.token_out).mint


def asked_gates(type_: str, gates: Gates) -> Gates:
    """What an order asks of the token it buys. Raises `ApiError`: VALIDATION_FAILED."""
    if type_ != "sniper":
        raise invalid("gates", "belongs to sniper orders only")
    if settings.EXECUTION_MODE == "mock":
        raise invalid("gates", "needs a chain to look at, and the mock has none")
    return checked_gates("gates", gates)


def checked_gates(field: str, gates: Gates) -> Gates:
    if wrong := problem(gates):
        raise invalid(f"{field}.{wrong[0]}", wrong[1])
    return normal(gates)


def output_of(order: OrderIn, token_in: Token, mint_out: str) -> tuple[Decimal | None, Decimal | None]:
    """(what is to be received of tokenOut, the most that is sold for it); none where the order says what it sells."""
    if (order.amount is None) == (order.amount_out is None):
        field = "amount" if order.amount is None else "amountOut"
        raise invalid(field, "one of amount and amountOut is required")
    if order.amount_out is None:
        if order.amount_in_max is not None:
            raise invalid("amountInMax", "belongs to amountOut")
        return None, None
    token_out = tokens().resolve(mint_out)
    if token_out is None:
        raise invalid("amountOut", "needs a tokenOut that is known: nobody knows the decimal places of another")
    for token in (token_in, token_out):
        if TAKES_FEES in token.extensions:
            raise invalid("amountOut", f"what arrives is not exact: {token.label} takes a fee of each transfer")
    if order.amount_in_max is None:
        return checked_amount(order.amount_out, token_out, "amountOut"), None
    if order.type == "limit":
        raise invalid("amountInMax", "follows from the price of a limit order; of a stop from its worstPrice")
    return checked_amount(order.amount_out, token_out, "amountOut"), checked_amount(
        order.amount_in_max, token_in, "amountInMax"
    )


def checked_amount(amount: Decimal, of: Token, field: str = "amount") -> Decimal:
    """An amount that the chain can carry: a whole number of base units that fits 64 bits."""
    amount = positive(field, amount)
    units = amount.scaleb(of.decimals, EXACT)
    if units >= U64:
        raise invalid(field, f"is more {of.label} than the chain can count")
    if units != units.to_integral_value():
        raise invalid(field, f"has more than the {of.decimals} decimal places of {of.label}")
    return amount


def limit_of(price: Decimal | None, price_in: str, condition: str | None) -> tuple[Decimal | None, Decimal | None]:
    """(tokenOut per tokenIn, the price as asked where that was in tokenIn)."""
    if price is None or condition is None:
        return None, None
    price = checked_price("limitPrice", price)
    return (per_token_in(price, condition), price) if price_in == TOKEN_IN else (price, None)


def checked_price(field: str, price: Decimal) -> Decimal:
    price = positive(field, price)
    if not MIN_PRICE <= price <= MAX_PRICE:
        raise invalid(field, "must be between 1e-18 and 1e18")
    if price != price.quantize(MIN_PRICE, context=EXACT):
        raise invalid(field, "has more than 18 decimal places")
    return price


def positive(field: str, number: Decimal) -> Decimal:
    """The number without trailing zeros, if it is one that can be calculated with."""
    if not number.is_finite() or number <= 0:
        raise invalid(field, "must be greater than 0")
    if len(number.as_tuple().digits) > MAX_DIGITS or abs(number.adjusted()) > MAX_DIGITS:
        raise invalid(field, "is out of range")
    return number.normalize(EXACT)


def checked_threshold(field: str, value: Decimal | None) -> Decimal | None:
    return None if value is None else checked_price(field, value)


def checked_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    expires_at = moment(expires_at, now)
    check_ahead(expires_at, now)
    return expires_at


def check_ahead(expires_at: datetime | None, now: datetime) -> None:
    """Apart from the other checks: an order that was accepted fails it later."""
    if expires_at is not None and expires_at <= now:
        raise invalid("expiresAt", "is in the past")


def moment(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise invalid("expiresAt", "needs a time zone, such as 2030-01-31T12:00:00Z")
    try:
        expires_at = expires_at.astimezone(UTC)
    except OverflowError:
        raise invalid("expiresAt", "is out of range") from None
    if expires_at > now + MAX_EXPIRY:
        raise invalid("expiresAt", "is more than a year ahead")
    return expires_at
