"""The mock market and chain of this process, opened at first use."""

from functools import cache

from django.conf import settings

from routing.mock.world import MockWorld, mock_world
from routing.prices import PriceFeed


@cache
def price_feed() -> PriceFeed:
    """For the process' main event loop."""
    return PriceFeed(settings.REDIS_URL)


@cache
def world() -> MockWorld:
    return mock_world(
        settings.DATA_DIR,
        seed=settings.MOCK_SEED,
        latency=settings.MOCK_LATENCY,
        failure_rate=settings.MOCK_FAILURE_RATE,
        deadline_ms=settings.QUOTE_DEADLINE_MS,
        max_age_ms=settings.QUOTE_MAX_AGE_MS,
        valid_s=settings.MOCK_VALID_S,
        cached=price_feed().market,
    )
