"""The mock market: what the mock venues would see, the same for every process that shares its directory."""

from datetime import datetime
from decimal import Context, Decimal
from pathlib import Path
from zlib import crc32

import msgspec

from routing.clock import Clock, utc_now
from routing.controls import InvalidMove as InvalidMove
from routing.mock import wander
from routing.mock.market_file import Health, MarketFile, MarketState, Pool
from routing.mock.tokens import NEW, REGISTRY, USDC
from routing.values import Pair, Tick, VenueName
from routing.venue import NoRoute
from routing.venues import RAYDIUM, registered

_BASE_USDC = {
    "USDC": Decimal(1),
    "SOL": Decimal(100),
    "JUP": Decimal("0.5"),
    "BONK": Decimal("0.00002"),
    "NEW": Decimal("0.1"),
}
_BASE_DEPTH_USDC = {
    "USDC": Decimal(50_000_000),
    "SOL": Decimal(50_000_000),
    "JUP": Decimal(5_000_000),
    "BONK": Decimal(3_000_000),
    "NEW": Decimal(20_000),
}
_TURNOVER = Decimal("0.01")
"""Part of a pool's depth that is traded in a minute."""
_RAYDIUM_FEE_BPS = 25
_METEORA_FEES_BPS = (20, 22, 28, 30)
"""One of these for every pool; never Raydium's, so that a held market has one best venue."""

_SHOWN = Context(prec=12)
"""Digits of a price: enough that there and back again is the same price, few enough to be read."""


_MAX_TICKS = 256
"""Ticks kept of the present moment: many orders of one pair ask within the same 10 ms."""


class Market:
    """Prices are a function of (seed, time since the epoch), corrected by what was set with `move`."""

    def __init__(self, directory: Path, *, seed: int | None = None, clock: Clock = utc_now) -> None:
        self._file = MarketFile(directory, seed=seed, clock=clock)
        self._clock = clock
        self._ticks: tuple[MarketState | None, dict[tuple[str, VenueName, float], Tick]] = (None, {})

    def tick(self, pair: Pair, venue: VenueName, now: datetime) -> Tick:
        """The venue's pool at `now`, whatever its health. Raises `NoRoute` while the pair is unlisted."""
        state = self._file.read()
        memo, ticks = self._ticks
        if memo is not state or len(ticks) >= _MAX_TICKS:
            # State and ticks change together: another thread must not put an old tick among the new.
            ticks = {}
            self._ticks = (state, ticks)
        key = (pair.name, venue, _seconds(state, now))
        tick = ticks.get(key)
        if tick is None:
            tick = ticks[key] = self._tick(state, pair, venue, now)
        return tick if tick.observed_at == now else msgspec.structs.replace(tick, observed_at=now)

    def health(self, pair: Pair, venue: VenueName) -> Health:
        """What was set for the venue in this pair."""
        pool = self._file.read().pools.get(REGISTRY.pool_pair(pair).name)
        return Health.OK if pool is None else pool.health.get(venue, Health.OK)

    def is_held(self, pair: Pair) -> bool:
        """The pair's price stands still: not even a settlement slips."""
        pool = self._file.read().pools.get(REGISTRY.pool_pair(pair).name)
        return pool is not None and pool.hold

    def listed_pairs(self) -> list[Pair]:
        """Every pair that trades now, both ways."""
        state = self._file.read()
        return [pair for pair in REGISTRY.all_pairs() if _is_listed(state, REGISTRY.pool_pair(pair))]

    def move(
        self,
        pair_name: str,
        *,
        price: Decimal | None = None,
        liquidity: Decimal | None = None,
        volume: Decimal | None = None,
        listed: bool | None = None,
        hold: bool | None = None,
        **health: str | None,
    ) -> None:
        """Sets what is given and leaves the rest; both directions of the pair and both venues move together.

        `price` is the named pair's mid price, from which it wanders on unless held; `hold` without a price
        holds the present one. `liquidity` and `volume` (a minute's) are in the pool's quote token.
        `health` is by venue, in lower case: ok, error or slow. Raises `InvalidMove`.
        """
        pair = REGISTRY.pair_named(pair_name)
        if pair is None:
            raise InvalidMove("pair", f"unknown pair {pair_name}")
        _check("price", price, above=Decimal(0))
        _check("liquidity", liquidity)
        _check("volume", volume)
        healths = dict(_health(name, wanted) for name, wanted in health.items() if wanted is not None)
        pool_pair = REGISTRY.pool_pair(pair)
        with self._file.change() as state:
            pool = state.pools.setdefault(pool_pair.name, Pool())
            if price is not None or (hold is not None and hold != pool.hold):
                seconds = _seconds(state, self._clock())
                present = self._mid(state, pool_pair, seconds)
                pool.natural = self._natural(state, pool_pair, seconds)
                pool.price = present if price is None else price if pair.name == pool_pair.name else 1 / price
            pool.hold = pool.hold if hold is None else hold
            pool.liquidity = pool.liquidity if liquidity is None else liquidity
            pool.volume = pool.volume if volume is None else volume
            pool.listed = pool.listed if listed is None else listed
            pool.health = pool.health | healths

    def _tick(self, state: MarketState, pair: Pair, venue: VenueName, now: datetime) -> Tick:
        pool = REGISTRY.pool_pair(pair)
        if not _is_listed(state, pool):
            raise NoRoute(venue=venue)
        seconds = _seconds(state, now)
        price = self._mid(state, pool, seconds)
        moved = state.pools.get(pool.name) or Pool()
        if not moved.hold:
            price *= wander.venue_factor(state.seed, pool.name, venue, seconds)
        return Tick(
            pair=pair.name,
            venue=venue,
            price=_SHOWN.plus(price if pair.name == pool.name else 1 / price),
            fee_bps=_fee_bps(pool, venue),
            liquidity=_depth(pool) if moved.liquidity is None else moved.liquidity,
            volume=_volume(state, pool, venue, seconds) if moved.volume is None else moved.volume,
            observed_at=now,
        )

    def _mid(self, state: MarketState, pool: Pair, seconds: float) -> Decimal:
        """The market's price of the pool's token in its quote token."""
        moved = state.pools.get(pool.name)
        if moved is None or moved.price is None or moved.natural is None:
            return self._natural(state, pool, seconds)
        if moved.hold:
            return moved.price
        return moved.price * self._natural(state, pool, seconds) / moved.natural

    def _natural(self, state: MarketState, pool: Pair, seconds: float) -> Decimal:
        """The price without `move`: a token's own in USDC, and between two others the quotient of their USDC prices."""
        symbol = pool.token_in.symbol
        if pool.token_out.symbol == "USDC":
            return _BASE_USDC[symbol] * wander.price_factor(state.seed, symbol, seconds)
        legs = [REGISTRY.pool_pair(Pair(token, USDC)) for token in (pool.token_in, pool.token_out)]
        return self._mid(state, legs[0], seconds) / self._mid(state, legs[1], seconds)


