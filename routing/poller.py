"""The poller: asks all venues for all pairs at once and computes the market from their answers.

A venue that does not answer in time keeps its last tick while that is fresh, so one failure does not change BEST.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from routing.price_hashes import SLOW_FOR, PairPrices
from routing.router import Router
from routing.selection import best_tick
from routing.values import Pair, Refusal, Tick, VenueName
from routing.venue import NOT_HEARD, NOT_TRADED
from routing.volume import VolumeAverage

NEVER = float("-inf")
OVERTAKEN = timedelta(seconds=1)
"""How much older an answer may be that another look has overtaken. What is older still was not: the clock was set back."""


class Poller:
    """Remembers each venue's last tick and its average volume. One event loop; `deadline_ms` bounds a poll."""

    def __init__(self, router: Router, *, deadline_ms: int, now: Callable[[], float] = time.monotonic) -> None:
        self._router, self._now = router, now
        self._deadline_s = deadline_ms / 1000
        self._last: dict[tuple[str, VenueName], Tick] = {}
        self._volumes: dict[tuple[str, VenueName], VolumeAverage] = {}
        self._shown: dict[tuple[str, VenueName], VolumeAverage] = {}
        """Before the last tick."""
        self._late: dict[tuple[str, VenueName], tuple[float, float, Refusal]] = {}
        """When a venue was not heard of the last two times, and why."""

    async def poll(self, pairs: Iterable[Pair]) -> list[PairPrices]:
        """Asks for every pair once. Never raises for what venues do."""
        wanted = list(pairs)
        answers = await asyncio.gather(*(self._router.ticks(pair, deadline_s=self._deadline_s) for pair in wanted))
        return [self._market(pair, answer) for pair, answer in zip(wanted, answers, strict=True)]

    async def look(self, changed: Mapping[Pair, Collection[VenueName]]) -> list[PairPrices]:
        """Asks for these pairs at these venues alone, between two polls; the others count with their last ticks."""
        wanted = list(changed.items())
        answers = await asyncio.gather(
            *(self._router.ticks(pair, deadline_s=self._deadline_s, only=venues) for pair, venues in wanted)
        )
        found = [self._market(pair, answer) for (pair, _), answer in zip(wanted, answers, strict=True)]
        # That no venue trades a pair is for all of them to say.
        return [replace(market, listed=market.listed or None) for market in found]

    def _market(self, pair: Pair, answers: dict[VenueName, Tick | Refusal]) -> PairPrices:
        for venue, answer in answers.items():
            if isinstance(answer, Tick):
                self._seen(pair.name, answer)
            elif answer.code in NOT_TRADED:
                self._last.pop((pair.name, venue), None)
            elif answer.code in NOT_HEARD:
                _, before, _ = self._late.get((pair.name, venue), (NEVER, NEVER, answer))
                self._late[pair.name, venue] = before, self._now(), answer
        known = [venue.name for venue in self._router.venues if (pair.name, venue.name) in self._last]
        found = prices_of(pair, [self._last[pair.name, venue] for venue in known], self._router)
        volumes = {venue: self._shown[pair.name, venue] for venue in known}
        return replace(found, volumes=volumes, listed=listed(answers), slow=self._slow(pair.name))

    def _slow(self, pair: str) -> tuple[Refusal, ...]:
        """Once is an accident: venues that were not heard of twice lately."""
        since = self._now() - SLOW_FOR.total_seconds()
        late = (self._late.get((pair, venue.name)) for venue in self._router.venues)
        return tuple(each[2] for each in late if each is not None and each[0] >= since)

    def _seen(self, pair: str, tick: Tick) -> None:
        """Takes a tick in, unless a look that began later has brought a newer one."""
        key = (pair, tick.venue)
        before, average = self._last.get(key), self._volumes.get(key, VolumeAverage())
        if before is not None and timedelta(0) < before.observed_at - tick.observed_at < OVERTAKEN:
            return
        self._last[key], self._shown[key] = tick, average
        elapsed_s = Decimal(str((tick.observed_at - before.observed_at).total_seconds())) if before else Decimal(0)
        self._volumes[key] = average.after(tick.volume, max(elapsed_s, Decimal(0)))


def prices_of(pair: Pair, ticks: Iterable[Tick | Refusal], router: Router) -> PairPrices:
    """The pair's market by these ticks, now."""
    now, ticks = router.now(), list(ticks)
    known = {tick.venue: tick for tick in ticks if isinstance(tick, Tick)}
    best = best_tick(known.values(), now=now, max_age=router.max_age)
    slow = tuple(each for each in ticks if isinstance(each, Refusal) and each.code in NOT_HEARD)
    return PairPrices(pair.name, known, best, now, slow=slow)


def listed(answers: Mapping[VenueName, Tick | Refusal]) -> bool | None:
    """Whether any venue trades the pair: a pool without liquidity does not count. None: not every venue answered."""
    if any(isinstance(answer, Tick) and answer.liquidity > 0 for answer in answers.values()):
        return True
    if all(isinstance(answer, Tick) or answer.code in NOT_TRADED for answer in answers.values()):
        return False
    return None
