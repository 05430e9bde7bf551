"""A venue that does not keep up is named, with the reason, where its prices are read."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from routing.mock.tokens import REGISTRY
from routing.mock.world import MockWorld, mock_world
from routing.poller import Poller, prices_of
from routing.price_hashes import SLOW_FOR, commands_of, keys_of, market_of, slow_of, stamp
from routing.values import Pair, Refusal
from routing.venue import VenueRateLimited
from routing.venues import METEORA, RAYDIUM
from triggers.ticker import market_out

FOUND = REGISTRY.pair_named("SOL-USDC")
assert FOUND is not None
PAIR: Pair = FOUND


@pytest.fixture
def world(tmp_path: Path) -> MockWorld:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=200, max_age_ms=10_000, valid_s=30)
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    return made


@pytest.mark.parametrize(("health", "code"), [("error", "VENUE_UNAVAILABLE"), ("slow", "VENUE_TIMEOUT")])
async def test_once_is_an_accident_and_twice_is_slow(world: MockWorld, health: str, code: str) -> None:
    clock = [100.0]
    poller = Poller(world.router, deadline_ms=100, now=lambda: clock[0])
    assert (await poller.poll([PAIR]))[0].slow == ()
    world.market.move("SOL-USDC", raydium=health)
    assert (await poller.poll([PAIR]))[0].slow == ()
    clock[0] += 1
    (market,) = await poller.poll([PAIR])
    assert [(each.venue, each.code) for each in market.slow] == [(RAYDIUM, code)]
    world.market.move("SOL-USDC", raydium="ok")
    clock[0] += SLOW_FOR.total_seconds() + 0.1
    assert (await poller.poll([PAIR]))[0].slow == ()


async def test_a_venue_that_trades_nothing_is_not_slow(world: MockWorld) -> None:
    new = REGISTRY.pair_named("NEW-USDC")
    assert new is not None
    poller = Poller(world.router, deadline_ms=100)
    await poller.poll([new])
    assert (await poller.poll([new]))[0].slow == ()


async def test_it_is_read_back_from_redis_until_it_is_over(world: MockWorld) -> None:
    ticks = await world.router.ticks(PAIR, deadline_s=1)
    refused = Refusal(METEORA, VenueRateLimited.code, 'it may be asked again in "0.8 s"')
    market = prices_of(PAIR, [ticks[RAYDIUM], refused], world.router)
    assert market.slow == (refused,)
    keys, arguments = commands_of(market)
    hashes: dict[str, dict[str, str]] = dict.fromkeys(keys_of(PAIR.name), {})
    for key, argument in zip(keys, arguments, strict=True):
        seen_at, *flat = texts(argument)
        hashes[key] = dict(zip(flat[::2], flat[1::2], strict=True)) | {"seen_at": seen_at}
    found = market_of(PAIR.name, list(hashes.values()))
    assert found is not None and found.slow == (refused,) and found.best == market.best
    said = market_out(found, market.seen_at)["slow"]
    assert said == [{"venue": "METEORA", "code": "VENUE_RATE_LIMITED", "message": refused.message}]
    old = hashes[f"quotes:{PAIR.name}:SLOW"] | {"seen_at": stamp(market.seen_at - SLOW_FOR - timedelta(seconds=1))}
    assert slow_of(old, market.seen_at) == ()
    other = market_of(PAIR.name, [*list(hashes.values())[:-1], hashes[f"quotes:{PAIR.name}:SLOW"] | {"mode": "devnet"}])
    assert other is not None and other.slow == ()


def texts(argument: bytes) -> list[str]:
    return msgspec.json.decode(argument, type=list[str])
