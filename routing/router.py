"""The router: asks every venue at once and compares what comes back in time."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from routing.clock import Clock, utc_now
from routing.selection import select
from routing.values import Pair, Quote, Refusal, Selection, VenueName
from routing.venues.base import Venue, VenueError, VenueTimeout
from runtime import metrics

logger = logging.getLogger(__name__)


class Router:
    """`deadline_ms` bounds the comparison as a whole, `max_age_ms` the age of a quote in it."""

    def __init__(self, venues: Sequence[Venue], *, deadline_ms: int, max_age_ms: int, clock: Clock = utc_now) -> None:
        self._venues = {venue.name: venue for venue in venues}
        self._deadline_s = deadline_ms / 1000
        self._max_age = timedelta(milliseconds=max_age_ms)
        self._clock = clock

    @property
    def venues(self) -> tuple[Venue, ...]:
        return tuple(self._venues.values())

    def venue(self, name: VenueName) -> Venue:
        """Raises `KeyError` for a venue that is not configured."""
        return self._venues[name]

    async def quote(self, pair: Pair, amount: Decimal) -> Selection:
        """The best offer for `amount` of tokenIn, with all that was compared.

        A venue that fails or is late is a refusal in the comparison. Raises `NoQuote` when none is left.
        """
        asked = {name: asyncio.create_task(self._ask(venue, pair, amount)) for name, venue in self._venues.items()}
        try:
            await asyncio.wait(asked.values(), timeout=self._deadline_s)
        finally:
            for task in asked.values():
                task.cancel()
        quotes: list[Quote] = []
        refusals: list[Refusal] = []
        for name, task in asked.items():
            answer = task.result() if task.done() else _refusal(name, VenueTimeout())
            quotes.append(answer) if isinstance(answer, Quote) else refusals.append(answer)
        return select(quotes, refusals, now=self._clock(), max_age=self._max_age)

    async def _ask(self, venue: Venue, pair: Pair, amount: Decimal) -> Quote | Refusal:
        try:
            return await venue.quote(pair, amount)
        except VenueError as error:
            return _refusal(venue.name, error)
        except Exception:
            # One adapter's defect is no reason to leave the other venue's offer unused.
            logger.exception("%s failed to quote %s", venue.name, pair.name)
            return _refusal(venue.name, VenueError("The venue's answer could not be used."))


def _refusal(venue: VenueName, error: VenueError) -> Refusal:
    metrics.VENUE_ERRORS.labels(venue, error.code).inc()
    return Refusal(venue, error.code, str(error), error.permanent)
