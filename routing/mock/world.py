"""The mock world: a market, a chain and a venue for every registered name, shared by all processes of one data directory."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing.clock import Clock, utc_now
from routing.mock.chain import MockChain
from routing.mock.clock import shared_clock
from routing.mock.market import Market
from routing.mock.tokens import NEW, REGISTRY
from routing.mock.venue import MockVenue
from routing.permits import Permits
from routing.price_hashes import PairPrices
from routing.router import Router
from routing.tokens import Tokens
from routing.values import Pair, Token
from routing.venues import registered


@dataclass(frozen=True, slots=True)
class MockControls:
    """See `Controls`."""

    market: Market
    chain: MockChain
    unlisted: Token = NEW

    def move(self, pair_name: str, **changes: Any) -> None:
        """See `Market.move`."""
        self.market.move(pair_name, **changes)

    def report(self, reference: str | None = None) -> Mapping[str, Any]:
        """See `MockChain.report`."""
        return self.chain.report(reference)


@dataclass(frozen=True, slots=True)
class MockWorld:
    """See `World`."""

    router: Router
    market: Market
    chain: MockChain
    controls: MockControls
    balances: None = None
    """The mock has no wallets."""
    read_mint: None = None
    gates: None = None
    watch: None = None
    """Mock tokens are on no chain."""

    def listed_pairs(self) -> list[Pair]:
        """See `World`."""
        return self.market.listed_pairs()

    async def verify(self) -> None:
        """See `World`: it is made here."""

    async def close(self) -> None:
        """See `World`."""
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
    clock: Clock | None = None,
    cached: Callable[[Pair], Awaitable[PairPrices | None]] | None = None,
    tokens: Callable[[], Tokens] = lambda: REGISTRY,
    permits: Callable[[], Permits] = Permits,
) -> MockWorld:
    """Opens the world in `data_dir/mock`, making it at first use.

    `seed` repeats the prices, None draws one for the directory; `latency` is a factor on every wait.
    `failure_rate` (0..1) is for venues and chain alike; a built transaction is valid for `valid_s` seconds;
    `cached` reads the poller's prices. Without a `clock` quotes are dated by the wall clock, and market and chain go by a
    clock that all processes share (`routing.mock.clock`). `tokens` gives the tokens that are known at present,
    `permits` what pairs may use.
    """
    directory = data_dir / "mock"
    world_clock = clock or shared_clock(directory)
    wall_clock = clock or utc_now
    market = Market(directory, seed=seed, clock=world_clock, tokens=tokens)
    chain = MockChain(directory, market, latency=latency, failure_rate=failure_rate, clock=world_clock)
    venues = [
        MockVenue(
            name,
            market,
            chain,
            valid_s=valid_s,
            latency=latency,
            failure_rate=failure_rate,
            clock=wall_clock,
            world_clock=world_clock,
            permits=permits,
        )
        for name in registered()
    ]
    router = Router(
        venues, deadline_ms=deadline_ms, max_age_ms=max_age_ms, clock=wall_clock, cached=cached, permits=permits
    )
    return MockWorld(router, market, chain, MockControls(market, chain))
