"""The mock market: repeatable, shared, and moved by commands."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from routing.mock import tokens
from routing.mock.market import InvalidMove, Market
from routing.mock.market_file import Health
from routing.values import Pair, Tick, VenueName
from routing.venue import NoRoute
from routing.venues import METEORA, RAYDIUM, registered

START = datetime(2026, 1, 1, tzinfo=UTC)


class SetClock:
    """A clock that the test sets."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def named(name: str) -> Pair:
    pair = tokens.REGISTRY.pair_named(name)
    assert pair is not None
    return pair


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def market(tmp_path: Path, clock: SetClock) -> Market:
    return Market(tmp_path, seed=7, clock=clock)


@pytest.fixture
def tick(market: Market, clock: SetClock) -> Callable[..., Tick]:
    def read(name: str, venue: VenueName = RAYDIUM) -> Tick:
        return market.tick(named(name), venue, clock.now)

    return read


def test_the_same_seed_gives_the_same_prices_after_the_first_start(tmp_path: Path) -> None:
    prices = []
    for directory, start in (("a", START), ("b", START + timedelta(days=3))):
        market = Market(tmp_path / directory, seed=7, clock=SetClock(start))
        moments = [start + timedelta(seconds=s) for s in range(0, 600, 30)]
        prices.append([market.tick(named("SOL-USDC"), METEORA, at).price for at in moments])
    assert prices[0] == prices[1]
    assert len(set(prices[0])) > 10


def test_without_a_seed_every_process_still_sees_one_market(tmp_path: Path) -> None:
    one, two = (Market(tmp_path).tick(named("JUP-USDC"), METEORA, START) for _ in range(2))
    assert one == two


def test_another_seed_starts_another_market(tmp_path: Path) -> None:
    one, two = (Market(tmp_path, seed=s).tick(named("SOL-USDC"), METEORA, START).price for s in (1, 2))
    assert one != two


def test_prices_wander_by_a_few_percent_and_slowly(market: Market) -> None:
    prices = [market.tick(named("SOL-USDC"), RAYDIUM, START + timedelta(seconds=s)).price for s in range(1800)]
    assert Decimal("0.02") < (max(prices) - min(prices)) / min(prices) < Decimal("0.08")
    assert max(abs(b / a - 1) for a, b in zip(prices, prices[3:], strict=False)) < Decimal("0.003")


def test_either_venue_is_better_now_and_then(market: Market) -> None:
    seen = set()
    for seconds in range(0, 900, 5):
        at = START + timedelta(seconds=seconds)
        ticks = [market.tick(named("SOL-USDC"), venue, at) for venue in registered()]
        seen.add(max(ticks, key=lambda tick: tick.net_price).venue)
    assert seen == {RAYDIUM, METEORA}


def test_a_held_price_is_exact_on_both_venues_and_both_ways(
    market: Market, clock: SetClock, tick: Callable[..., Tick]
) -> None:
    market.move("SOL-USDC", price=Decimal(150), hold=True)
    clock.now += timedelta(minutes=3)
    assert tick("SOL-USDC", RAYDIUM).price == tick("SOL-USDC", METEORA).price == 150
    market.move("USDC-SOL", price=Decimal("0.0066"))
    assert tick("USDC-SOL").price == Decimal("0.0066")
    assert tick("SOL-USDC").price == Decimal("151.515151515")
    assert market.is_held(named("USDC-SOL"))


def test_a_price_that_is_not_held_wanders_on(market: Market, clock: SetClock, tick: Callable[..., Tick]) -> None:
    market.move("SOL-USDC", price=Decimal(150))
    assert abs(tick("SOL-USDC").price / 150 - 1) < Decimal("0.002")
    clock.now += timedelta(minutes=2)
    later = tick("SOL-USDC").price
    assert later != 150 and abs(later / 150 - 1) < Decimal("0.08")


def test_hold_alone_holds_the_present_price_and_release_goes_on_from_it(
    market: Market, clock: SetClock, tick: Callable[..., Tick]
) -> None:
    market.move("SOL-USDC", hold=True)
    held = tick("SOL-USDC").price
    clock.now += timedelta(minutes=5)
    assert tick("SOL-USDC").price == held
    market.move("SOL-USDC", hold=False)
    assert abs(tick("SOL-USDC").price / held - 1) < Decimal("0.002")


def test_a_cross_pair_follows_its_dollar_prices(market: Market, tick: Callable[..., Tick]) -> None:
    market.move("SOL-USDC", price=Decimal(150), hold=True)
    market.move("JUP-USDC", price=Decimal("0.5"), hold=True)
    market.move("SOL-JUP", hold=True)
    assert tick("SOL-JUP").price == 300


def test_listing_a_pool_lists_both_ways(market: Market, tick: Callable[..., Tick]) -> None:
    with pytest.raises(NoRoute):
        tick("NEW-USDC")
    market.move("NEW-USDC", listed=True, liquidity=Decimal(5000), volume=Decimal(77))
    for name in ("NEW-USDC", "USDC-NEW"):
        assert (tick(name).liquidity, tick(name).volume) == (Decimal(5000), Decimal(77))
    assert named("USDC-NEW") in market.listed_pairs()
    market.move("USDC-NEW", listed=False)
    with pytest.raises(NoRoute):
        tick("NEW-USDC")


def test_a_move_is_seen_by_other_processes_and_leaves_the_rest(tmp_path: Path, clock: SetClock) -> None:
    writer, reader = (Market(tmp_path, seed=7, clock=clock) for _ in range(2))
    pair = named("SOL-USDC")
    assert reader.health(pair, RAYDIUM) is Health.OK
    for price in range(100, 130):
        writer.move("SOL-USDC", price=Decimal(price), hold=True, raydium="slow")
        while reader.tick(pair, METEORA, clock.now).price != price:
            pass
    writer.move("SOL-USDC", meteora="error")
    while reader.health(pair, METEORA) is not Health.ERROR:
        pass
    assert reader.health(pair, RAYDIUM) is Health.SLOW
    assert Market(tmp_path, clock=clock).tick(pair, METEORA, clock.now).price == 129


@pytest.mark.parametrize(
    ("pair", "move", "field"),
    [
        ("SOL-DOGE", {}, "pair"),
        ("SOL-SOL", {}, "pair"),
        ("SOL-USDC", {"price": Decimal(0)}, "price"),
        ("SOL-USDC", {"price": Decimal("NaN")}, "price"),
        ("SOL-USDC", {"liquidity": Decimal(-1)}, "liquidity"),
        ("SOL-USDC", {"volume": Decimal("Infinity")}, "volume"),
        ("SOL-USDC", {"raydium": "dead"}, "raydium"),
    ],
)
def test_a_move_that_makes_no_sense_changes_nothing(
    market: Market, tick: Callable[..., Tick], pair: str, move: dict[str, object], field: str
) -> None:
    before = tick("SOL-USDC")
    with pytest.raises(InvalidMove) as caught:
        market.move(pair, listed=False, **move)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert tick("SOL-USDC") == before
