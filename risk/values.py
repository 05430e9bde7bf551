"""What an account, or everybody together, may trade: state, limits, and why an order is denied. Pure."""

from collections.abc import Iterable, Sequence
from decimal import ROUND_UP, Context, Decimal
from enum import StrEnum

import msgspec

from routing.gates import Gates

EVERYBODY = 0
"""In the place of an account's id: the rule that holds for all accounts together."""


WIDE = Context(prec=100)
"""Digits: a price may be 10^18 and the market's 10^-18."""


class TradingState(StrEnum):
    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Only orders that sell into a quote token, and exits of plans, are executed."""
    HALTED = "HALTED"
    """Nothing is submitted. What is submitted already runs to its end; cancels pass."""


SEVERITY = [TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED]


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is None is not limited. Money counts in the first of `QUOTE_TOKENS`; days are UTC."""

    max_notional_per_order: Decimal | None = None
    max_open_orders: int | None = None
    max_orders_per_minute: int | None = None
    max_daily_spend: Decimal | None = None
    """Of orders that sell no token into a quote token; counted when an order is claimed, given back if nothing landed."""
    max_daily_loss: Decimal | None = None
    """Realised, of what was bought and sold today."""
    price_collar_bps: int | None = None
    """How far an order's price may be from the present one."""
    allowed_tokens: tuple[str, ...] | None = None
    """Mints that may be bought, beside the quote tokens."""
    denied_tokens: tuple[str, ...] = ()
    """Mints that may not be bought."""
    gates: Gates | None = None
    """What has to hold of tokens that snipers buy, where an order does not say otherwise itself."""

    @property
    def counts_money(self) -> bool:
        return self.max_notional_per_order is not None or self.max_daily_spend is not None

    @property
    def has_budget(self) -> bool:
        return self.max_daily_spend is not None or self.max_daily_loss is not None

    @property
    def counts_orders(self) -> bool:
        return self.max_open_orders is not None or self.max_orders_per_minute is not None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One account's, or everybody's."""

    account_id: int
    state: TradingState = TradingState.ACTIVE
    limits: Limits = Limits()
    spent: Decimal = Decimal(0)
    """Today, as it was when the rule was read. What counts is what the claim sees."""
    lost: Decimal = Decimal(0)

    @property
    def stops(self) -> bool:
        return self.state is not TradingState.ACTIVE


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a new order asks for, as far as limits go."""

    token_out: str
    notional: Decimal | None
    """None: nobody knows."""
    reduces: bool
    """It sells into a quote token."""
    into_quote: bool
    """It buys a quote token."""
    rests: bool
    """It is executed later, if at all: today's budget says nothing of it."""
    off_market_bps: Decimal | None = None
    """How far its price is from the present one; None where it names none, or nobody knows one."""
    priced: bool = False
    """It names a price."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order is not taken, or not executed."""

    code: str
    limit: str | None = None
    value: str | None = None

    @property
    def message(self) -> str:
        said = MESSAGES[self.code]
        return f"{said}: {self.value or 'unknown'}, and the limit is {self.limit}." if self.limit else f"{said}."

    @property
    def figures(self) -> dict[str, str]:
        figures = {"limit": self.limit, "value": self.value}
        return {name: figure for name, figure in figures.items() if figure is not None}


MESSAGES = {
    "TRADING_HALTED": "Trading is halted",
    "TRADING_STATE_REDUCING": "Only positions are closed at present: orders that sell into a quote token",
    "TOKEN_DENIED": "The token may not be bought",
    "TOKEN_NOT_ALLOWED": "The token is none of those that may be bought",
    "NOTIONAL_UNPRICED": "Nobody knows what the order is worth, and there is a limit",
    "NOTIONAL_EXCEEDS_MAX_PER_ORDER": "The order is worth too much",
    "SPEND_BUDGET_EXCEEDED": "Today's spending would be too much",
    "LOSS_BUDGET_EXCEEDED": "Today's loss is too large",
    "PRICE_OUTSIDE_COLLAR": "The price is too far from the market (bps)",
    "OPEN_ORDERS_EXCEED_MAXIMUM": "There would be too many open orders",
    "ORDERS_PER_MINUTE_EXCEED_MAXIMUM": "There would be too many orders within a minute",
}


def denial_of(rules: Iterable[Rule], asked: Asked) -> Denial | None:
    """Why the order may not be taken; None where nothing speaks against it."""
    for rule in rules:
        if denial := _denied(rule, asked):
            return denial
    return None


def _denied(rule: Rule, asked: Asked) -> Denial | None:
    limits, notional = rule.limits, asked.notional
    if rule.state is TradingState.HALTED:
        return Denial(code="TRADING_HALTED")
    if rule.state is TradingState.REDUCING and not asked.reduces:
        return Denial(code="TRADING_STATE_REDUCING")
    if asked.token_out in limits.denied_tokens:
        return Denial(code="TOKEN_DENIED", value=asked.token_out)
    if limits.allowed_tokens is not None and not asked.into_quote and asked.token_out not in limits.allowed_tokens:
        return Denial(code="TOKEN_NOT_ALLOWED", value=asked.token_out)
    spends = limits.max_daily_spend is not None and not asked.reduces and not asked.rests
    if limits.max_notional_per_order is not None and notional is None or spends and notional is None:
        return Denial(code="NOTIONAL_UNPRICED")
    if limits.max_notional_per_order is not None and notional is not None and notional > limits.max_notional_per_order:
        return over("NOTIONAL_EXCEEDS_MAX_PER_ORDER", notional, limits.max_notional_per_order)
    if limits.max_daily_loss is not None and not asked.reduces and rule.lost >= limits.max_daily_loss:
        return over("LOSS_BUDGET_EXCEEDED", rule.lost, limits.max_daily_loss)
    if spends and notional is not None:
        assert limits.max_daily_spend is not None
        if rule.spent + notional > limits.max_daily_spend:
            return over("SPEND_BUDGET_EXCEEDED", rule.spent + notional, limits.max_daily_spend)
    return outside_collar(limits.price_collar_bps, asked)


def outside_collar(collar_bps: int | None, asked: Asked) -> Denial | None:
    if collar_bps is None or not asked.priced:
        return None
    if asked.off_market_bps is None or abs(asked.off_market_bps) > collar_bps:
        return over("PRICE_OUTSIDE_COLLAR", shown_bps(asked.off_market_bps), collar_bps)
    return None


def shown_bps(bps: Decimal | None) -> Decimal | None:
    """Two places, rounded away from the market, so that what is refused is seen to be beyond the limit."""
    return None if bps is None else bps.quantize(Decimal("0.01"), ROUND_UP, WIDE)


def over(code: str, value: Decimal | int | None, limit: Decimal | int) -> Denial:
    return Denial(code=code, value=None if value is None else plain(value), limit=plain(limit))


def plain(number: Decimal | int) -> str:
    return str(number) if isinstance(number, int) else f"{number.normalize():f}"


def reduces(token_in: str, token_out: str, quotes: Sequence[str]) -> bool:
    """Whether an order sells into a quote token: one that stands before what is sold, or what is sold is none."""
    if token_out not in quotes:
        return False
    return token_in not in quotes or quotes.index(token_out) < quotes.index(token_in)


def strictest(rules: Iterable[Rule]) -> TradingState:
    return max((rule.state for rule in rules), key=SEVERITY.index, default=TradingState.ACTIVE)
