"""The mock market: what the mock venues would see, the same for every process that shares its directory."""

from collections.abc import Callable
from datetime import datetime
from decimal import Context, Decimal
from itertools import combinations
from pathlib import Path
from zlib import crc32

import msgspec

from routing.clock import Clock, utc_now
from routing.controls import InvalidMove as InvalidMove
from routing.mock import wander
from routing.mock.market_file import Health, MarketFile, MarketState, Pool
from routing.mock.tokens import BONK, JUP, REGISTRY, SOL, USDC, market_name, market_pair
from routing.tokens import Tokens
from routing.values import Pair, Tick, VenueName, precedence
from routing.venue import NoRoute
from routing.venues import RAYDIUM, registered

_BASE_USDC = {USDC: Decimal(1), SOL: Decimal(100), JUP: Decimal("0.5"), BONK: Decimal("0.00002")}
_BASE_DEPTH_USDC = {
    USDC: Decimal(50_000_000),
    SOL: Decimal(50_000_000),
    JUP: Decimal(5_000_000),
    BONK: Decimal(3_000_000),
}
_NEW_USDC, _NEW_DEPTH_USDC = Decimal("0.1"), Decimal(20_000)
"""Of every other token: it has no pool until `move` lists one."""
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

    def __init__(
        self,
        directory: Path,
        *,
        seed: int | None = None,
        clock: Clock = utc_now,
        tokens: Callable[[], Tokens] = lambda: REGISTRY,
    ) -> None:
        """`tokens` gives those that are known at present."""
        self._file = MarketFile(directory, seed=seed, clock=clock)
        self._clock = clock
        self._tokens = tokens
        self._ticks: tuple[MarketState | None, dict[tuple[str, str, str, VenueName, float], Tick]] = (None, {})

    def tick(self, pair: Pair, venue: VenueName, now: datetime) -> Tick:
        """The venue's pool at `now`, whatever its health. Raises `NoRoute` while the pair is unlisted."""
        state = self._file.read()
        memo, ticks = self._ticks
        if memo is not state or len(ticks) >= _MAX_TICKS:
            # State and ticks change together: another thread must not put an old tick among the new.
            ticks = {}
            self._ticks = (state, ticks)
        # By mints as well: a symbol may come to mean another one.
        key = (pair.name, pair.token_in.mint, pair.token_out.mint, venue, _seconds(state, now))
        tick = ticks.get(key)
        if tick is None:
            tick = ticks[key] = self._tick(state, pair, venue, now)
        return tick if tick.observed_at == now else msgspec.structs.replace(tick, observed_at=now)

    def health(self, pair: Pair, venue: VenueName) -> Health:
        """What was set for the venue in this pair."""
        pool = self._file.read().pools.get(market_name(pair.pool))
        return Health.OK if pool is None else pool.health.get(venue, Health.OK)

    def is_held(self, pair: Pair) -> bool:
        """The pair's price stands still: not even a settlement slips."""
        pool = self._file.read().pools.get(market_name(pair.pool))
        return pool is not None and pool.hold

    def listed_pairs(self) -> list[Pair]:
        """Every pair that trades now, both ways."""
        state = self._file.read()
        known = self._tokens()
        named = [market_pair(name, known) for name, pool in state.pools.items() if pool.listed]
        always = [known.pair(a.mint, b.mint) for a, b in combinations(_BASE_USDC, 2)]
        pools = {pair.pool for pair in (*always, *named) if pair is not None and _is_listed(state, pair.pool)}
        return [pair for pool in sorted(pools, key=_order) for pair in (pool, pool.reverse)]

    def pair(self, name: str) -> Pair | None:
        """The pair of a `market_name`."""
        return market_pair(name, self._tokens())

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
        pair = self._tokens().pair_named(pair_name)
        if pair is None:
            raise InvalidMove("pair", f"unknown pair {pair_name}")
        _check("price", price, above=Decimal(0))
        _check("liquidity", liquidity)
        _check("volume", volume)
        healths = dict(_health(name, wanted) for name, wanted in health.items() if wanted is not None)
        pool_pair = pair.pool
        with self._file.change() as state:
            pool = state.pools.setdefault(market_name(pool_pair), Pool())
            if price is not None or (hold is not None and hold != pool.hold):
                seconds = _seconds(state, self._clock())
                present = self._mid(state, pool_pair, seconds)
                pool.natural = self._natural(state, pool_pair, seconds)
                pool.price = present if price is None else price if pair == pool_pair else 1 / price
            pool.hold = pool.hold if hold is None else hold
            pool.liquidity = pool.liquidity if liquidity is None else liquidity
            pool.volume = pool.volume if volume is None else volume
            pool.listed = pool.listed if listed is None else listed
            pool.health = pool.health | healths

    def _tick(self, state: MarketState, pair: Pair, venue: VenueName, now: datetime) -> Tick:
        pool = pair.pool
        name = market_name(pool)
        if not _is_listed(state, pool):
            raise NoRoute(venue=venue)
        seconds = _seconds(state, now)
        price = self._mid(state, pool, seconds)
        moved = state.pools.get(name) or Pool()
        if not moved.hold:
            price *= wander.venue_factor(state.seed, name, venue, seconds)
        return Tick(
            pair=pair.name,
            venue=venue,
            price=_SHOWN.plus(price if pair == pool else 1 / price),
            fee_bps=_fee_bps(pool, venue),
            liquidity=_depth(pool) if moved.liquidity is None else moved.liquidity,
            volume=_volume(state, pool, venue, seconds) if moved.volume is None else moved.volume,
            observed_at=now,
        )

    def _mid(self, state: MarketState, pool: Pair, seconds: float) -> Decimal:
        """The market's price of the pool's token in its quote token."""
        moved = state.pools.get(market_name(pool))
        if moved is None or moved.price is None or moved.natural is None:
            return self._natural(state, pool, seconds)
        if moved.hold:
            return moved.price
        return moved.price * self._natural(state, pool, seconds) / moved.natural

    def _natural(self, state: MarketState, pool: Pair, seconds: float) -> Decimal:
        """The price without `move`: a token's own in USDC, and between two others the quotient of their USDC prices."""
        if pool.token_out == USDC:
            name = market_name(pool).partition("-")[0]
            return _BASE_USDC.get(pool.token_in, _NEW_USDC) * wander.price_factor(state.seed, name, seconds)
        legs = [Pair(token, USDC) for token in (pool.token_in, pool.token_out)]
        return self._mid(state, legs[0], seconds) / self._mid(state, legs[1], seconds)


