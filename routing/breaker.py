"""A circuit breaker for each venue: one that keeps failing is not asked for a while, so that nobody waits for it.

Every process has breakers of its own; what `/readyz` and the metrics show is the poller's, which asks all the time.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from pybreaker import CircuitBreaker, CircuitBreakerError

from routing import metrics
from routing.values import VenueName
from routing.venue import (
    AmountTooSmall,
    ExactOutUnsupported,
    InsufficientLiquidity,
    NoRoute,
    VenueError,
    VenueRateLimited,
)

Answer = TypeVar("Answer")

MAX_FAILURES = 8
"""In a row. Chance alone reaches it once in 65,000 calls of a venue that fails one in four."""
COOL_DOWN_S = 2.0
"""Until a trial call: short, because an order with its attempts waits no longer than that."""
ANSWERS = (NoRoute, AmountTooSmall, InsufficientLiquidity, ExactOutUnsupported, VenueRateLimited)
"""Errors that show that the venue works, or that it was not asked at all."""


class VenueCoolingDown(VenueError):
    """The venue failed too often in a row and is in its cool-down: it is not asked."""

    code = "VENUE_RESTING"


class Breakers:
    """closed: the venue is asked; open: it is not; half-open: the next call decides. Safe from any thread."""

    def __init__(
        self, venues: Iterable[VenueName], *, max_failures: int = MAX_FAILURES, cool_down_s: float = COOL_DOWN_S
    ) -> None:
        self._breakers = {
            venue: CircuitBreaker(
                name=venue,
                fail_max=max_failures,
                reset_timeout=cool_down_s,
                exclude=ANSWERS,
                throw_new_error_on_trip=False,
            )
            for venue in venues
        }
        self._shown: dict[VenueName, bool] = {}

    async def guard(self, venue: VenueName, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The venue's answer. Being cancelled for lateness counts as a failure. Raises `VenueCoolingDown`."""
        try:
            with self._breakers[venue].calling():
                return await ask()
        except CircuitBreakerError:
            raise VenueCoolingDown(venue=venue) from None
        finally:
            self._show(venue)

    def _show(self, venue: VenueName) -> None:
        open_ = self.is_open(venue)
        if self._shown.get(venue) is not open_:
            self._shown[venue] = open_
            metrics.BREAKER_OPEN.labels(venue).set(open_)

    def states(self) -> dict[VenueName, str]:
        """closed, open or half-open."""
        return {venue: str(breaker.current_state) for venue, breaker in self._breakers.items()}

    def is_open(self, venue: VenueName) -> bool:
        return self._breakers[venue].current_state == "open"
