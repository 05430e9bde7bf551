"""Rate limits: a bucket for each of the vendors' APIs and each node, refilled by the clock, and the headers that tell of it."""

import time
from collections.abc import Callable

APIS = ("raydium", "jupiter")
BURST = 5
"""Requests at once, where they are limited."""


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


class Limits:
    """`per_s` of each trade API; nodes take any number until `limit` says otherwise."""

    def __init__(self, per_s: float, nodes: int) -> None:
        self.apis = {name: RateLimit(per_s, BURST) for name in APIS}
        self.nodes = [RateLimit(0, BURST) for _ in range(nodes)]

    def limit(self, *, apis: float | None = None, nodes: float | None = None) -> None:
        """Requests a second from now on; None: as before."""
        if apis is not None:
            self.apis |= {name: RateLimit(apis, BURST) for name in APIS}
        if nodes is not None:
            self.nodes[:] = [RateLimit(nodes, BURST) for _ in self.nodes]
