"""The wall clock as an argument, so that tests can pass their own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers an aware UTC datetime."""


def utc_now() -> datetime:
    return datetime.now(UTC)
