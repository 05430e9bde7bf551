"""How mock prices wander: a function of the seed and the time alone, so that processes agree.

A sum of slow sines with phases drawn from the seed. Its steepest move is 0.07 % a second, so that a slippage
of 50 bps practically never fails within the three seconds of an order; it moves by 3.3 % at most.
"""

import math
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b

_PRICE_WAVES = ((0.020, 600.0), (0.010, 240.0), (0.003, 90.0))
"""(Amplitude, period in seconds.)"""
_VENUE_WAVES = ((0.0009, 75.0), (0.0004, 31.0))
"""A venue differs from the market by up to 13 bps: enough for either to be the better one."""
_VOLUME_WAVES = ((0.10, 120.0),)
"""Far below any factor that a volume sniper would wait for."""

_Waves = tuple[tuple[float, float], ...]


def price_factor(seed: int, token: str, seconds: float) -> Decimal:
    """By how much the token's price differs from its base, `seconds` after the market's epoch; around 1."""
    return _factor(_PRICE_WAVES, f"{seed}:price:{token}", seconds)


def venue_factor(seed: int, pool: str, venue: str, seconds: float) -> Decimal:
    """By how much the venue's price in the pool differs from the market's; around 1."""
    return _factor(_VENUE_WAVES, f"{seed}:venue:{venue}:{pool}", seconds)


def volume_factor(seed: int, pool: str, venue: str, seconds: float) -> Decimal:
    return _factor(_VOLUME_WAVES, f"{seed}:volume:{venue}:{pool}", seconds)


@lru_cache(maxsize=4096)
def _factor(waves: _Waves, key: str, seconds: float) -> Decimal:
    total = 0.0
    for (amplitude, period_s), phase in zip(waves, _phases(key, len(waves)), strict=True):
        total += amplitude * math.sin(phase + math.tau * seconds / period_s)
    # Nine decimals: two machines whose sines differ in the last bit still agree on the price.
    return 1 + Decimal(round(total * 1_000_000_000)).scaleb(-9)


@lru_cache(maxsize=4096)
def _phases(key: str, count: int) -> tuple[float, ...]:
    digest = blake2b(key.encode(), digest_size=8 * count).digest()
    words = (int.from_bytes(digest[i : i + 8], "big") for i in range(0, len(digest), 8))
    return tuple(math.tau * word / 2**64 for word in words)
