"""Prices in Redis: the poller writes what the venues say, everybody else reads it there.

`quotes:{pair}:RAYDIUM|METEORA|BEST` are hashes with price, fee (bps), net_price, liquidity, volume, observed_at and
seen_at; a venue's has volume_mean and volume_ticks too, BEST's has venue. Decimals are plain text, times RFC 3339 in UTC.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from routing.values import Pair, Tick, VenueName
from routing.volume import VolumeAverage

log = logging.getLogger(__name__)

BEST = "BEST"
TIMEOUT_S = 0.5
"""A frozen Redis costs an order this much once, then none for `PAUSE_S`."""
PAUSE_S = 0.5
MEMO_S = 0.02
"""Orders that arrive together share one look."""
VENUES = "quotes:venues"
WRITE = (Path(__file__).parent / "lua" / "write.lua").read_text()


@dataclass(frozen=True, slots=True)
class PairPrices:
    """What is known of a pair: each venue's last tick, however old, and the best of those that were fresh at `seen_at`."""

    pair: str
    ticks: Mapping[VenueName, Tick]
    best: Tick | None
    seen_at: datetime
    volumes: Mapping[VenueName, VolumeAverage] = field(default_factory=dict)
    """Before the present tick."""
    listed: bool | None = None
    """Whether somebody trades the pair now; None while the venues do not say. Known to the poller alone."""


def key(pair: str, venue: str) -> str:
    return f"quotes:{pair}:{venue}"


def stamp(at: datetime) -> str:
    """Of fixed width, so that texts compare as times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fields_of(tick: Tick) -> dict[str, str]:
    return {
        "price": f"{tick.price:f}",
        "fee": str(tick.fee_bps),
        "net_price": f"{tick.net_price:f}",
        "liquidity": f"{tick.liquidity:f}",
        "volume": f"{tick.volume:f}",
        "observed_at": stamp(tick.observed_at),
    }


def tick_of(pair: str, venue: VenueName, fields: Mapping[str, str]) -> Tick:
    """The tick of a hash. Raises `KeyError`, `ValueError` or `decimal.InvalidOperation` for what we did not write."""
    return Tick(
        pair=pair,
        venue=venue,
        price=Decimal(fields["price"]),
        fee_bps=int(fields["fee"]),
        liquidity=Decimal(fields["liquidity"]),
        volume=Decimal(fields["volume"]),
        observed_at=datetime.fromisoformat(fields["observed_at"]),
    )


def market_of(pair: str, hashes: Mapping[str, Mapping[str, str]]) -> PairPrices | None:
    """The market of the pair's three hashes; None without any."""
    ticks = {venue: tick_of(pair, venue, hashes[venue]) for venue in VenueName if hashes.get(venue)}
    best = hashes.get(BEST)
    if not ticks:
        return None
    volumes = {
        venue: VolumeAverage(Decimal(hashes[venue]["volume_mean"]), int(hashes[venue]["volume_ticks"]))
        for venue in ticks
        if "volume_mean" in hashes[venue]
    }
    seen = [hashes[venue]["seen_at"] for venue in ticks] + ([best["seen_at"]] if best else [])
    tick = tick_of(pair, VenueName(best["venue"]), best) if best else None
    return PairPrices(pair, ticks, tick, datetime.fromisoformat(max(seen)), volumes)


def commands_of(market: PairPrices) -> tuple[list[str], list[bytes]]:
    """Keys and arguments of `write.lua`."""
    keys, arguments = [], []
    for venue, tick in market.ticks.items():
        fields = fields_of(tick)
        if average := market.volumes.get(venue):
            fields |= {"volume_mean": f"{average.mean:f}", "volume_ticks": str(average.ticks)}
        keys.append(key(market.pair, venue))
        arguments.append(_flat(stamp(tick.observed_at), fields))
    if market.best is not None:
        keys.append(key(market.pair, BEST))
        arguments.append(_flat(stamp(market.seen_at), {"venue": market.best.venue, **fields_of(market.best)}))
    return keys, arguments


def _flat(seen_at: str, fields: Mapping[str, str]) -> bytes:
    return msgspec.json.encode([seen_at, *(text for item in fields.items() for text in item)])


class PriceStore:
    """Reads and writes from threads. Raises `redis.RedisError` while Redis is away."""

    def __init__(self, url: str) -> None:
        self.redis = client(url)

    def write(self, markets: Iterable[PairPrices], states: Mapping[VenueName, str]) -> None:
        """Writes the markets, newest wins, and the state of each venue's breaker."""
        keys: list[str] = []
        arguments: list[bytes] = []
        for market in markets:
            of_pair = commands_of(market)
            keys += of_pair[0]
            arguments += of_pair[1]
        with self.redis.pipeline(transaction=False) as pipe:
            if keys:
                # Its text is short; a pipeline would ask for a registered script's presence first, every time.
                pipe.eval(WRITE, len(keys), *keys, *arguments)
            if states:
                pipe.hset(VENUES, mapping={str(venue): state for venue, state in states.items()})
            pipe.execute()

    def read(self, pairs: Iterable[str]) -> dict[str, PairPrices]:
        """What is known of the pairs; nothing of those nobody polled."""
        names = list(pairs)
        with self.redis.pipeline(transaction=False) as pipe:
            for pair in names:
                for venue in (*VenueName, BEST):
                    pipe.hgetall(key(pair, venue))
            answers: list[dict[str, str]] = pipe.execute()
        found = {}
        for n, pair in enumerate(names):
            hashes = dict(zip((*VenueName, BEST), answers[3 * n : 3 * n + 3], strict=True))
            if market := market_of(pair, hashes):
                found[pair] = market
        return found

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

    def __init__(self, url: str) -> None:
        self._url = url
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
        await self._redis.aclose()

    async def add(self, sorted_set: str, member: str, score: float) -> None:
        """Adds to a sorted set, if Redis answers."""
        with suppress(redis.RedisError, OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.zadd(sorted_set, {member: score})

    async def _read(self, pair: str) -> PairPrices | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for venue in (*VenueName, BEST):
                        pipe.hgetall(key(pair, venue))
                    answers = await pipe.execute()
            return market_of(pair, dict(zip((*VenueName, BEST), answers, strict=True)))
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._silent_until = monotonic() + PAUSE_S
            log.warning("no cached prices: %s", error or type(error).__name__)
            return None
