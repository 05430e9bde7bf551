"""Waiting for a condition instead of for a while."""

import time
from collections.abc import Callable


def until(met: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> None:
    """Raises `AssertionError` when the condition is not met within the limit."""
    end = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < end, f"not within {limit_s} s: {met.__qualname__}"
        time.sleep(pause_s)
