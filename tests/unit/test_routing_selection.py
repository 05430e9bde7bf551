"""The arithmetic of quotes, and which venue wins."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.mock import tokens
from routing.mock.pool import quote_from_tick
from routing.selection import NoQuote, min_out, select
from routing.values import Pair, Quote, Refusal, Tick, VenueName
from routing.venue import AmountTooSmall, InsufficientLiquidity
from routing.venues import METEORA, RAYDIUM

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAX_AGE = timedelta(seconds=2)


def named(name: str) -> Pair:
    pair = tokens.REGISTRY.pair_named(name)
    assert pair is not None
    return pair


def quote(venue: VenueName = RAYDIUM, amount_out: str = "150", *, age_ms: int = 0, amount_in: str = "1") -> Quote:
    return Quote(
        pair="SOL-USDC",
        venue=venue,
        amount_in=Decimal(amount_in),
        amount_out=Decimal(amount_out),
        price=Decimal(150),
        fee_bps=25,
        impact_bps=Decimal(0),
        observed_at=NOW - timedelta(milliseconds=age_ms),
    )


def tick(pair: str = "SOL-USDC", *, price: str = "150", fee_bps: int = 25, liquidity: str = "1000000") -> Tick:
    return Tick(
        pair=pair,
        venue=RAYDIUM,
        price=Decimal(price),
        fee_bps=fee_bps,
        liquidity=Decimal(liquidity),
        volume=Decimal(0),
        observed_at=NOW,
    )


@pytest.mark.parametrize(
    ("quotes", "winner", "reason"),
    [
        (
            [quote(RAYDIUM, "149.55"), quote(METEORA, "149.37")],
            RAYDIUM,
            "RAYDIUM pays 149.55 USDC, 0.12 % more than METEORA",
        ),
        (
            [quote(RAYDIUM, "149.999999"), quote(METEORA, "150")],
            METEORA,
            "METEORA pays 150 USDC, less than 0.01 % more than RAYDIUM",
        ),
        (
            [quote(METEORA, age_ms=5), quote(RAYDIUM, age_ms=9)],
            RAYDIUM,
            "RAYDIUM pays 150 USDC, the same as METEORA, and its quote is older",
        ),
        (
            [quote(RAYDIUM), quote(METEORA)],
            METEORA,
            "METEORA pays 150 USDC, the same as RAYDIUM, and comes first by name",
        ),
        ([quote(METEORA)], METEORA, "only METEORA answered"),
    ],
)
def test_the_highest_output_wins(quotes: list[Quote], winner: VenueName, reason: str) -> None:
    selection = select(quotes, [], now=NOW, max_age=MAX_AGE)
    assert (selection.winner.venue, selection.reason) == (winner, reason)
    assert selection.quotes == tuple(quotes)


@pytest.mark.parametrize(("age_ms", "usable"), [(2000, True), (2001, False), (-1000, True), (-1001, False)])
def test_a_quote_is_used_only_while_fresh(age_ms: int, usable: bool) -> None:
    better = quote(RAYDIUM, "200", age_ms=age_ms)
    selection = select([better, quote(METEORA)], [], now=NOW, max_age=MAX_AGE)
    assert selection.winner.venue is (RAYDIUM if usable else METEORA)
    assert [refusal.code for refusal in selection.refusals] == ([] if usable else ["STALE_QUOTE"])


@pytest.mark.parametrize(
    ("refusals", "code", "permanent"),
    [
        ([("NO_ROUTE", False), ("NO_ROUTE", False)], "NO_ROUTE", False),
        ([("AMOUNT_TOO_SMALL", True), ("AMOUNT_TOO_SMALL", True)], "AMOUNT_TOO_SMALL", True),
        ([("AMOUNT_TOO_SMALL", True), ("VENUE_TIMEOUT", False)], "NO_QUOTE", False),
        ([], "NO_QUOTE", False),
    ],
)
def test_no_quote_is_as_permanent_as_its_refusals(refusals: list[tuple[str, bool]], code: str, permanent: bool) -> None:
    refused = [Refusal(RAYDIUM, one, "no", lasting) for one, lasting in refusals]
    with pytest.raises(NoQuote) as caught:
        select([], refused, now=NOW, max_age=MAX_AGE)
    assert (caught.value.code, caught.value.permanent) == (code, permanent)
    assert caught.value.refusals == tuple(refused)


@pytest.mark.parametrize(
    ("pair", "price", "amount", "liquidity", "out", "impact_bps"),
    [
        # 1,000 × 0.9975 = 997.5 in; 149,625 ideal; × 1,000,000 / 1,149,625.
        ("SOL-USDC", "150", "1000", "1000000", "130151.136240", "1301.52"),
        # The pool is measured in USDC whichever way it trades: the impact is that of the value in USDC.
        ("USDC-SOL", "0.01", "1000", "1000000", "9.965059852", "9.97"),
        ("SOL-USDC", "150", "0.000001", "1000000", "0.000149", "0.01"),
    ],
)
def test_a_quote_follows_the_constant_product(
    pair: str, price: str, amount: str, liquidity: str, out: str, impact_bps: str
) -> None:
    got = quote_from_tick(named(pair), tick(pair, price=price, liquidity=liquidity), Decimal(amount), cached=True)
    assert (got.amount_out, got.impact_bps, got.cached) == (Decimal(out), Decimal(impact_bps), True)


def test_an_amount_too_small_or_too_large_is_refused() -> None:
    pair = named("SOL-USDC")
    with pytest.raises(AmountTooSmall):
        quote_from_tick(pair, tick(), Decimal("0.000000001"), cached=False)
    half = tick(price="1", fee_bps=0, liquidity="100")
    assert quote_from_tick(pair, half, Decimal(100), cached=False).amount_out == 50
    with pytest.raises(InsufficientLiquidity):
        quote_from_tick(pair, half, Decimal("100.000001"), cached=False)
    with pytest.raises(InsufficientLiquidity):
        quote_from_tick(pair, tick(liquidity="0"), Decimal(1), cached=False)


AMOUNTS = st.decimals("0.000001", "100000", places=6)
PRICES = st.decimals("0.0001", "100000", places=8)


@given(amount=AMOUNTS, price=PRICES, fee_bps=st.integers(0, 100), more=AMOUNTS)
def test_a_larger_amount_buys_more_at_a_worse_price(
    amount: Decimal, price: Decimal, fee_bps: int, more: Decimal
) -> None:
    pair = named("SOL-USDC")
    market = tick(price=str(price), fee_bps=fee_bps, liquidity="1000000000000")
    try:
        small = quote_from_tick(pair, market, amount, cached=False)
    except AmountTooSmall:
        return
    large = quote_from_tick(pair, market, amount + more, cached=False)
    assert small.amount_out <= large.amount_out
    assert small.impact_bps <= large.impact_bps
    for one in (small, large):
        assert one.amount_out <= one.amount_in * market.net_price
        assert one.amount_out == one.amount_out.quantize(Decimal("0.000001"))


@pytest.mark.parametrize(
    ("amount_out", "slippage_bps", "limit", "floor"),
    [
        ("150", 50, None, "149.25"),
        ("150", 0, None, "150"),
        ("150", 5000, None, "75"),
        ("150", 50, "149", "149.25"),
        ("150", 50, "149.9", "149.9"),
        ("150", 50, "149.9000001", "149.900001"),
        ("150", 50, "151", "151"),
        ("0.000001", 50, None, "0.000001"),
    ],
)
def test_min_out_is_the_stricter_of_slippage_and_limit(
    amount_out: str, slippage_bps: int, limit: str | None, floor: str
) -> None:
    limit_price = None if limit is None else Decimal(limit)
    assert min_out(named("SOL-USDC"), quote(amount_out=amount_out), slippage_bps, limit_price) == Decimal(floor)


@given(amount_in=AMOUNTS, amount_out=AMOUNTS, slippage_bps=st.integers(0, 5000), limit=PRICES)
def test_min_out_is_never_below_the_limit_nor_beyond_the_slippage(
    amount_in: Decimal, amount_out: Decimal, slippage_bps: int, limit: Decimal
) -> None:
    offered = quote(amount_in=str(amount_in), amount_out=str(amount_out))
    floor = min_out(named("SOL-USDC"), offered, slippage_bps, limit)
    assert floor >= amount_in * limit
    assert floor * 10_000 >= amount_out * (10_000 - slippage_bps)
    assert min_out(named("SOL-USDC"), offered, slippage_bps) <= amount_out
