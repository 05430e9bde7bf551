"""When a resting order fires, as tables: exact at equality, never without a fresh price."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.prices import PairPrices
from routing.values import Tick, VenueName
from routing.venues import METEORA, RAYDIUM
from routing.volume import VolumeAverage
from triggers import rules
from triggers.matcher import edge_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAX_AGE = timedelta(milliseconds=1500)


def tick(price: str = "100", *, fee: int = 0, age_ms: int = 0, venue: VenueName = RAYDIUM, **more: str) -> Tick:
    return Tick(
        pair="SOL-USDC",
        venue=venue,
        price=Decimal(price),
        fee_bps=fee,
        liquidity=Decimal(more.get("liquidity", "1000")),
        volume=Decimal(more.get("volume", "10")),
        observed_at=NOW - timedelta(milliseconds=age_ms),
    )


@pytest.mark.parametrize(
    ("condition", "limit", "best", "due"),
    [
        ("gte", "100", "100", True),
        ("gte", "100", "100.000000000000000001", True),
        ("gte", "100", "99.999999999999999999", False),
        ("gte", "100.000000000000000001", "100", False),
        ("lte", "100", "100", True),
        ("lte", "100", "99.999999999999999999", True),
        ("lte", "100", "100.000000000000000001", False),
        ("gte", "0.000000000000000001", "1000000", True),
        ("lte", "1000000000000000000", "0.00002", True),
        ("gte", "100", None, False),
        ("lte", "100", None, False),
        ("gte", "100", "NaN", False),
        ("lte", "100", "NaN", False),
        ("lte", "100", "0", False),
        ("gte", "100", "Infinity", False),
    ],
)
def test_a_limit_fires_at_its_price_and_beyond(condition: str, limit: str, best: str | None, due: bool) -> None:
    assert rules.is_due(condition, Decimal(limit), None if best is None else Decimal(best)) is due


prices = st.decimals(Decimal("1e-18"), Decimal("1e18"), allow_nan=False, places=18)
bests = st.decimals(Decimal("1e-18"), Decimal("1e18"), allow_nan=False, places=24)


@given(limit=prices, best=bests)
def test_the_book_s_text_order_is_the_rule(limit: Decimal, best: Decimal) -> None:
    assert (rules.sortable(limit) <= rules.sortable(best)) is rules.is_due("gte", limit, best)
    assert (rules.sortable(limit) >= rules.sortable(best, up=True)) is rules.is_due("lte", limit, best)
    assert len(rules.sortable(best)) == len(rules.sortable(best, up=True)) == 39


@pytest.mark.parametrize(("price", "text"), [("1E+2", "100"), ("100.50", "100.5"), ("1E-18", "0.000000000000000001")])
def test_prices_in_keys_are_plain(price: str, text: str) -> None:
    assert rules.plain(Decimal(price)) == text


@pytest.mark.parametrize(
    ("limit", "far"), [("1000", False), ("1000.01", True), ("10", False), ("9.99", True), ("100", False)]
)
def test_ten_times_away_is_far(limit: str, far: bool) -> None:
    assert rules.is_far(Decimal(limit), Decimal(100)) is far


def test_an_order_its_own_impact_keeps_below_its_limit_waits_for_more() -> None:
    """At 100 the pool would leave it 99.5: for 100 it takes 100.50…; rounded up, never below the limit."""
    wanted = rules.fillable_at(Decimal(100), Decimal(100), Decimal("99.5"))
    assert wanted == Decimal("100.502512563")
    assert rules.fillable_at(Decimal(100), Decimal(90), Decimal(90)) == 100
    assert rules.fillable_at(Decimal(100), Decimal(90), Decimal(0)) == 100


@pytest.mark.parametrize(("age_ms", "fires"), [(0, True), (1500, True), (1501, False), (-1000, True), (-1001, False)])
def test_a_stale_price_reaches_nothing(age_ms: int, fires: bool) -> None:
    seen = tick(age_ms=age_ms)
    volumes = {RAYDIUM: VolumeAverage(Decimal(1), 100)}
    edge = edge_of(PairPrices("SOL-USDC", {RAYDIUM: seen}, seen, NOW, volumes), NOW, MAX_AGE)
    found = (edge.best, edge.launch, edge.liquidity, edge.volume)
    assert found == ((Decimal(100), 0, 1000, 10) if fires else (None, None, None, None))


def test_a_missing_price_reaches_nothing() -> None:
    edge = edge_of(PairPrices("SOL-USDC", {}, None, NOW), NOW, MAX_AGE)
    assert (edge.best, edge.launch, edge.liquidity, edge.volume) == (None, None, None, None)


def test_a_pool_without_liquidity_is_no_launch() -> None:
    seen = tick(liquidity="0")
    assert edge_of(PairPrices("SOL-USDC", {RAYDIUM: seen}, seen, NOW), NOW, MAX_AGE).launch is None


@pytest.mark.parametrize(
    ("mean", "ticks", "volume", "factor"),
    [("10", 3, "30", "3"), ("10", 3, "29.99", "2.999"), ("10", 2, "30", None), ("0", 9, "30", None)],
)
def test_a_spike_is_measured_against_an_average_there_is(
    mean: str, ticks: int, volume: str, factor: str | None
) -> None:
    found = rules.volume_factor_of([(tick(volume=volume), VolumeAverage(Decimal(mean), ticks))])
    assert found == (None if factor is None else Decimal(factor))


def test_one_venue_s_spike_is_not_thinned_by_the_other() -> None:
    calm, wild = VolumeAverage(Decimal(10), 50), VolumeAverage(Decimal(10), 50)
    seen = [(tick(volume="10"), calm), (tick(volume="50", venue=METEORA), wild)]
    assert rules.volume_factor_of(seen) == 5


def test_the_average_is_a_mean_at_first_and_forgets_later() -> None:
    average = VolumeAverage()
    for volume in (10, 20, 30):
        average = average.after(Decimal(volume), Decimal("0.5"))
    assert average == VolumeAverage(Decimal(20), 3)
    for _ in range(2000):
        average = average.after(Decimal(100), Decimal("0.5"))
    assert abs(average.mean - 100) < 1
    assert average.after(Decimal(1000), Decimal(3600)).mean <= 550
