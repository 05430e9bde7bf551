"""Ticks on a real Redis against venues that answer, fail, dawdle and are dead."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from orders.ids import uuid7
from orders.ledger.statements import Connection
from routing.mock import tokens
from routing.mock.world import MockWorld, mock_world
from routing.poller import Poller
from routing.price_hashes import stamp
from routing.prices import MEMO_S, WATCHED, PairPrices, PriceFeed, PriceStore
from routing.selection import NoQuote
from routing.values import Pair
from routing.venues import METEORA, RAYDIUM, registered
from runtime.skew import skew
from tests.waiting import until
from triggers import ticker as ticking
from triggers.book import Arm, Book, Rest
from triggers.matcher import MAX_FIRST, Matcher
from triggers.pulse import PULSE, STILL_AFTER_S, TASKS, mark, standing_still
from triggers.ticker import TURN, Ticker, channel_of

NAME = "SOL-USDC"
FOUND = tokens.REGISTRY.pair_named(NAME)
assert FOUND is not None
PAIR: Pair = FOUND
FRESH_MS = 60_000
"""However long the machine takes between a tick and a look at it, what is too old here is of another year."""


class Bench:
    """A ticker, a matcher, and the market under them."""

    def __init__(self, directory: Path) -> None:
        self.world: MockWorld = mock_world(
            directory, seed=1, latency=0, failure_rate=0, deadline_ms=200, max_age_ms=FRESH_MS, valid_s=30
        )
        self.move(price="100", hold=True)
        self.store, self.book = PriceStore(settings.REDIS_URL), Book(settings.REDIS_URL)
        for client in (self.store.redis, self.book.redis):
            # The engine's would rather lose a tick than wait for Redis; a test would lose its point.
            client.connection_pool.connection_kwargs["socket_timeout"] = 30
        self.store.redis.flushdb()
        self.due: list[tuple[str, str]] = []
        self.fired: list[tuple[list[Any], dict[str, Any]]] = []
        self.matcher = Matcher(
            self.book,
            self.store,
            lambda ids, trigger: self.fired.append((list(ids), trigger)),
            max_age=timedelta(milliseconds=FRESH_MS),
            most=100,
        )
        self.ticker = self.another_ticker()

    def another_ticker(self) -> Ticker:
        def note(task: str, pair: str) -> None:
            self.due.append((task, pair))

        return Ticker(self.world.router, self.store, self.book, self.matcher, note, pairs=[NAME], deadline_ms=100)

    def move(self, pair: str = NAME, **changes: Any) -> None:
        numbers = {k: Decimal(v) if k in ("price", "liquidity", "volume") else v for k, v in changes.items()}
        self.world.market.move(pair, **numbers)

    def tick(self) -> PairPrices:
        """The next period's tick."""
        self.store.redis.delete(TURN)
        assert self.ticker.tick()
        return self.store.read([NAME])[NAME]

    def polled(self) -> list[PairPrices]:
        return asyncio.run(Poller(self.world.router, deadline_ms=100).poll([PAIR]))

    def arm(self, kind: str, price: str, pair: str = NAME) -> Rest:
        rest = Rest(uuid7(), pair, 1, kind, Decimal(price))
        self.book.change([Arm(rest)])
        return rest


@pytest.fixture
def bench(tmp_path: Path, database: Connection) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.redis.flushdb()


def test_best_is_the_highest_net_price(bench: Bench) -> None:
    market = bench.tick()
    assert set(market.ticks) == set(registered()) and market.best is not None
    assert market.best.net_price == max(tick.net_price for tick in market.ticks.values())
    stored = bench.store.redis.hgetall("quotes:SOL-USDC:BEST")
    assert set(stored) >= {"price", "fee", "liquidity", "volume", "observed_at", "venue"}


def test_an_older_look_does_not_overwrite_a_newer_one(bench: Bench) -> None:
    new = bench.tick()
    assert new.best is not None
    ago = timedelta(seconds=1)
    old_tick = type(new.best)(NAME, new.best.venue, Decimal(1), 0, Decimal(1), Decimal(1), new.best.observed_at - ago)
    bench.store.write([PairPrices(NAME, {old_tick.venue: old_tick}, old_tick, new.seen_at - ago)], {})
    assert bench.store.read([NAME])[NAME].best == new.best


