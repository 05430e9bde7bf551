"""Limits in tokenIn: what is promised is what was asked for, to the last base unit."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.errors import ApiError
from orders.events import RestData
from orders.execution.steps import moved_back
from orders.limits import asked_in_token_in, per_token_in, shown_inverse
from orders.order_in import EXACT, MAX_PRICE, MIN_PRICE
from routing.mock import tokens
from routing.selection import min_out
from routing.values import Pair, Quote, Selection, Token
from routing.venues import RAYDIUM
from tests.factories import claim
from tests.unit.test_requests import LIMIT, MARKET, refused, take

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNIT = Fraction(1, 10**18)
BUY = {**LIMIT, "tokenIn": "USDC", "tokenOut": "SOL", "amount": "150", "limitPrice": "150", "priceIn": "tokenIn"}


@st.composite
def prices(draw: st.DrawFn) -> Decimal:
    """Of every size, most of them with an inverse that does not end."""
    digits, exponent = draw(st.integers(1, 10**18)), draw(st.integers(-18, 17))
    price = Decimal(digits).scaleb(exponent - len(str(digits)) + 1).quantize(MIN_PRICE, context=EXACT)
    return min(max(price, MIN_PRICE), MAX_PRICE)


units = st.integers(1, 2**64 - 1)


def of_units(count: int, decimals: int) -> Decimal:
    return Decimal(count).scaleb(-decimals)


def quote(amount_in: Decimal, amount_out: Decimal) -> Quote:
    return Quote("A-B", RAYDIUM, amount_in, amount_out, Decimal(1), 25, Decimal(0), NOW)


def pair(decimals: int) -> Pair:
    return Pair(tokens.USDC, Token("B", tokens.SOL.mint, decimals))


@given(prices())
def test_the_inverse_is_never_weaker_than_asked_and_as_near_as_can_be(asked: Decimal) -> None:
    exact = Fraction(1) / Fraction(asked)
    assert 0 <= Fraction(per_token_in(asked, "gte")) - exact < UNIT
    assert 0 <= exact - Fraction(per_token_in(asked, "lte")) < UNIT
    assert asked_in_token_in(per_token_in(asked, "gte"), asked, "gte") == asked


@given(prices(), units, st.integers(0, 9), st.integers(0, 9), st.integers(0, 5000))
def test_the_least_output_is_the_limit_s_to_the_base_unit(
    asked: Decimal, sold: int, decimals_in: int, decimals_out: int, slippage_bps: int
) -> None:
    """With one unit less the order would have paid more than was asked for; nothing more is demanded either."""
    amount = of_units(sold, decimals_in)
    nothing = quote(amount, Decimal(0))
    limit_price = per_token_in(asked, "gte")
    least = min_out(pair(decimals_out), nothing, slippage_bps, limit_price, asked_price=asked)
    unit = Fraction(1, 10**decimals_out)
    assert Fraction(least) * Fraction(asked) >= Fraction(amount)
    assert (Fraction(least) - unit) * Fraction(asked) < Fraction(amount)
    # A process of the version before knows the rounded inverse only.
    assert min_out(pair(decimals_out), nothing, slippage_bps, limit_price) >= least


@given(prices(), units, st.integers(-2, 2))
def test_a_limit_is_due_exactly_at_what_was_asked(asked: Decimal, sold: int, off: int) -> None:
    amount = of_units(sold, 6)
    least = min_out(pair(9), quote(amount, Decimal(0)), 0, asked_price=asked)
    offer = quote(amount, max(least + of_units(off, 9), Decimal("1e-9")))
    order = claim(type="limit", trigger_condition="gte", limit_price=per_token_in(asked, "gte"), asked_price=asked)
    move = moved_back(order, Selection(offer, "", (offer,), ()))
    assert (move is None) == (Fraction(offer.amount_out) * Fraction(asked) >= Fraction(amount))
    assert move is None or isinstance(move.data, RestData)


def test_buying_sol_at_150_usdc() -> None:
    order = take(BUY)
    assert (order.limit_price, order.asked_price) == (Decimal("0.006666666666666667"), Decimal(150))
    assert min_out(pair(9), quote(Decimal(150), Decimal(0)), 50, order.limit_price, asked_price=order.asked_price) == 1
    stop = take({**BUY, "triggerCondition": "lte"})
    assert stop.limit_price == Decimal("0.006666666666666666")
    assert shown_inverse(Decimal("0.006666666666666667")) == Decimal("149.999999999999993")


def test_an_amendment_by_a_process_of_before_is_what_counts() -> None:
    assert asked_in_token_in(Decimal("0.007"), Decimal(150), "gte") is None
    assert asked_in_token_in(None, None, None) is None


@pytest.mark.parametrize("changes", [{"priceIn": "sol"}, {"priceIn": None}, {"priceIn": "TOKENIN"}])
def test_what_a_price_may_be_in(changes: dict[str, Any]) -> None:
    assert (refused({**BUY, **changes}).code, list(refused({**BUY, **changes}).details)) == (
        "VALIDATION_FAILED",
        ["priceIn"],
    )


def test_only_limits_have_a_direction() -> None:
    error: ApiError = refused({**MARKET, "priceIn": "tokenIn"})
    assert (error.code, list(error.details)) == ("VALIDATION_FAILED", ["priceIn"])
    assert take({**MARKET, "priceIn": "tokenOut"}).asked_price is None


def test_the_same_limit_asked_for_in_two_ways_is_not_one_request() -> None:
    ways = [take(BUY), take({**BUY, "priceIn": "tokenOut", "limitPrice": "0.006666666666666667"})]
    assert ways[0].request_hash != ways[1].request_hash
