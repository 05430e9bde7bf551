"""Waiting for a condition instead of for a while."""

import asyncio
import time
from collections.abc import Callable


def until(met: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> None:
    """Raises `AssertionError` when the condition is not met within the limit."""
    end = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < end, f"not within {limit_s} s: {getattr(met, '__qualname__', met)}"
        time.sleep(pause_s)


class Stalls:
    """How long an event loop was kept from its work: what a busy machine adds to everything measured on it."""

    TICK_S = 0.02

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._ticking = asyncio.create_task(self._tick())

    def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()

    async def __aenter__(self) -> "Stalls":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def _tick(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(self.TICK_S)
            self.seconds += max(0.0, time.monotonic() - before - self.TICK_S)
