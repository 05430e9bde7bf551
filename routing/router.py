"""The router: where an order's prices come from, in order of preference.

1. The poller's ticks of both venues, while they are fresh (market orders).
2. The venues themselves, all at once under one deadline; a venue that fails counts with its last tick while that is fresh.
3. The venue that is left, alone.
4. `NoQuote`: the order tries again later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from routing import metrics
from routing.breaker import Breakers
from routing.clock import Clock, utc_now
from routing.prices import PairPrices
from routing.selection import quote_from_tick, select
from routing.values import Pair, Quote, Refusal, Selection, Tick, VenueName
from routing.venue import Venue, VenueError, VenueTimeout

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Router:
    """`deadline_ms` bounds the comparison as a whole, `max_age_ms` the age of a quote in it.

    `cached` reads what the poller saw.
    """

    def __init__(
        self,
        venues: Sequence[Venue],
        *,
        deadline_ms: int,
        max_age_ms: int,
        clock: Clock = utc_now,
        cached: Callable[[Pair], Awaitable[PairPrices | None]] | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self._venues = {venue.name: venue for venue in venues}
        self._deadline_s = deadline_ms / 1000
        self.max_age = timedelta(milliseconds=max_age_ms)
        self._clock = clock
        self._cached = cached
        self.breakers = breakers or Breakers(self._venues)

    @property
    def venues(self) -> tuple[Venue, ...]:
        return tuple(self._venues.values())

    def venue(self, name: VenueName) -> Venue:
        """Raises `KeyError` for a venue that is not configured."""
        return self._venues[name]

    async def quote(self, pair: Pair, amount: Decimal, *, fresh: bool = True) -> Selection:
        """The best offer for `amount` of tokenIn, with all that was compared.

        `fresh` asks the venues whatever is cached. A venue that fails or is late is a refusal in the comparison. Raises
        `NoQuote` when none is left.
        """
        known: dict[VenueName, Tick] = {}
        if not fresh and self._cached is not None and (market := await self._cached(pair)) is not None:
            known = self._fresh(market)
            # A venue that rests is not worth asking for: the other's tick is all there is.
            if known and all(venue in known or self.breakers.is_open(venue) for venue in self._venues):
                return self._compare(pair, amount, known, {}, [])
        answers = await self._ask_all(lambda venue: venue.quote(pair, amount), self._deadline_s)
        quotes = {venue: answer for venue, answer in answers.items() if isinstance(answer, Quote)}
        refusals = [answer for answer in answers.values() if isinstance(answer, Refusal)]
        missing = {venue: tick for venue, tick in known.items() if venue not in quotes}
        return self._compare(pair, amount, missing, quotes, refusals)

    async def ticks(self, pair: Pair, *, deadline_s: float) -> dict[VenueName, Tick | Refusal]:
        """Every venue's market in the pair, asked now."""
        return await self._ask_all(lambda venue: venue.tick(pair), deadline_s)

    def _fresh(self, market: PairPrices) -> dict[VenueName, Tick]:
        now = self._clock()
        return {
            venue: tick
            for venue, tick in market.ticks.items()
            if venue in self._venues and now - tick.observed_at <= self.max_age
        }

    def _compare(
        self,
        pair: Pair,
        amount: Decimal,
        ticks: dict[VenueName, Tick],
        quotes: dict[VenueName, Quote],
        refusals: list[Refusal],
    ) -> Selection:
        for venue, tick in ticks.items():
            try:
                quotes[venue] = quote_from_tick(pair, tick, amount, cached=True)
            except VenueError as error:
                refusals.append(_refusal(venue, error))
        return select(list(quotes.values()), refusals, now=self._clock(), max_age=self.max_age)

    async def _ask_all(
        self, ask: Callable[[Venue], Awaitable[Answer]], deadline_s: float
    ) -> dict[VenueName, Answer | Refusal]:
        asked = {name: asyncio.create_task(self.ask(venue, ask)) for name, venue in self._venues.items()}
        try:
            await asyncio.wait(asked.values(), timeout=deadline_s)
        finally:
            for task in asked.values():
                task.cancel()
        return {name: task.result() if task.done() else _refusal(name, VenueTimeout()) for name, task in asked.items()}

    async def ask(self, venue: Venue, ask: Callable[[Venue], Awaitable[Answer]]) -> Answer | Refusal:
        """One venue's answer through its breaker; every failure is a refusal."""
        try:
            return await self.breakers.guard(venue.name, lambda: ask(venue))
        except VenueError as error:
            return _refusal(venue.name, error)
        except Exception:
            # One adapter's defect is no reason to leave the other venue's offer unused.
            logger.exception("%s failed to answer", venue.name)
            return _refusal(venue.name, VenueError("The venue's answer could not be used."))

    def now(self) -> datetime:
        return self._clock()


def _refusal(venue: VenueName, error: VenueError) -> Refusal:
    metrics.VENUE_ERRORS.labels(venue, error.code).inc()
    return Refusal(venue, error.code, str(error), error.permanent)
