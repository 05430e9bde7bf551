"""The router under one deadline, against venues that answer, fail and dawdle."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from routing import venues
from routing.controls import InvalidMove
from routing.mock import tokens
from routing.mock.world import MockWorld, mock_world
from routing.poller import Poller
from routing.price_hashes import PairPrices, commands_of, keys_of
from routing.router import Router
from routing.selection import NoQuote
from routing.values import Pair, Quote, Tick
from routing.venue import Splitter, Venue
from routing.venues import METEORA, RAYDIUM, SPLIT, registered
from triggers.ticker import market_out

PAIR = tokens.REGISTRY.pair_named("SOL-USDC")


@pytest.fixture
def world(tmp_path: Path) -> MockWorld:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=100, max_age_ms=1000, valid_s=30)
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    return made


async def test_both_venues_are_compared(world: MockWorld) -> None:
    assert PAIR is not None
    selection = await world.router.quote(PAIR, Decimal(1))
    assert {quote.venue for quote in selection.quotes} == set(registered())
    assert selection.refusals == ()
    assert selection.winner.amount_out == max(quote.amount_out for quote in selection.quotes)
    assert world.router.venue(selection.winner.venue).name is selection.winner.venue


@pytest.mark.parametrize(("health", "code"), [("error", "VENUE_UNAVAILABLE"), ("slow", "VENUE_TIMEOUT")])
async def test_a_venue_that_fails_or_is_late_is_left_out(world: MockWorld, health: str, code: str) -> None:
    assert PAIR is not None
    world.market.move("SOL-USDC", raydium=health)
    selection = await world.router.quote(PAIR, Decimal(1))
    assert selection.reason == "only METEORA answered"
    assert [(refusal.venue, refusal.code) for refusal in selection.refusals] == [(RAYDIUM, code)]
    world.market.move("SOL-USDC", meteora=health)
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(1))
    assert (caught.value.code, caught.value.permanent) == (code, False)


@pytest.mark.parametrize(("amount", "code"), [("0.000000001", "AMOUNT_TOO_SMALL"), ("1e9", "INSUFFICIENT_LIQUIDITY")])
async def test_what_no_venue_can_ever_do_is_permanent(world: MockWorld, amount: str, code: str) -> None:
    assert PAIR is not None
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(amount))
    assert (caught.value.code, caught.value.permanent) == (code, True)


async def test_every_answer_fails_at_a_failure_rate_of_one(tmp_path: Path) -> None:
    assert PAIR is not None
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=1, deadline_ms=100, max_age_ms=1000, valid_s=30)
    with pytest.raises(NoQuote):
        await world.router.quote(PAIR, Decimal(1))


class Binned:
    """A venue whose tick does not say what a large amount would get, like a concentrated or binned pool's."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.name = venue.name
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        return None if amount > 1 else self._venue.price(pair, tick, amount, exact_out=exact_out)

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        self.asked += 1
        return await self._venue.quote(pair, amount, exact_out=exact_out)


async def binned(world: MockWorld) -> tuple[Router, Binned]:
    assert PAIR is not None
    ticks = await world.router.ticks(PAIR, deadline_s=1)
    seen = {venue: tick for venue, tick in ticks.items() if isinstance(tick, Tick)}

    async def cached(pair: Pair) -> PairPrices:
        return PairPrices(pair.name, seen, None, world.router.now())

    raydium, meteora = world.router.venue(RAYDIUM), Binned(world.router.venue(METEORA))
    return Router([raydium, meteora], deadline_ms=1000, max_age_ms=60_000, cached=cached), meteora


async def test_a_cached_tick_is_priced_by_its_venue_and_else_the_venues_are_asked(world: MockWorld) -> None:
    assert PAIR is not None
    router, meteora = await binned(world)
    small = await router.quote(PAIR, Decimal(1), fresh=False)
    assert [quote.cached for quote in small.quotes] == [True, True] and meteora.asked == 0
    large = await router.quote(PAIR, Decimal(2), fresh=False)
    assert [quote.cached for quote in large.quotes] == [False, False] and meteora.asked == 1


