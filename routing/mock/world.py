"""The mock world: a market, a chain and two venues that all processes of one data directory share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from routing import prices
from routing.clock import Clock, utc_now
from routing.mock.chain import MockChain
from routing.mock.market import Market
from routing.mock.venue import MockVenue
from routing.router import Router
from routing.values import Pair, VenueName


@dataclass(frozen=True, slots=True)
class MockWorld:
    """The router, and the handles that move the world under it."""

    router: Router
    market: Market
    chain: MockChain

    async def close(self) -> None:
        await self.chain.close()


def mock_world(
    data_dir: Path,
    *,
    seed: int | None,
    latency: float,
    failure_rate: float,
    deadline_ms: int,
    max_age_ms: int,
    valid_s: float,
    clock: Clock = utc_now,
    cached: Callable[[Pair], Awaitable[prices.PairPrices | None]] | None = None,
) -> MockWorld:
    """Opens the world in `data_dir/mock`, making it at first use.

    `seed` repeats the prices, None draws one for the directory; `latency` is a factor on every wait.
    `failure_rate` (0..1) is for venues and chain alike; a built transaction is valid for `valid_s` seconds;
    `cached` reads the poller's prices.
    """
    directory = data_dir / "mock"
    market = Market(directory, seed=seed, clock=clock)
    chain = MockChain(directory, market, latency=latency, failure_rate=failure_rate, clock=clock)
    venues = [
        MockVenue(name, market, chain, valid_s=valid_s, latency=latency, failure_rate=failure_rate, clock=clock)
        for name in VenueName
    ]
    router = Router(venues, deadline_ms=deadline_ms, max_age_ms=max_age_ms, clock=clock, cached=cached)
    return MockWorld(router, market, chain)
