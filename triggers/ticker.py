"""One tick of the market: poll, write, match what is due, publish to subscribers."""

import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import redis

from routing.poller import Poller
from routing.price_hashes import PairPrices, fields_of, stamp
from routing.prices import WATCHED, WATCHED_S, PriceStore
from routing.router import Router
from routing.values import Pair, Tick
from routing.venues import registered
from routing.watch import MarketWatch
from routing.world import tokens
from runtime.groups import group_channel, group_message
from runtime.loop import LoopThread
from runtime.skew import now_ms, redis_lag_ms
from triggers.book import PAIRS, Book, source
from triggers.discovery import Discovery
from triggers.matcher import Matcher, edge_of
from triggers.pulse import mark
from triggers.pushes import Changes, Pushes

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode

TURN = "quotes:turn"
TURN_MS = 400
"""Shorter than the period of 500 ms by what beat may be early; two beats or two workers still make one poll a period."""
CLOSE_S = 5.0
TURN_SCRIPT = source("clock", "turn")


def quotes_group(pair: str) -> str:
    """The Channels group of the subscribers to the pair's prices."""
    return f"quotes.{pair}"


def channel_of(pair: str) -> str:
    return group_channel(quotes_group(pair))


def market_out(market: PairPrices, now: datetime) -> dict[str, Any]:
    """A pair's prices as clients read them."""

    def out(tick: Tick) -> dict[str, Any]:
        fields = fields_of(tick)
        return {
            "venue": tick.venue,
            "price": fields["price"],
            "netPrice": fields["net_price"],
            "feeBps": tick.fee_bps,
            "liquidity": fields["liquidity"],
            "volume": fields["volume"],
            "observedAt": fields["observed_at"],
            "ageMs": max(0, round((now - tick.observed_at).total_seconds() * 1000)),
        }

    return {
        "pair": market.pair,
        "at": stamp(now),
        **{venue.lower(): None if venue not in market.ticks else out(market.ticks[venue]) for venue in registered()},
        "best": None if market.best is None else out(market.best),
        "slow": [{"venue": each.venue, "code": each.code, "message": each.message} for each in market.slow],
    }


class Ticker:
    """Ticks from several threads or processes do not overlap.

    `matcher` fires the first limits of a crossing at once; `due(task, pair)` calls the task that fires the others; `pairs`
    are polled always. `watch` tells which of the pairs that orders wait for have changed between two polls; they take the same
    way as a poll's.
    """

    def __init__(
        self,
        router: Router,
        prices: PriceStore,
        book: Book,
        matcher: Matcher,
        due: Callable[[str, str], None],
        *,
        pairs: Sequence[str],
        deadline_ms: int,
        discovery: Discovery | None = None,
        watch: MarketWatch | None = None,
    ) -> None:
        self._router = router
        self._poller = Poller(router, deadline_ms=deadline_ms)
        self._prices = prices
        self._book = book
        self._matcher = matcher
        self._due = due
        self._pairs = pairs
        self._gap_ms = 2 * int(router.max_age.total_seconds() * 1000)
        self._discovery = discovery or Discovery(None)
        self._watch = watch
        self._pushes = Pushes(self._pushed)
        self._loop = LoopThread("quotes")
        self._busy = threading.Lock()
        self._asked_for = [channel_of(pair) for pair in pairs]
        self.dropped = 0

    def tick(self) -> bool:
        """False: another tick is at work, or was just now; this one is not needed."""
        if not self._busy.acquire(blocking=False):
            self.dropped += 1
            return False
        try:
            return self._tick()
        except redis.RedisError as error:
            log.warning("a tick is lost: %s", error)
            return False
        finally:
            self._busy.release()

    def end(self, closing: Coroutine[Any, Any, None]) -> None:
        """Closes the world on the event loop that its connections belong to. Nothing ticks any more."""
        self._loop.run(closing, timeout_s=CLOSE_S)

    def _tick(self) -> bool:
        own_ms = now_ms()
        with self._prices.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.eval(TURN_SCRIPT, 2, TURN, WATCHED, str(TURN_MS), str(WATCHED_S * 1000))
            pipe.smembers(PAIRS)
            pipe.pubsub_numsub(*self._asked_for)
            time, (ours, watched), waited_for, subscribers = pipe.execute()
        lag_ms = redis_lag_ms(time, own_ms)
        if not ours:
            self.dropped += 1
            return False
        if unknown := self._discovery.due(waited_for):
            self._loop.start(self._discovery.look(unknown))
        wanted = self._known(set(self._pairs).union(waited_for, watched))
        markets = self._loop.run(self._poller.poll(wanted))
        self._prices.write(markets, self._router.breakers.states(), lag_ms=lag_ms)
        self.look([market for market in markets if market.pair in waited_for])
        unwatched = {channel for channel, count in subscribers if not count}
        self._publish(market for market in markets if market.ticks and channel_of(market.pair) not in unwatched)
        # Whether a pair that was not asked about yet has subscribers is unknown: it is published.
        self._asked_for = [channel_of(market.pair) for market in markets]
        if self._watch is not None:
            awaited = [pair for pair in wanted if pair.name in waited_for]
            self._loop.loop.call_soon_threadsafe(self._watch.follow, awaited, self._pushes.add)
        return True

    def _pushed(self, changed: Changes) -> None:
        """What `_tick` does, for pairs that have changed since. Beside a poll: in Redis the newest look wins."""
        own_ms = now_ms()
        try:
            with self._prices.redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.pubsub_numsub(*(channel_of(pair.name) for pair in changed))
                time, subscribers = pipe.execute()
            markets = self._loop.run(self._poller.look(changed))
            self._prices.write(markets, {}, lag_ms=redis_lag_ms(time, own_ms))
            self.look(markets)
            watched = {channel for channel, count in subscribers if count}
            self._publish((market for market in markets if channel_of(market.pair) in watched), polled=False)
        except redis.RedisError as error:
            log.warning("changed markets are left to the next poll: %s", error)

    def _known(self, names: Iterable[str]) -> list[Pair]:
        """The pairs, each once: a pair may have had another name before a symbol was verified."""
        known = tokens()
        pairs = {pair.name: pair for name in names if (pair := known.pair_named(name)) is not None}
        return [pairs[name] for name in sorted(pairs)]

    def look(self, markets: Sequence[PairPrices]) -> None:
        """Calls the matchers for what is due in pairs that orders wait for."""
        if not markets:
            return
        edges = [edge_of(market, market.seen_at, self._router.max_age) for market in markets]
        self._book.follow({edge.pair: edge.best for edge in edges if edge.best is not None}, gap_ms=self._gap_ms)
        for market, edge, (limits, snipers) in zip(markets, edges, self._book.peek(edges), strict=True):
            if limits and self._matcher.match_first_limits(market, edge):
                self._due("match_limits", market.pair)
            if snipers:
                self._due("match_snipers", market.pair)
            if market.listed is False:
                self._book.unlist(market.pair)

    def _publish(self, markets: Iterable[PairPrices], *, polled: bool = True) -> None:
        with self._prices.redis.pipeline(transaction=False) as pipe:
            for market in markets:
                text = encode({"type": "quotes", **market_out(market, market.seen_at)}).decode()
                pipe.publish(
                    channel_of(market.pair), group_message(quotes_group(market.pair), [(market.pair, 0, text)])
                )
            if polled:
                mark(pipe, "poll_quotes")
            pipe.execute()