async def test_an_estimate_asks_only_who_cannot_price_its_tick(world: MockWorld) -> None:
    assert PAIR is not None
    router, meteora = await binned(world)
    answers = await world.router.ticks(PAIR, deadline_s=1)
    ticks = {venue: tick for venue, tick in answers.items() if isinstance(tick, Tick)}
    estimate = await router.estimate(PAIR, Decimal(2), ticks)
    assert {quote.venue: quote.cached for quote in estimate.quotes} == {RAYDIUM: True, METEORA: False}
    assert meteora.asked == 1
    with pytest.raises(NoQuote) as caught:
        await router.estimate(PAIR, Decimal(2), {})
    assert caught.value.code == "NO_ROUTE"


async def test_a_world_may_bring_venues_of_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAIR is not None
    monkeypatch.setattr(venues, "_names", dict(venues._names))
    orca = venues.register("ORCA")
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=1000, max_age_ms=1000, valid_s=30)
    selection = await world.router.quote(PAIR, Decimal(1))
    assert {quote.venue for quote in selection.quotes} == {RAYDIUM, METEORA, orca}
    world.market.move("SOL-USDC", orca="error")
    refusals = (await world.router.quote(PAIR, Decimal(1))).refusals
    assert [(refusal.venue, refusal.code) for refusal in refusals] == [(orca, "VENUE_UNAVAILABLE")]
    [market] = await Poller(world.router, deadline_ms=1000).poll([PAIR])
    hashes = dict(zip(*commands_of(market), strict=True))
    assert set(hashes) == {f"quotes:SOL-USDC:{name}" for name in ("RAYDIUM", "METEORA", "BEST")}, "it failed"
    assert market_out(market, market.seen_at)["orca"] is None
    assert keys_of("SOL-USDC")[-3:-1] == ["quotes:SOL-USDC:ORCA", "quotes:SOL-USDC:BEST"]
    await world.close()


@pytest.mark.parametrize("name", ["BEST", "orca", "", "A" * 17, "ORCA:X", "1INCH", "ORCA\n"])
def test_a_name_that_would_break_keys_or_answers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a venue's name"):
        venues.register(name)


def test_an_unknown_venue_is_named_when_the_market_is_moved(world: MockWorld) -> None:
    with pytest.raises(InvalidMove) as caught:
        world.controls.move("SOL-USDC", serum="error")
    assert caught.value.field == "serum"


class Late:
    """A venue that takes its time."""

    def __init__(self, venue: Venue, by_s: float) -> None:
        self._venue, self._by_s = venue, by_s
        self.name = venue.name

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        await asyncio.sleep(self._by_s)
        return await self._venue.quote(pair, amount, exact_out=exact_out)


class Undecided:
    """A splitter that never answers."""

    name, venues = SPLIT, (RAYDIUM, METEORA)

    async def offer(self, pair: Pair, amount: Decimal, ticks: object = None) -> Quote | None:
        await asyncio.Event().wait()
        return None


async def test_a_division_has_what_the_venues_leave_of_the_deadline(world: MockWorld) -> None:
    """Their quotes grow old meanwhile."""
    assert PAIR is not None
    late, splitter = [Late(venue, 1.0) for venue in world.router.venues], cast(Splitter, Undecided())
    router = Router(cast(list[Venue], late), deadline_ms=1_300, max_age_ms=60_000, splitter=splitter, splits=True)
    began = time.monotonic()
    selection = await router.quote(PAIR, Decimal(1))
    assert time.monotonic() - began < 2.1
    assert {quote.venue for quote in selection.quotes} == {RAYDIUM, METEORA}
    assert [(refusal.venue, refusal.code) for refusal in selection.refusals] == [(SPLIT, "VENUE_TIMEOUT")]