def test_prices_go_to_subscribers_and_are_published_for_nobody_else(bench: Bench) -> None:
    raw = redis.Redis.from_url(settings.REDIS_URL)
    with raw.pubsub(ignore_subscribe_messages=True) as subscriber, raw.pubsub() as published:
        # A pattern sees what is published and does not count as a subscriber.
        published.psubscribe("*quotes.*")
        bench.tick()
        bench.tick()
        subscriber.subscribe(channel_of(NAME))
        until(lambda: raw.pubsub_numsub(channel_of(NAME))[0][1] == 1, 5)
        bench.tick()
        until(lambda: subscriber.get_message(timeout=0.1), 5)
        seen = [message["type"] for _ in range(4) if (message := published.get_message(timeout=0.2))]
    assert seen == ["psubscribe", "pmessage"]


def test_ticks_do_not_overlap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two beats, two threads and two processes make one poll a period."""
    monkeypatch.setattr(ticking, "TURN_MS", 60_000)  # A period in which even a thread that is held up has its turn.
    other = bench.another_ticker()
    bench.store.redis.delete(TURN)
    start = threading.Barrier(6)
    done: list[bool] = []

    def tick(ticker: Ticker) -> None:
        start.wait()
        done.append(ticker.tick())

    threads = [threading.Thread(target=tick, args=(ticker,)) for ticker in (bench.ticker, other) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.count(True) == 1


def test_a_slow_or_dead_venue_leaves_the_other_alone(bench: Bench) -> None:
    for health in ("slow", "error"):
        bench.move(raydium=health)
        before = datetime.now(UTC)
        market = bench.tick()
        assert market.best is not None and market.best.venue == METEORA
        assert market.best.observed_at >= before
        bench.move(raydium="ok")
        bench.tick()


def test_a_venue_that_fails_once_counts_with_its_last_tick(bench: Bench) -> None:
    bench.move("USDC-SOL")
    first = bench.tick()
    assert first.best is not None
    bench.move(**{first.best.venue.lower(): "error"})
    assert bench.tick().best == first.best


def test_with_both_venues_dead_prices_age_and_fire_nothing(bench: Bench) -> None:
    bench.tick()
    bench.arm("gte", "50")
    bench.move(raydium="error", meteora="error")
    stale = {"observed_at": "2020-01-01T00:00:00.000000Z"}
    for venue in ("RAYDIUM", "METEORA", "BEST"):
        bench.store.redis.hset(f"quotes:{NAME}:{venue}", mapping=stale)
    fresh_start = bench.another_ticker()
    bench.store.redis.delete(TURN)
    assert fresh_start.tick()
    assert bench.due == []
    assert bench.matcher.match_limits(NAME) == 0 and bench.fired == []


def test_no_price_at_all_fires_nothing(bench: Bench) -> None:
    bench.arm("gte", "50"), bench.arm("lte", "500"), bench.arm("token_launch", "0")
    assert bench.matcher.match_limits(NAME) == bench.matcher.match_snipers(NAME) == 0


async def test_a_breaker_opens_and_the_venue_is_asked_again_later(tmp_path: Path) -> None:
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=200, max_age_ms=1500, valid_s=30)
    now = datetime.now(UTC)
    world.market.move(NAME, raydium="error")
    poller = Poller(world.router, deadline_ms=100)
    for _ in range(8):
        await poller.poll([PAIR])
    assert world.router.breakers.states() == {RAYDIUM: "open", METEORA: "closed"}
    selection = await world.router.quote(PAIR, Decimal(1))
    assert [refusal.code for refusal in selection.refusals] == ["VENUE_RESTING"]

    world.market.move(NAME, raydium="ok")
    while world.router.breakers.states()[RAYDIUM] == "open":
        await poller.poll([PAIR])
        assert datetime.now(UTC) - now < timedelta(seconds=30)
    assert world.router.breakers.states()[RAYDIUM] == "closed"


async def test_the_fallback_goes_from_cache_to_venues_to_the_one_that_is_left(tmp_path: Path) -> None:
    store = PriceStore(settings.REDIS_URL)
    store.redis.flushdb()
    feed = PriceFeed(settings.REDIS_URL)
    world = mock_world(
        tmp_path,
        seed=1,
        latency=0,
        failure_rate=0,
        deadline_ms=200,
        max_age_ms=FRESH_MS,
        valid_s=30,
        cached=feed.market,
    )
    world.market.move(NAME, price=Decimal(100), hold=True)

    nothing_cached = await world.router.quote(PAIR, Decimal(1), fresh=False)
    assert [quote.cached for quote in nothing_cached.quotes] == [False, False]

    store.write(await Poller(world.router, deadline_ms=100).poll([PAIR]), {})
    world.market.move(NAME, raydium="error")
    await asyncio.sleep(MEMO_S * 2)
    cached = await world.router.quote(PAIR, Decimal(1), fresh=False)
    assert [quote.cached for quote in cached.quotes] == [True, True]

    single = await world.router.quote(PAIR, Decimal(1))
    assert single.reason == "only METEORA answered"
    world.market.move(NAME, meteora="error")
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(1))
    await feed.close()
    assert not caught.value.permanent


def test_a_crossing_fires_with_price_and_time(bench: Bench) -> None:
    bench.tick()
    order = bench.arm("gte", "105")
    bench.tick()
    assert bench.due == []
    bench.move(price="106")
    bench.tick()
    assert bench.due == []
    [(ids, trigger)] = bench.fired
    assert ids == [order.order_id] and trigger["kind"] == "limit" and Decimal(trigger["price"]) >= 105
    assert bench.matcher.match_limits(NAME) == 0


def test_the_poller_fires_the_first_and_the_limit_worker_the_others(bench: Bench) -> None:
    bench.tick()
    orders = [bench.arm("gte", "105").order_id for _ in range(MAX_FIRST + 5)]
    bench.move(price="106")
    bench.tick()
    assert [len(ids) for ids, _ in bench.fired] == [MAX_FIRST]
    assert bench.due == [("match_limits", NAME)]
    assert bench.matcher.match_limits(NAME) == 5
    assert sorted(order_id for ids, _ in bench.fired for order_id in ids) == sorted(orders)


def test_a_launch_fires_those_who_waited_for_it(bench: Bench) -> None:
    waiting, late = bench.arm("token_launch", "0", "NEW-USDC"), bench.arm("listed", "0", "SOL-USDC")
    bench.tick()
    assert bench.due == []
    bench.move("NEW-USDC", listed=True)
    bench.tick()
    assert bench.due == [("match_snipers", "NEW-USDC")]
    bench.matcher.match_snipers("NEW-USDC"), bench.matcher.match_snipers(NAME)
    assert [ids for ids, _ in bench.fired] == [[waiting.order_id]]

    bench.move(listed=False)
    bench.tick()
    bench.move(listed=True)
    bench.tick()
    bench.matcher.match_snipers(NAME)
    assert bench.fired[-1][0] == [late.order_id]


def test_liquidity_and_a_volume_spike_fire_theirs(bench: Bench) -> None:
    bench.move(volume="1000", liquidity="1000000")
    deep, busy = bench.arm("liquidity", "2000000"), bench.arm("volume", "3")
    for _ in range(4):
        bench.tick()
    assert bench.due == []
    bench.move(volume="3000")
    bench.tick()
    bench.matcher.match_snipers(NAME)
    bench.move(liquidity="2000000")
    bench.tick()
    bench.matcher.match_snipers(NAME)
    assert [(ids, trigger["kind"]) for ids, trigger in bench.fired] == [
        ([busy.order_id], "volume"),
        ([deep.order_id], "liquidity"),
    ]


def redis_ms(bench: Bench) -> int:
    seconds, microseconds = bench.store.redis.time()
    return seconds * 1000 + microseconds // 1000


DAY_MS = 86_400_000


@pytest.mark.parametrize("expires_ms", [None, DAY_MS])
def test_a_turn_of_before_redis_clock_was_set_back_keeps_nobody_away(bench: Bench, expires_ms: int | None) -> None:
    """The key of a turn then holds a time of the future, and its expiry is as far away."""
    bench.store.redis.set(TURN, redis_ms(bench) + DAY_MS, px=expires_ms)
    assert bench.ticker.tick()


def test_a_pair_is_watched_for_its_time_whatever_clocks_say(bench: Bench) -> None:
    bench.store.watch("SOL-JUP")
    bench.store.redis.zadd(WATCHED, {"JUP-SOL": redis_ms(bench) + DAY_MS})  # Redis' clock was set back since.
    bench.store.redis.zadd(WATCHED, {"BONK-SOL": redis_ms(bench) - 1})
    bench.tick()
    assert set(bench.store.read(["SOL-JUP", "JUP-SOL", "BONK-SOL"])) == {"SOL-JUP"}


def stepped(bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock of the poller's process is stepped; Redis' is not."""
    ahead = timedelta(seconds=seconds)
    monkeypatch.setattr(bench.world.router, "_clock", lambda: datetime.now(UTC) + ahead)
    for venue in bench.world.router.venues:
        monkeypatch.setattr(venue, "_clock", lambda: datetime.now(UTC) + ahead)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


