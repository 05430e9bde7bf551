"""The mock market and chain of this process, opened at first use."""

from functools import cache

from django.conf import settings

from routing.mockworld import MockWorld, mock_world


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
    )
