"""What is known of a pair's prices, and its form in Redis. Pure.

`quotes:{pair}:{VENUE}` and `quotes:{pair}:BEST` are hashes with price, fee (bps), net_price, liquidity, volume, observed_at,
seen_at and mode (`EXECUTION_MODE`); a venue's has volume_mean and volume_ticks too, BEST's has venue. `write.lua` adds
written_at and lag_ms. `quotes:{pair}:SLOW` is written while a venue does not keep up: `said` is a JSON array of [venue, code,
message]. A price of another mode is of another market: whoever shares a Redis with it by mistake does not see it.
Decimals are plain text, times RFC 3339 in UTC by the writer's clock, written_at and lag_ms whole milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from routing.values import Refusal, Tick, VenueName
from routing.venues import registered
from routing.volume import VolumeAverage

BEST, SLOW = "BEST", "SLOW"
SLOW_FOR = timedelta(seconds=5)
"""So long a venue is called slow after it was seen to be: a moment longer than people need to read it."""
UNMARKED = frozenset({"mock", "localnet"})
"""Modes of the versions that did not say of which one a price is."""
MAX_DRIFT = timedelta(seconds=1)
"""Clocks that differ by less are taken as equal: ordinary time synchronisation keeps them closer than that."""


@dataclass(frozen=True, slots=True)
class PairPrices:
    """What is known of a pair: each venue's last tick, however old, and the best of those that were fresh at `seen_at`."""

    pair: str
    ticks: Mapping[VenueName, Tick]
    best: Tick | None
    seen_at: datetime
    volumes: Mapping[VenueName, VolumeAverage] = field(default_factory=dict)
    """Before the present tick."""
    slow: tuple[Refusal, ...] = ()
    """Venues that lately did not answer, or were not asked, and why: their prices come late, or not at all."""
    listed: bool | None = None
    """Whether any venue trades the pair now; None while not every venue answered. Known to the poller alone."""


def key(pair: str, venue: str) -> str:
    return f"quotes:{pair}:{venue}"


def keys_of(pair: str) -> list[str]:
    """The hashes that `market_of` reads, in its order: one a venue, then BEST and SLOW."""
    return [key(pair, venue) for venue in (*registered(), BEST, SLOW)]


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


def tick_of(pair: str, venue: VenueName, fields: Mapping[str, str], ahead: timedelta = timedelta(0)) -> Tick:
    """The tick of a hash; `ahead` is our clock minus the writer's.

    Raises `KeyError`, `ValueError` or `decimal.InvalidOperation` for what we did not write.
    """
    return Tick(
        pair=pair,
        venue=venue,
        price=Decimal(fields["price"]),
        fee_bps=int(fields["fee"]),
        liquidity=Decimal(fields["liquidity"]),
        volume=Decimal(fields["volume"]),
        observed_at=datetime.fromisoformat(fields["observed_at"]) + ahead,
    )


def ahead_of_writer(fields: Mapping[str, str], lag_ms: int | None) -> timedelta:
    """Our clock minus the writer's, both measured against Redis'; 0 within `MAX_DRIFT` or when either is unknown.

    `lag_ms` is Redis' clock minus ours.
    """
    if lag_ms is None or "lag_ms" not in fields:
        return timedelta(0)
    ahead = timedelta(milliseconds=int(fields["lag_ms"]) - lag_ms)
    return ahead if abs(ahead) > MAX_DRIFT else timedelta(0)


def of_mode(mode: str, fields: Mapping[str, str]) -> bool:
    return fields["mode"] == mode if "mode" in fields else mode in UNMARKED


def market_of(
    pair: str, hashes: list[Mapping[str, str]], lag_ms: int | None = None, *, mode: str = "mock"
) -> PairPrices | None:
    """The market of the pair's hashes, in the order of `keys_of` and in times of our clock; None without any of the mode.

    `lag_ms` is Redis' clock minus ours.
    """
    hashes = [fields if of_mode(mode, fields) else {} for fields in hashes]
    *of_venues, best, slow = hashes
    found = {venue: fields for venue, fields in zip(registered(), of_venues, strict=False) if fields}
    if not found:
        return None
    ahead = {venue: ahead_of_writer(fields, lag_ms) for venue, fields in found.items()}
    ticks = {venue: tick_of(pair, venue, fields, ahead[venue]) for venue, fields in found.items()}
    volumes = {
        venue: VolumeAverage(Decimal(fields["volume_mean"]), int(fields["volume_ticks"]))
        for venue, fields in found.items()
        if "volume_mean" in fields
    }
    seen = [datetime.fromisoformat(fields["seen_at"]) + ahead[venue] for venue, fields in found.items()]
    tick = None
    if best:
        shift = ahead_of_writer(best, lag_ms)
        seen.append(datetime.fromisoformat(best["seen_at"]) + shift)
        tick = tick_of(pair, VenueName(best["venue"]), best, shift)
    said = slow_of(slow, datetime.now(UTC) - ahead_of_writer(slow, lag_ms)) if slow else ()
    return PairPrices(pair, ticks, tick, max(seen), volumes, said)


def slow_of(fields: Mapping[str, str], now: datetime) -> tuple[Refusal, ...]:
    """`now` by the writer's clock."""
    if abs(now - datetime.fromisoformat(fields["seen_at"])) > SLOW_FOR:
        return ()
    said = msgspec.json.decode(fields["said"], type=list[tuple[str, str, str]])
    return tuple(Refusal(VenueName(venue), code, message) for venue, code, message in said)


def commands_of(market: PairPrices, *, mode: str = "mock") -> tuple[list[str], list[bytes]]:
    """Keys and their arguments for `write.lua`."""
    keys, arguments = [], []
    for venue, tick in market.ticks.items():
        fields = fields_of(tick) | {"mode": mode}
        if average := market.volumes.get(venue):
            fields |= {"volume_mean": f"{average.mean:f}", "volume_ticks": str(average.ticks)}
        keys.append(key(market.pair, venue))
        arguments.append(_flat(stamp(tick.observed_at), fields))
    if market.best is not None:
        keys.append(key(market.pair, BEST))
        arguments.append(
            _flat(stamp(market.seen_at), {"venue": market.best.venue, "mode": mode, **fields_of(market.best)})
        )
    if market.slow:
        said = msgspec.json.encode([(each.venue, each.code, each.message) for each in market.slow]).decode()
        keys.append(key(market.pair, SLOW))
        arguments.append(_flat(stamp(market.seen_at), {"said": said, "mode": mode}))
    return keys, arguments


def _flat(seen_at: str, fields: Mapping[str, str]) -> bytes:
    return msgspec.json.encode([seen_at, *(text for item in fields.items() for text in item)])