@pytest.mark.parametrize("step_s", [-86_400, -30, -2, 30, 86_400])
def test_triggers_go_on_after_the_pollers_clock_is_stepped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step_s: float
) -> None:
    bench.tick()
    order = bench.arm("gte", "105")
    stepped(bench, monkeypatch, step_s)
    bench.move(price="106")
    began = time.monotonic()
    until(lambda: bench.ticker.tick() and bench.fired, 2, pause_s=0.1)
    assert [ids for ids, _ in bench.fired] == [[order.order_id]]
    until(lambda: bench.ticker.tick() and Decimal(bench.store.redis.hget(f"quotes:{NAME}:BEST", "price")) > 105, 2, 0.1)
    assert time.monotonic() - began < 2, "prices are written again as well"
    assert f"clock skew: this process is {abs(step_s):.1f} s" in caplog.text
    skew.seen("redis", 0)


@pytest.mark.parametrize("step_s", [-86_400, -30, 30, 86_400])
def test_a_matcher_whose_clock_is_stepped_fires(bench: Bench, step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit worker's clock differs from the poller's; prices are as old as Redis' clock says."""
    order = bench.arm("gte", "50")
    bench.store.write(bench.polled(), {})
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + step_s)
    ahead = timedelta(seconds=step_s)
    far = Matcher(
        bench.book,
        bench.store,
        lambda ids, trigger: bench.fired.append((list(ids), trigger)),
        max_age=timedelta(milliseconds=FRESH_MS),
        most=100,
        clock=lambda: datetime.now(UTC) + ahead,
    )
    assert far.match_limits(NAME) == 1
    assert bench.fired[0][0] == [order.order_id]


