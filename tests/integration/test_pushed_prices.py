"""Orders that wait on a localnet: they fire in the block that moves a pool, and by the poll where nobody tells."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.conf import settings

from orders.ids import uuid7
from orders.ledger.statements import Connection
from routing.mock.tokens import REGISTRY
from routing.price_hashes import PairPrices
from routing.prices import PriceStore
from routing.solana.world import Access, SolanaWorld, solana_world
from routing.values import Pair
from routing.venues import METEORA, RAYDIUM
from routing.world import registry
from tests.localnet.node import Localnet, running
from tests.waiting import until
from triggers.book import Arm, Book, Left, Rest
from triggers.matcher import Matcher
from triggers.ticker import TURN, Ticker, channel_of

NAME = "SOL-USDC"
FOUND = REGISTRY.pair_named(NAME)
assert FOUND is not None
PAIR: Pair = FOUND
MAX_AGE_MS = 60_000
LIMIT_S = 60


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(hold="") as made:
        yield made


class Bench:
    """A ticker over a localnet whose blocks come by hand. Nobody but the test polls."""

    def __init__(self, node: Localnet, **options: Any) -> None:
        self.node = node
        values: dict[str, Any] = {"deadline_ms": 5_000, "max_age_ms": MAX_AGE_MS, "tokens": lambda: REGISTRY}
        genesis = node.addresses["genesisHash"]
        self.world: SolanaWorld = solana_world([node.addresses["rpcUrl"]], genesis_hash=genesis, **(values | options))
        self.store, self.book = PriceStore(settings.REDIS_URL), Book(settings.REDIS_URL)
        for client in (self.store.redis, self.book.redis):
            client.connection_pool.connection_kwargs["socket_timeout"] = 30
        self.store.redis.flushdb()
        self.due: list[str] = []
        self.fired: list[tuple[list[Any], dict[str, Any]]] = []
        self.ticker = Ticker(
            self.world.router,
            self.store,
            self.book,
            Matcher(
                self.book,
                self.store,
                lambda ids, trigger: self.fired.append((list(ids), trigger)),
                max_age=timedelta(milliseconds=MAX_AGE_MS),
                most=100,
            ),
            lambda task, pair: self.due.append(task),
            pairs=[],
            deadline_ms=5_000,
            watch=self.world.watch,
        )
        self.move("100")

    def move(self, price: str, *venues: str) -> None:
        for venue in venues or ("RAYDIUM", "METEORA"):
            self.node.control("pool", venue=venue, base="SOL", quote="USDC", price=price)
        self.node.tick()

    def arm(self, price: str, kind: str = "gte") -> Rest:
        rest = Rest(uuid7(), NAME, 1, kind, Decimal(price))
        self.book.change([Arm(rest)])
        return rest

    def poll(self) -> PairPrices:
        self.store.redis.delete(TURN)
        until(self.ticker.tick, LIMIT_S)
        return self.store.read([NAME])[NAME]

    def subscribed(self) -> None:
        """Polls until the node has said that it will tell."""
        assert self.world.watch is not None
        watch = self.world.watch.vaults

        def ready() -> bool:
            self.poll()
            return bool(watch._of) and all(map(watch._subscriptions.tells, watch._of))

        until(ready, LIMIT_S)

    def close(self) -> None:
        self.ticker.end(self.world.close())
        self.store.redis.flushdb()


Open = Callable[..., Bench]


@pytest.fixture
def bench(node: Localnet, database: Connection) -> Iterator[Open]:
    registry.refresh()
    made: list[Bench] = []

    def start(**options: Any) -> Bench:
        made.append(Bench(node, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_an_order_fires_in_the_block_without_a_poll(bench: Open) -> None:
    engine = bench()
    order = engine.arm("110")
    engine.subscribed()
    assert engine.fired == []
    with closing(redis.Redis.from_url(settings.REDIS_URL)) as raw, raw.pubsub() as subscriber:
        subscriber.subscribe(channel_of(NAME))
        until(lambda: engine.store.redis.pubsub_numsub(channel_of(NAME))[0][1] == 1, 10)
        engine.move("112", "RAYDIUM")
        until(lambda: engine.fired, LIMIT_S)
        until(lambda: (said := subscriber.get_message(timeout=0.1)) and said["type"] == "message", LIMIT_S)
    ((ids, trigger),) = engine.fired
    assert ids == [order.order_id] and trigger["venue"] == RAYDIUM
    pushed = engine.store.read([NAME])[NAME]
    polled = engine.poll()
    for market in (pushed, polled):
        assert market.best is not None and market.best.venue == RAYDIUM
        assert {venue: tick.price for venue, tick in market.ticks.items()} == {
            venue: tick.price for venue, tick in polled.ticks.items()
        }
    assert set(pushed.ticks) == {RAYDIUM, METEORA}, "the other venue counts with its last tick"
    assert pushed.best is not None and trigger["price"] == f"{pushed.best.net_price.normalize():f}"


def test_a_stop_fires_when_the_better_venue_falls_too(bench: Open) -> None:
    """BEST is that of both: one venue's fall alone fires nothing."""
    engine = bench()
    engine.arm("95", "lte")
    engine.subscribed()
    engine.move("90", "RAYDIUM")
    until(lambda: cached(engine, RAYDIUM) < 91, LIMIT_S)
    assert engine.fired == []
    engine.move("91", "METEORA")
    until(lambda: engine.fired, LIMIT_S)


