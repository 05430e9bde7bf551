"""The router: where an order's prices come from, in order of preference.

1. The poller's ticks of all venues, while they are fresh (market orders) and the venues can price the amount by them.
2. The venues themselves, all at once under one deadline; a venue that fails counts with its last tick while that is fresh.
3. The venue that is left, alone.
4. `NoQuote`: the order tries again later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from routing import metrics
from routing.breaker import Breakers
from routing.clock import Clock, utc_now
from routing.permits import Permits
from routing.price_hashes import PairPrices
from routing.selection import select
from routing.values import Pair, Quote, Refusal, Selection, Tick, VenueName
from routing.venue import (
    InsufficientLiquidity,
    NoRoute,
    Seller,
    Splitter,
    Venue,
    VenueError,
    VenueNotPermitted,
    VenueTimeout,
)

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Router:
    """`deadline_ms` bounds the comparison as a whole, `max_age_ms` the age of a quote in it.

    `cached` reads what the poller saw; `permits`: what pairs may use at present. `splitter` settles what was split, and
    offers to split while `splits` says so.
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
        permits: Callable[[], Permits] = Permits,
        splitter: Splitter | None = None,
        splits: bool = False,
    ) -> None:
        self._splitter, self._splits = splitter, splits
        self._venues = {venue.name: venue for venue in venues}
        self._deadline_s = deadline_ms / 1000
        self.max_age = timedelta(milliseconds=max_age_ms)
        self._clock = clock
        self._cached = cached
        self.breakers = breakers or Breakers(self._venues)
        self._permits = permits

    @property
    def venues(self) -> tuple[Venue, ...]:
        return tuple(self._venues.values())

    def venue(self, name: VenueName) -> Venue:
        """Raises `KeyError` for a venue that is not configured."""
        return self._venues[name]

    def seller(self, name: VenueName) -> Seller:
        """Whoever makes and settles a swap of that name: a venue, or a split over several. Raises `KeyError`."""
        if self._splitter is not None and name == self._splitter.name:
            return self._splitter
        return self._venues[name]

    async def quote(
        self, pair: Pair, amount: Decimal, *, fresh: bool = True, exact_out: bool = False, split: bool = True
    ) -> Selection:
        """The best offer for `amount` of tokenIn, or to get `amount` of tokenOut, with all that was compared.

        `fresh` asks the venues whatever is cached; `split`: whether the amount may be divided. A venue that fails or is late is
        a refusal in the comparison. Raises `NoQuote` when none is left.
        """
        market = None if fresh or self._cached is None else await self._cached(pair)
        ticks = {} if market is None else self._fresh(market)
        return await self.compare(pair, amount, ticks, exact_out=exact_out, split=split)

    async def compare(
        self,
        pair: Pair,
        amount: Decimal,
        ticks: Mapping[VenueName, Tick],
        *,
        exact_out: bool = False,
        split: bool = True,
    ) -> Selection:
        """The best offer by the ticks, if they are enough; else the venues are asked. Raises `NoQuote`.

        They are not enough while a venue that may be asked has none, or cannot price the amount by its own; and when no tick
        gives a quote, because a permanent refusal must be a venue's own answer.
        """
        ends = self._ends()
        barred = self._barred(pair)
        cached = self._priced(pair, amount, self._usable(ticks, barred), exact_out=exact_out)
        priced = {venue: answer for venue, answer in cached.items() if answer is not None}
        quoted = any(isinstance(answer, Quote) for answer in priced.values())
        # A venue whose breaker is open is not worth asking for: the others' ticks are all there is.
        asked = self._venues.keys() - barred.keys()
        if quoted and all(venue in priced or self.breakers.is_open(venue) for venue in asked):
            divided = await self._divided(pair, amount, priced, ends, ticks, wanted=split and not exact_out)
            return self._select([*priced.values(), *barred.values(), *divided])
        said = await self._ask_all(
            lambda venue: venue.quote(pair, amount, exact_out=exact_out), self._deadline_s, asked
        )
        answers: dict[VenueName, Quote | Refusal] = {**barred, **said}
        # A venue that fails counts with its tick while that is fresh, and its refusal is listed as well.
        failed = {venue: answer for venue, answer in answers.items() if isinstance(answer, Refusal)}
        instead = [answer for venue, answer in priced.items() if venue in failed]
        divided = await self._divided(pair, amount, answers, ends, wanted=split and not exact_out)
        return self._select([*answers.values(), *instead, *divided])

    async def estimate(
        self,
        pair: Pair,
        amount: Decimal,
        ticks: Mapping[VenueName, Tick],
        *,
        exact_out: bool = False,
        split: bool = True,
    ) -> Selection:
        """The best offer by the ticks alone; a venue is asked only where it cannot price the amount by its tick.

        Raises `NoQuote`.
        """
        ends = self._ends()
        barred = self._barred(pair)
        known = self._priced(pair, amount, self._usable(ticks, barred), exact_out=exact_out)
        priced = {venue: answer for venue, answer in known.items() if answer is not None}
        answers = {**barred, **priced}
        if unpriced := known.keys() - answers.keys():
            answers |= await self._ask_all(
                lambda venue: venue.quote(pair, amount, exact_out=exact_out), self._deadline_s, unpriced
            )
        if not known:
            nowhere = NoRoute()
            missing = {venue: Refusal(venue, nowhere.code, str(nowhere)) for venue in self._venues}
            answers = {**missing, **barred}
        # Asked now, or by the ticks: as the venues' own offers are.
        seen = None if unpriced else ticks
        divided = await self._divided(pair, amount, answers, ends, seen, wanted=split and not exact_out)
        return self._select([*answers.values(), *divided])

    def without(self, selection: Selection, refusal: Refusal) -> Selection:
        """The same comparison without the offer that turned out to be none. Raises `NoQuote`."""
        return self._select(
            [*(quote for quote in selection.quotes if quote.venue != refusal.venue), *selection.refusals, refusal]
        )

    def _ends(self) -> float:
        """When the comparison that begins now has to be over, by the loop's clock."""
        return asyncio.get_running_loop().time() + self._deadline_s

    async def _divided(
        self,
        pair: Pair,
        amount: Decimal,
        answers: Mapping[VenueName, Quote | Refusal],
        ends: float,
        ticks: Mapping[VenueName, Tick] | None = None,
        *,
        wanted: bool,
    ) -> list[Quote | Refusal]:
        """The offer of several venues together, until `ends`: at most one, and none where it is not wanted, or while one of them
        cannot be traded now.

        A pool that is too small for all of the amount may be deep enough for its part.
        """
        splitter = self._splitter
        if not wanted or splitter is None or not self._splits or len(splitter.venues) < 2:
            return []
        said = [answers.get(venue) for venue in splitter.venues]
        able = all(isinstance(each, Quote) or each and each.code == InsufficientLiquidity.code for each in said)
        if not able or any(self.breakers.is_open(venue) for venue in splitter.venues):
            return []
        try:
            async with asyncio.timeout_at(ends):
                offer = await splitter.offer(pair, amount, ticks)
            return [] if offer is None else [offer]
        except VenueError as error:
            return [_refusal(splitter.name, error)]
        except TimeoutError:
            return [_refusal(splitter.name, VenueTimeout())]
        except Exception:
            # The venues' own offers stand whatever is wrong with this one.
            logger.exception("%s failed to offer", splitter.name)
            return []

    async def ticks(
        self, pair: Pair, *, deadline_s: float, only: Collection[VenueName] | None = None
    ) -> dict[VenueName, Tick | Refusal]:
        """The market in the pair at every venue, or at some, asked now."""
        barred = self._barred(pair)
        asked = (self._venues.keys() if only is None else set(only)) - barred.keys()
        return {**barred, **await self._ask_all(lambda venue: venue.tick(pair), deadline_s, asked)}

    def _barred(self, pair: Pair) -> dict[VenueName, Refusal]:
        """The venues that the pair may not use: nobody asks them."""
        permits, found = self._permits(), dict[VenueName, Refusal]()
        if not permits.of(pair):
            return found
        for venue in self._venues:
            try:
                permits.at(pair, venue).check_venue()
            except VenueNotPermitted as error:
                found[venue] = Refusal(venue, error.code, str(error), error.permanent)
        return found

    def _usable(
        self, ticks: Mapping[VenueName, Tick], barred: Collection[VenueName]
    ) -> Iterable[tuple[VenueName, Tick]]:
        return ((venue, tick) for venue, tick in ticks.items() if venue in self._venues and venue not in barred)

    def _fresh(self, market: PairPrices) -> dict[VenueName, Tick]:
        now = self._clock()
        return {
            venue: tick
            for venue, tick in market.ticks.items()
            if venue in self._venues and now - tick.observed_at <= self.max_age
        }

    def _priced(
        self, pair: Pair, amount: Decimal, ticks: Iterable[tuple[VenueName, Tick]], *, exact_out: bool
    ) -> dict[VenueName, Quote | Refusal | None]:
        """What each venue makes of its tick."""
        return {venue: self._price(pair, tick, amount, exact_out=exact_out) for venue, tick in ticks}

    def _price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool) -> Quote | Refusal | None:
        """None: the venue has to be asked."""
        try:
            self._permits().at(pair, tick.venue).check_depth(tick.liquidity)
            return self._venues[tick.venue].price(pair, tick, amount, exact_out=exact_out)
        except VenueError as error:
            return _refusal(tick.venue, error)
        except Exception:
            logger.exception("%s failed to price a tick", tick.venue)
            return None

    def _select(self, answers: Iterable[Quote | Refusal]) -> Selection:
        answers = list(answers)
        quotes = [answer for answer in answers if isinstance(answer, Quote)]
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        return select(quotes, refusals, now=self._clock(), max_age=self.max_age)

    async def _ask_all(
        self, ask: Callable[[Venue], Awaitable[Answer]], deadline_s: float, only: Collection[VenueName]
    ) -> dict[VenueName, Answer | Refusal]:
        asked = {
            name: asyncio.create_task(self.ask(venue, ask)) for name, venue in self._venues.items() if name in only
        }
        if not asked:
            return {}
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
