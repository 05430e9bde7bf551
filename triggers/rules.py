"""When a resting order fires. Pure.

Prices are compared as decimals, exactly. The book finds candidates by text, so a price has a second form whose alphabetical
order is its numerical order: `sortable`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from routing.selection import FUTURE_TOLERANCE
from routing.values import Tick
from routing.volume import VolumeAverage

GTE, LTE = "gte", "lte"
TRAILING = "trailing"
"""A stop that follows the price up: it fires at a distance below the highest price since it was armed."""
LAUNCH, LIQUIDITY, VOLUME = "token_launch", "liquidity", "volume"

PLACES = 18
WHOLE_DIGITS = 20
"""Prices go up to 10^18; products of a price with a fee or a factor of ten still fit."""
NOTHING = Decimal(0)
"""The threshold of a launch: any market reaches it."""
_EXACT = Context(prec=80)
_UNIT = Decimal(1).scaleb(-PLACES)
_HIGHEST = Decimal(10) ** WHOLE_DIGITS - _UNIT
FAR_FACTOR = 10
MIN_VOLUME_TICKS = 3
"""Fewer make no average; at two ticks a second three are there before anybody has typed an order."""


def is_due(condition: str, limit: Decimal, best: Decimal | None) -> bool:
    """`gte` fires at BEST ≥ limit, `lte` at BEST ≤ limit; without a price nothing does."""
    if best is None or not best.is_finite() or best <= 0:
        return False
    return best >= limit if condition == GTE else best <= limit


def stop_at(high: Decimal, bps: int) -> Decimal:
    """The price at which a trailing stop fires, `bps` basis points below the high; rounded down to 18 places."""
    return _EXACT.multiply(high, Decimal(10_000 - bps) / 10_000).quantize(_UNIT, ROUND_FLOOR, context=_EXACT)


def is_fresh(observed_at: datetime, now: datetime, max_age: timedelta) -> bool:
    """A price that is too old, or from the future, fires nothing."""
    return -FUTURE_TOLERANCE <= now - observed_at <= max_age


def is_far(limit: Decimal, best: Decimal) -> bool:
    """More than ten times away, either way: most likely a slip of the pen."""
    return limit > best * FAR_FACTOR or limit * FAR_FACTOR < best


def sortable(price: Decimal, *, up: bool = False) -> str:
    """Fixed width: 20 digits, a point, 18 digits. What has more places is rounded down, or `up`.

    Limits have at most 18 places, so limit ≤ BEST exactly if limit ≤ BEST rounded down, and limit ≥ BEST exactly if
    limit ≥ BEST rounded up.
    """
    rounded = price.quantize(_UNIT, ROUND_CEILING if up else ROUND_FLOOR, context=_EXACT)
    return f"{min(rounded, _HIGHEST):0{WHOLE_DIGITS + 1 + PLACES}.{PLACES}f}"


def plain(price: Decimal) -> str:
    """As it stands in keys and answers: no exponent, no trailing zeros."""
    return f"{price.normalize(_EXACT):f}"


def fillable_at(limit: Decimal, best: Decimal, net: Decimal) -> Decimal:
    """The BEST price at which an order for `limit` would really fill, when at `best` its own impact leaves it with `net`.

    Grows in proportion; rounded up to 12 digits. Not below the limit.
    """
    if net <= 0 or net >= best:
        return limit
    return max(limit, Context(prec=12, rounding=ROUND_CEILING).multiply(limit, _EXACT.divide(best, net)))


def liquidity_of(ticks: Iterable[Tick]) -> Decimal | None:
    """The deepest pool's; None without a pool."""
    return max((tick.liquidity for tick in ticks), default=None)


def volume_factor_of(seen: Iterable[tuple[Tick, VolumeAverage]]) -> Decimal | None:
    """The highest multiple of its own average that a venue's volume shows; None while there are too few ticks for an average."""
    factors = [
        _EXACT.divide(tick.volume, average.mean)
        for tick, average in seen
        if average.ticks >= MIN_VOLUME_TICKS and average.mean > 0
    ]
    return max(factors, default=None)