def _seconds(state: MarketState, now: datetime) -> float:
    """Since the epoch, in steps of 10 ms: prices hardly move within one, and orders then share the sines."""
    return round((now - state.epoch).total_seconds(), 2)


def _is_listed(state: MarketState, pool: Pair) -> bool:
    moved = state.pools.get(market_name(pool))
    if moved is not None and moved.listed is not None:
        return moved.listed
    return pool.token_in in _BASE_USDC and pool.token_out in _BASE_USDC


def _order(pool: Pair) -> tuple[tuple[int, str], tuple[int, str]]:
    return precedence(pool.token_in), precedence(pool.token_out)


def _fee_bps(pool: Pair, venue: VenueName) -> int:
    if venue == RAYDIUM:
        return _RAYDIUM_FEE_BPS
    return _METEORA_FEES_BPS[crc32(market_name(pool).encode()) % len(_METEORA_FEES_BPS)]


def _depth(pool: Pair) -> Decimal:
    """The shallower token decides; in the quote token."""
    depth_usdc = min(_BASE_DEPTH_USDC.get(token, _NEW_DEPTH_USDC) for token in (pool.token_in, pool.token_out))
    return depth_usdc / _BASE_USDC.get(pool.token_out, _NEW_USDC)


def _volume(state: MarketState, pool: Pair, venue: VenueName, seconds: float) -> Decimal:
    usual = _depth(pool) * _TURNOVER
    return _SHOWN.plus(usual * wander.volume_factor(state.seed, market_name(pool), venue, seconds))


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
