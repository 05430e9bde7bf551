"""Whether a new order may be taken, as far as the rules of risk go. They are asked again when it is claimed and submitted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from asgiref.sync import async_to_sync
from msgspec.structs import replace

from orders.errors import ApiError
from orders.ledger.statements import COST_MARGIN_BPS
from orders.ledger.values import Worth
from orders.prices import latest
from risk.rules import rules
from risk.values import Asked, Denial, Rule, TradingState, denial_of, reduces
from risk.worth import quote_tokens, valuation
from routing.prices import PairPrices
from routing.values import Pair
from routing.world import tokens
from triggers.rules import GTE

BPS = 10_000


class Terms(Protocol):
    """What of an order decides whether it may be taken."""

    @property
    def type(self) -> str: ...
    @property
    def token_in(self) -> str: ...
    @property
    def token_out(self) -> str: ...
    @property
    def amount(self) -> Decimal | None: ...
    @property
    def exact_out(self) -> Decimal | None: ...
    @property
    def amount_in_max(self) -> Decimal | None: ...
    @property
    def slippage_bps(self) -> int: ...
    @property
    def limit_price(self) -> Decimal | None: ...
    @property
    def trigger_condition(self) -> str | None: ...
    @property
    def worst_price(self) -> Decimal | None: ...
    @property
    def trail_bps(self) -> int | None: ...


def denied(denial: Denial) -> ApiError:
    """The answer to a client: limit and value are in `details`."""
    return ApiError(denial.code, denial.message, {name: [figure] for name, figure in denial.figures.items()})


Market = Callable[[Pair], Awaitable[PairPrices]]


async def check_risk(account_id: int, order: Terms, market: Market = latest, *, may_trade: bool = False) -> None:
    """Costs a look-up in memory where there are no rules. Raises `ApiError` with a code of `risk.values.MESSAGES`.

    `may_trade`: it was accepted before, so the trading state does not matter.
    """
    found = rules.of(account_id)
    if may_trade:
        found = [replace(rule, state=TradingState.ACTIVE) for rule in found]
    if not found:
        return
    pair = _pair_to_price(found, order)
    best = None if pair is None else (await market(pair)).best
    prices = await asyncio.to_thread(valuation.prices) if _counts_money(found) else {}
    _check(found, order, None if best is None else best.net_price, prices)


def check_risk_now(account_id: int, order: Terms, *, may_trade: bool = False) -> None:
    """`check_risk`, blocking."""
    if rules.of(account_id):
        async_to_sync(check_risk)(account_id, order, may_trade=may_trade)


def worth() -> Worth:
    """What the statement that claims is told. Prices are read where some limit counts money only."""
    return Worth([token.mint for token in quote_tokens()], valuation.prices() if rules.any_money else {})


def counts_orders(account_id: int) -> bool:
    """Whether the account's orders are counted when they are accepted."""
    return any(rule.limits.counts_orders for rule in rules.of(account_id))


def _counts_money(found: Sequence[Rule]) -> bool:
    return any(rule.limits.counts_money for rule in found)


def _pair_to_price(found: Sequence[Rule], order: Terms) -> Pair | None:
    """The order's pair, if its present price decides anything."""
    wanted = _counts_money(found) or any(rule.limits.price_collar_bps is not None for rule in found)
    return tokens().pair(order.token_in, order.token_out) if wanted else None


def _check(found: Sequence[Rule], order: Terms, price: Decimal | None, prices: Mapping[str, Decimal]) -> None:
    quotes = [token.mint for token in quote_tokens()]
    limit = order.limit_price if order.trail_bps is None else None
    asked = Asked(
        token_out=order.token_out,
        notional=notional_of(order, quotes, price, prices),
        reduces=reduces(order.token_in, order.token_out, quotes),
        into_quote=order.token_out in quotes,
        rests=order.type != "market",
        priced=limit is not None,
        off_market_bps=None if limit is None or not price else (limit / price - 1) * BPS,
    )
    if denial := denial_of(found, asked):
        raise denied(denial)


def notional_of(
    order: Terms, quotes: Sequence[str], price: Decimal | None, prices: Mapping[str, Decimal]
) -> Decimal | None:
    """What the order is worth in the first quote token; None where nobody knows. `claim.sql` computes the same."""
    if order.exact_out is not None and quotes:
        return cost_of(order, order.exact_out, quotes, prices)
    if order.amount is None or not quotes:
        return None
    if order.token_in == quotes[0]:
        return order.amount
    if order.token_out == quotes[0] and order.limit_price is not None and order.trail_bps is None:
        return order.amount * order.limit_price
    if (one := prices.get(order.token_in)) is not None:
        return order.amount * one
    bought = prices.get(order.token_out)
    return None if bought is None or price is None else order.amount * price * bought


def cost_of(order: Terms, wanted: Decimal, quotes: Sequence[str], prices: Mapping[str, Decimal]) -> Decimal | None:
    """What an exact output may cost in the first quote token: by the most that is sold for it where a price or a number says
    that, else by its worth, the slippage and a margin on top."""
    if order.token_out == quotes[0]:
        return wanted
    one = Decimal(1) if order.token_in == quotes[0] else prices.get(order.token_in)
    if one is None:
        return None
    if (most := most_in(order, wanted)) is not None:
        return most * one
    worth = prices.get(order.token_out)
    return None if worth is None else wanted * worth * (BPS + COST_MARGIN_BPS + order.slippage_bps) / BPS


def most_in(order: Terms, wanted: Decimal) -> Decimal | None:
    """The most of tokenIn that an order may sell for an exact output, where it says so itself."""
    numbers = [order.amount_in_max]
    if order.trigger_condition == GTE:
        numbers.append(None if order.limit_price is None else wanted / order.limit_price)
    elif order.worst_price is not None:
        numbers.append(wanted / order.worst_price)
    return min((number for number in numbers if number is not None), default=None)