def test_an_old_price_stays_old_whatever_the_clocks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.arm("gte", "50")
    bench.store.write(bench.polled(), {})
    for venue in ("RAYDIUM", "METEORA", "BEST"):
        old = datetime.now(UTC) - timedelta(milliseconds=2 * FRESH_MS)
        bench.store.redis.hset(f"quotes:{NAME}:{venue}", "observed_at", stamp(old))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3_600)
    bench.matcher._clock = lambda: datetime.now(UTC) - timedelta(hours=1)
    assert bench.matcher.match_limits(NAME) == 0


def test_a_future_time_in_redis_does_not_refuse_newer_prices(bench: Bench) -> None:
    """Its writer's clock, or Redis' own, was set back since."""
    bench.tick()
    for venue in ("RAYDIUM", "METEORA", "BEST"):
        future = {"seen_at": stamp(datetime.now(UTC) + timedelta(days=1)), "written_at": redis_ms(bench) + DAY_MS}
        bench.store.redis.hset(f"quotes:{NAME}:{venue}", mapping=future)
    bench.move(price="106")
    market = bench.tick()
    assert market.best is not None and market.best.price == 106


def test_what_stands_still_is_named(bench: Bench) -> None:
    assert set(standing_still(bench.store.redis)) == set(TASKS)
    bench.tick()
    for task in ("reconcile", "keep_book"):
        mark(bench.store.redis, task)
    assert standing_still(bench.store.redis) == []
    bench.store.redis.hset(PULSE, "reconcile", redis_ms(bench) - int(STILL_AFTER_S * 1000) - 1)
    bench.store.redis.hset(PULSE, "poll_quotes", redis_ms(bench) + DAY_MS)  # Redis' clock was set back since.
    assert standing_still(bench.store.redis) == ["poll_quotes", "reconcile"]
    bench.tick()
    assert standing_still(bench.store.redis) == ["reconcile"]