def cached(engine: Bench, venue: Any) -> Decimal:
    return engine.store.read([NAME])[NAME].ticks[venue].price


@pytest.mark.parametrize("options", [{"watch_vaults": False}, {"ws_urls": ["ws://127.0.0.1:9"]}, {"ws_urls": []}])
def test_where_nobody_tells_the_poll_fires(bench: Open, options: dict[str, Any]) -> None:
    engine = bench(**options)
    engine.arm("110")
    engine.poll()
    engine.move("112")
    assert engine.fired == []
    engine.world.accounts.forget()
    engine.poll()
    until(lambda: engine.fired, LIMIT_S)


def test_while_nobody_waits_nothing_is_polled_and_nothing_subscribed_to(bench: Open) -> None:
    engine = bench()
    assert engine.world.watch is not None
    watch = engine.world.watch.vaults
    engine.store.redis.delete(TURN)
    assert engine.ticker.tick() and engine.store.read([NAME]) == {}
    assert not watch._of and watch._subscriptions._running is None
    order = engine.arm("110")
    engine.subscribed()
    engine.book.change([Left(order.order_id, NAME, 2, sniper=False)])
    until(lambda: emptied(engine), LIMIT_S)


def emptied(engine: Bench) -> bool:
    engine.store.redis.delete(TURN)
    assert engine.world.watch is not None
    watch = engine.world.watch.vaults
    return engine.ticker.tick() and not watch._of and not watch._subscriptions.connected


def test_at_one_request_a_second_nothing_collapses_and_what_is_slow_is_said(bench: Open, node: Localnet) -> None:
    """Two polls a second over HTTP: every other one has no turn. Orders fire all the same, and readers are told."""
    root = node.addresses["rpcUrl"]
    modes = dict.fromkeys(("RAYDIUM", "METEORA"), "http")
    access = Access(modes, jupiter_url=f"{root}/jupiter", raydium_url=f"{root}/raydium", jupiter_per_s=1.0)
    engine = bench(access=replace(access, redis_url=settings.REDIS_URL))
    engine.arm("110")
    began, polls, slow = time.monotonic(), 0, 0
    while time.monotonic() - began < 4:
        market = engine.poll()
        polls, slow = polls + 1, slow + bool(market.slow)
        assert market.best is not None or polls == 1, "the last price counts while it is fresh"
        time.sleep(0.45)
    said = market.slow
    assert slow > 1 and {(each.venue, each.code) for each in said} == {
        (RAYDIUM, "VENUE_RATE_LIMITED"),
        (METEORA, "VENUE_RATE_LIMITED"),
    }
    assert engine.fired == []
    engine.move("112")
    ends = time.monotonic() + LIMIT_S
    while not engine.fired and time.monotonic() < ends:
        engine.poll()
        time.sleep(0.2)
    assert engine.fired