def _seconds(state: MarketState, now: datetime) -> float:
    """Since the epoch, in steps of 10 ms: prices hardly move within one, and orders then share the sines."""
    return round((now - state.epoch).total_seconds(), 2)


def _is_listed(state: MarketState, pool: Pair) -> bool:
    moved = state.pools.get(pool.name)
    if moved is not None and moved.listed is not None:
        return moved.listed
    return NEW not in (pool.token_in, pool.token_out)


def _fee_bps(pool: Pair, venue: VenueName) -> int:
    if venue == RAYDIUM:
        return _RAYDIUM_FEE_BPS
    return _METEORA_FEES_BPS[crc32(pool.name.encode()) % len(_METEORA_FEES_BPS)]


def _depth(pool: Pair) -> Decimal:
    """The shallower token decides; in the quote token."""
    depth_usdc = min(_BASE_DEPTH_USDC[pool.token_in.symbol], _BASE_DEPTH_USDC[pool.token_out.symbol])
    return depth_usdc / _BASE_USDC[pool.token_out.symbol]


def _volume(state: MarketState, pool: Pair, venue: VenueName, seconds: float) -> Decimal:
    usual = _depth(pool) * _TURNOVER
    return _SHOWN.plus(usual * wander.volume_factor(state.seed, pool.name, venue, seconds))


def _check(field: str, value: Decimal | None, *, above: Decimal | None = None) -> None:
    if value is None:
        return
    if not value.is_finite() or value < 0 or (above is not None and value <= above):
        raise InvalidMove(field, f"{field} must be {'above' if above is not None else 'at least'} 0")


def _health(field: str, wanted: str) -> tuple[VenueName, Health]:
    venue = VenueName(field.upper())
    if venue not in registered():
        raise InvalidMove(field, f"{field} is no venue")
    try:
        return venue, Health(wanted)
    except ValueError:
        raise InvalidMove(field, f"must be one of {', '.join(Health)}") from None
