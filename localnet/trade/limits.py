"""The vendors' rate limits: a bucket an API, refilled by the clock, and the headers that tell of it."""

import time
from collections.abc import Callable


class RateLimit:
    """`per_s` requests a second, `burst` at once; 0: none is refused."""

    def __init__(self, per_s: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._now = per_s, burst, now
        self._left, self._at = float(burst), now()

    def take(self) -> bool:
        if not self._per_s:
            return True
        at = self._now()
        self._left = min(self._burst, self._left + (at - self._at) * self._per_s)
        self._at = at
        if self._left < 1:
            return False
        self._left -= 1
        return True

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, and Jupiter's `x-ratelimit-…`."""
        wait = 0.0 if not self._per_s or self._left >= 1 else (1 - self._left) / self._per_s
        found = {"x-ratelimit-remaining": str(int(self._left)), "x-ratelimit-reset": str(int(time.time() + wait) + 1)}
        return found | ({"retry-after": str(int(wait) + 1)} if wait else {})
