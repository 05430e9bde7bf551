"""The poller: asks all venues for all pairs at once and computes the market from their answers.

A venue that does not answer in time keeps its last tick while that is fresh, so one failure does not change BEST.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from routing.price_hashes import PairPrices
from routing.router import Router
from routing.selection import best_tick
from routing.values import Pair, Refusal, Tick, VenueName
from routing.venue import NOT_TRADED
from routing.volume import VolumeAverage


class Poller:
    """Remembers each venue's last tick and its average volume. One event loop; `deadline_ms` bounds a poll."""

    def __init__(self, router: Router, *, deadline_ms: int) -> None:
        self._router = router
        self._deadline_s = deadline_ms / 1000
        self._last: dict[tuple[str, VenueName], Tick] = {}
        self._volumes: dict[tuple[str, VenueName], VolumeAverage] = {}

    async def poll(self, pairs: Iterable[Pair]) -> list[PairPrices]:
        """Asks for every pair once. Never raises for what venues do."""
        wanted = list(pairs)
        answers = await asyncio.gather(*(self._router.ticks(pair, deadline_s=self._deadline_s) for pair in wanted))
        return [self._market(pair, answer) for pair, answer in zip(wanted, answers, strict=True)]

    def _market(self, pair: Pair, answers: dict[VenueName, Tick | Refusal]) -> PairPrices:
        volumes = {}
        for venue, answer in answers.items():
            if isinstance(answer, Tick):
                volumes[venue] = self._seen(pair.name, answer)
            elif answer.code in NOT_TRADED:
                self._last.pop((pair.name, venue), None)
        last = [tick for venue in answers if (tick := self._last.get((pair.name, venue))) is not None]
        found = prices_of(pair, last, self._router)
        return replace(found, volumes=volumes, listed=listed(answers))

    def _seen(self, pair: str, tick: Tick) -> VolumeAverage:
        """Takes a tick in; the average volume before it."""
        key = (pair, tick.venue)
        before, average = self._last.get(key), self._volumes.get(key, VolumeAverage())
        self._last[key] = tick
        elapsed_s = Decimal(str((tick.observed_at - before.observed_at).total_seconds())) if before else Decimal(0)
        self._volumes[key] = average.after(tick.volume, max(elapsed_s, Decimal(0)))
        return average


def prices_of(pair: Pair, ticks: Iterable[Tick | Refusal], router: Router) -> PairPrices:
    """The pair's market by these ticks, now."""
    now = router.now()
    known = {tick.venue: tick for tick in ticks if isinstance(tick, Tick)}
    return PairPrices(pair.name, known, best_tick(known.values(), now=now, max_age=router.max_age), now)


def listed(answers: Mapping[VenueName, Tick | Refusal]) -> bool | None:
    """Whether any venue trades the pair: a pool without liquidity does not count. None: not every venue answered."""
    if any(isinstance(answer, Tick) and answer.liquidity > 0 for answer in answers.values()):
        return True
    if all(isinstance(answer, Tick) or answer.code in NOT_TRADED for answer in answers.values()):
        return False
    return None
