"""Prices in Redis: the poller writes what the venues say, everybody else reads it there.

`routing.price_hashes` says in what form.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from routing.price_hashes import PairPrices as PairPrices
from routing.price_hashes import commands_of, keys_of, market_of
from routing.values import Pair, VenueName
from runtime.skew import now_ms, redis_lag_ms

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
"""A frozen Redis costs an order this much once, then none for `PAUSE_S`."""
PAUSE_S = 0.5
MEMO_S = 0.02
"""Orders that arrive together share one read."""
VENUES = "quotes:venues"
WATCHED = "quotes:watched"
"""Pairs that clients watch (sorted set, by the time in ms, by Redis' clock, until which they are polled)."""
WATCHED_S = 30
LUA = Path(__file__).parent / "lua"
WRITE, WATCH = ((LUA / f"{name}.lua").read_text() for name in ("write", "watch"))


class PriceStore:
    """Reads and writes from threads. Raises `redis.RedisError` while Redis is away."""

    def __init__(self, url: str, *, mode: str = "mock") -> None:
        """`mode`: prices of another one are not seen."""
        self.redis = client(url)
        self._mode = mode

    def write(
        self, markets: Iterable[PairPrices], states: Mapping[VenueName, str], *, lag_ms: int | None = None
    ) -> None:
        """Writes the markets, newest wins, and the state of each venue's breaker.

        `lag_ms` is Redis' clock minus ours, measured before the venues were asked.
        """
        keys: list[str] = []
        arguments: list[bytes] = []
        for market in markets:
            of_pair = commands_of(market, mode=self._mode)
            keys += of_pair[0]
            arguments += of_pair[1]
        with self.redis.pipeline(transaction=False) as pipe:
            if keys:
                # Its text is short; a pipeline would ask for a registered script's presence first, every time.
                pipe.eval(WRITE, len(keys), *keys, *arguments, round(now_ms()), "" if lag_ms is None else lag_ms)
            if states:
                pipe.hset(VENUES, mapping={str(venue): state for venue, state in states.items()})
            pipe.execute()

    def read(self, pairs: Iterable[str]) -> dict[str, PairPrices]:
        """What is known of the pairs; those that were never polled are left out."""
        keys = {pair: keys_of(pair) for pair in pairs}
        own_ms = now_ms()
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for key in (key for of_pair in keys.values() for key in of_pair):
                pipe.hgetall(key)
            time, *answers = pipe.execute()
        lag_ms = redis_lag_ms(time, own_ms)
        hashes = iter(answers)
        markets = {
            pair: market_of(pair, [next(hashes) for _ in of_pair], lag_ms, mode=self._mode)
            for pair, of_pair in keys.items()
        }
        return {pair: market for pair, market in markets.items() if market is not None}

    def watch(self, pair: str) -> None:
        """A client watches the pair: it is polled for `WATCHED_S`."""
        self.redis.eval(WATCH, 1, WATCHED, pair, str(WATCHED_S * 1000))

    def venue_states(self) -> dict[str, str]:
        """closed, open or half-open, as the poller sees each venue."""
        states: dict[str, str] = self.redis.hgetall(VENUES)  # type: ignore[assignment]
        return states

    def close(self) -> None:
        self.redis.close()


def client(url: str, *, timeout_s: float = TIMEOUT_S) -> "redis.Redis":
    """Fails fast and sends nothing twice."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class PriceFeed:
    """Reads from one event loop, for orders: never raises, never waits long, and remembers for a few milliseconds."""

    def __init__(self, url: str, *, mode: str = "mock") -> None:
        """`mode`: prices of another one are not seen."""
        self._url = url
        self._mode = mode
        self._memo: dict[str, tuple[float, asyncio.Task[PairPrices | None]]] = {}
        self._silent_until = 0.0

    @cached_property
    def _redis(self) -> Any:
        return redis.asyncio.Redis.from_url(
            self._url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=AsyncRetry(NoBackoff(), 0),
            decode_responses=True,
        )

    async def market(self, pair: Pair) -> PairPrices | None:
        """What is known of the pair; None when it is nothing or Redis does not answer."""
        at, reading = self._memo.get(pair.name, (0.0, None))
        now = monotonic()
        if reading is None or now - at > MEMO_S and reading.done():
            if now < self._silent_until:
                return None
            reading = asyncio.ensure_future(self._read(pair.name))
            self._memo[pair.name] = (now, reading)
        return await asyncio.shield(reading)

    async def close(self) -> None:
        """On the loop that reads; a feed that was never read has no connection."""
        if "_redis" in self.__dict__:
            await self._redis.aclose()

    async def watch(self, pair: Pair) -> None:
        """A client watches the pair: it is polled for `WATCHED_S`, if Redis answers."""
        with suppress(redis.RedisError, OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.eval(WATCH, 1, WATCHED, pair.name, str(WATCHED_S * 1000))

    async def _read(self, pair: str) -> PairPrices | None:
        try:
            own_ms = now_ms()
            async with asyncio.timeout(TIMEOUT_S):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.time()
                    for key in keys_of(pair):
                        pipe.hgetall(key)
                    time, *answers = await pipe.execute()
            return market_of(pair, answers, redis_lag_ms(time, own_ms), mode=self._mode)
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._silent_until = monotonic() + PAUSE_S
            log.warning("no cached prices: %s", error or type(error).__name__)
            return None
