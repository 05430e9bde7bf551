"""The world of this process: what trades, where, and on which chain.

`EXECUTION_MODE` names it. Nothing but the factories here imports an implementation, so that a world can be added without a
change elsewhere.

Django makes its views and Celery its tasks without arguments of ours, so they reach the process' world and its cached prices
through the functions at the end. Each object is made at its first use; whoever owns the process calls `close_world` at its stop.
"""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings

from routing.balances import Balances
from routing.chain import Chain
from routing.cluster import mode
from routing.controls import Controls
from routing.gates import Finding, Purchase
from routing.paper import PaperStore
from routing.permits import Permits
from routing.prices import PriceFeed, PriceStore
from routing.registry import Registry
from routing.router import Router
from routing.tokens import Tokens
from routing.values import Mint, Pair
from routing.watch import MarketWatch


class World(Protocol):
    @property
    def router(self) -> Router: ...

    @property
    def chain(self) -> Chain: ...

    @property
    def controls(self) -> Controls | None:
        """What moves a pretended world; None in one that cannot be moved."""
        ...

    @property
    def read_mint(self) -> Callable[[str], Awaitable[Mint | None]] | None:
        """Reads a mint account from the chain: what is answered is None where there is no such mint.

        None in a world whose tokens are on no chain. Raises `VenueError` while the chain does not answer.
        """
        ...

    @property
    def gates(self) -> "Callable[[Purchase], Awaitable[list[Finding]]] | None":
        """Looks at a token before it is bought unseen; None in a world whose tokens are on no chain.

        Raises `VenueError` while the chain does not answer.
        """
        ...

    @property
    def balances(self) -> Balances | None:
        """What wallets hold; None in a world without wallets."""
        ...

    @property
    def watch(self) -> MarketWatch | None:
        """What tells when a market has changed; None in a world that is polled only."""
        ...

    def listed_pairs(self) -> list[Pair]:
        """Every pair that trades now, both ways. Blocks; for any thread."""
        ...

    async def verify(self) -> None:
        """Asked once by whoever executes orders, before the first one. Raises where it is another one
        than the mode says, or cannot be relied on: one line says why."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Factory:
    """How a world is made, and the tokens that come with it; those are told without opening it."""

    tokens: Callable[[], Tokens]
    world: Callable[[], World]


def _mock_tokens() -> Tokens:
    from routing.mock.tokens import REGISTRY

    return REGISTRY


def _mock_world() -> World:
    from routing.mock.world import mock_world

    return mock_world(
        settings.DATA_DIR,
        seed=settings.MOCK_SEED,
        latency=settings.MOCK_LATENCY,
        failure_rate=settings.MOCK_FAILURE_RATE,
        deadline_ms=settings.QUOTE_DEADLINE_MS,
        max_age_ms=settings.QUOTE_MAX_AGE_MS,
        valid_s=settings.MOCK_VALID_S,
        cached=price_feed().market,
        tokens=tokens,
        permits=permits,
    )


def _public_tokens() -> Tokens:
    from routing.solana.tokens import of_cluster

    return of_cluster(settings.EXECUTION_MODE)


def _localnet_world() -> World:
    from routing.solana.controls import LocalnetControls

    return _solana_world(LocalnetControls(settings.RPC_URLS[0], tokens))


def _solana_world(controls: Controls | None = None) -> World:
    from routing.cluster import cluster
    from routing.solana.fees import Fees, Strategy
    from routing.solana.world import Access, solana_world

    return solana_world(
        settings.RPC_URLS,
        genesis_hash=cluster(),
        tokens=tokens,
        permits=permits,
        deadline_ms=settings.QUOTE_DEADLINE_MS,
        max_age_ms=settings.QUOTE_MAX_AGE_MS,
        max_fee_lamports=settings.MAX_FEE_LAMPORTS,
        fees=Fees(
            strategy=Strategy(settings.FEE_STRATEGY),
            price=settings.FEE_PRICE,
            percentile=settings.FEE_PERCENTILE,
            tip_lamports=settings.TIP_LAMPORTS,
        ),
        requests_per_s=settings.RPC_REQUESTS_PER_S,
        controls=controls,
        pools=settings.POOLS or None,
        access=Access(**settings.VENUE_ACCESS),
        cached=price_feed().market,
        watch_vaults=settings.VAULT_SUBSCRIPTIONS,
        splits=settings.SPLIT_ROUTING,
        paper=paper_store() if settings.PAPER else None,
    )


FACTORIES = {
    "mock": Factory(_mock_tokens, _mock_world),
    # The localnet's tokens are at the same addresses.
    "localnet": Factory(_mock_tokens, _localnet_world),
    "devnet": Factory(_public_tokens, _solana_world),
    "mainnet": Factory(_public_tokens, _solana_world),
}
"""By `EXECUTION_MODE`."""


registry = Registry(lambda: settings.DATABASE_URL, lambda: FACTORIES[settings.EXECUTION_MODE].tokens().tokens)
"""Reads the table of tokens for this process, from the first look-up on."""


def tokens() -> Tokens:
    """The tokens that are known at present: a change of the table is seen within a second. Does not open the world.

    Keep a token or a pair no longer than for one piece of work. Raises `registry.NotRead`, which is an error of Postgres.
    """
    return registry.current()


def permits() -> Permits:
    """What pairs may use at present, as young as `tokens`. Raises `registry.NotRead`."""
    return registry.permits()


class _Opened:
    """What this process has opened. Threads that ask at the same time get the same object."""

    def __init__(self) -> None:
        self._making = threading.RLock()
        """Reentrant: a world is made with the feed."""
        self._world: World | None = None
        self._feed: PriceFeed | None = None
        self._store: PriceStore | None = None
        self._paper: PaperStore | None = None

    def world(self) -> World:
        with self._making:
            if self._world is None:
                self._world = FACTORIES[settings.EXECUTION_MODE].world()
            return self._world

    def feed(self) -> PriceFeed:
        with self._making:
            if self._feed is None:
                self._feed = PriceFeed(settings.REDIS_URL, mode=mode())
            return self._feed

    def store(self) -> PriceStore:
        with self._making:
            if self._store is None:
                self._store = PriceStore(settings.REDIS_URL, mode=mode())
            return self._store

    def paper(self) -> PaperStore:
        with self._making:
            if self._paper is None:
                self._paper = PaperStore(lambda: settings.DATABASE_URL)
            return self._paper

    async def close(self) -> None:
        with self._making:
            world, feed, store, paper = self._world, self._feed, self._store, self._paper
            self._world = self._feed = self._store = self._paper = None
        if world is not None:
            await world.close()
        if feed is not None:
            await feed.close()
        if store is not None:
            store.close()
        if paper is not None:
            paper.close()


_opened = _Opened()


def world() -> World:
    """The world of this process."""
    return _opened.world()


def price_feed() -> PriceFeed:
    """Cached prices for coroutines of the process' main event loop."""
    return _opened.feed()


def price_store() -> PriceStore:
    """Cached prices for threads, any number of them."""
    return _opened.store()


def paper_store() -> PaperStore:
    """What is traded on paper, for threads, any number of them."""
    return _opened.paper()


async def close_world() -> None:
    """Closes the world and the cached prices, on the event loop that used them. What is asked for later is opened anew."""
    await _opened.close()
    registry.close()
