"""Fires what is due: claims it from the book in batches and hands each batch to whoever executes.

Between the claim and the dispatch an order stands on the book's list of those to be looked at again, so a matcher that dies
there loses nothing; and a dispatch that is repeated harms nothing, because the ledger claims an order once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from routing.clock import Clock, utc_now
from routing.prices import PairPrices, PriceStore, stamp
from runtime.faults import crash_point
from triggers import rules
from triggers.book import Book, Edge, ms

MAX_CLAIM_BATCH = 500
"""Ids a script takes: it blocks Redis for about two milliseconds."""
MAX_FIRST = 20
"""Ids of the message that the poller sends itself: few, so that it leaves at once; the limit worker does the rest."""
AGAIN_S = 5.0
"""A claimed order nobody took by then is looked at again; executors take theirs within milliseconds."""

Dispatch = Callable[[Sequence[UUID], dict[str, Any]], None]


def edge_of(market: PairPrices, now: datetime, max_age: timedelta) -> Edge:
    """What the market reaches. Ticks that are too old count as missing, and what is missing reaches nothing."""
    fresh = [tick for tick in market.ticks.values() if rules.is_fresh(tick.observed_at, now, max_age)]
    best = market.best if market.best and rules.is_fresh(market.best.observed_at, now, max_age) else None
    averages = [(tick, market.volumes[tick.venue]) for tick in fresh if tick.venue in market.volumes]
    liquidity = rules.liquidity_of(fresh)
    return Edge(
        pair=market.pair,
        best=best.net_price if best else None,
        launch=rules.NOTHING if best and liquidity else None,
        liquidity=liquidity,
        volume=rules.volume_factor_of(averages),
    )


class Matcher:
    """`dispatch(order_ids, trigger)` gets at most `most` ids at a time."""

    def __init__(
        self,
        book: Book,
        prices: PriceStore,
        dispatch: Dispatch,
        *,
        max_age: timedelta,
        most: int,
        clock: Clock = utc_now,
    ) -> None:
        self._book = book
        self._prices = prices
        self._dispatch = dispatch
        self._max_age = max_age
        self._most = most
        self._clock = clock

    def match_limits(self, pair: str) -> int:
        """Fires the pair's limits and stops that are due at the present BEST; how many."""
        found = self._look(pair)
        if found is None or found[1].best is None:
            return 0
        market, edge = found
        trigger, best = self._limit_trigger(market, edge)
        return sum(
            self._fire(
                lambda kind=kind: self._book.claim_limits(  # type: ignore[misc]
                    pair, kind, best, most=MAX_CLAIM_BATCH, again_at_ms=self._again_at()
                ),
                trigger,
            )
            for kind in (rules.GTE, rules.LTE)
        )

    def match_first_limits(self, market: PairPrices, edge: Edge) -> bool:
        """Fires the first few of the limits and stops that are due in a market just seen; whether more may be.

        The poller does this itself: the first orders of a crossing need not wait for another process to be called.
        """
        trigger, best = self._limit_trigger(market, edge)
        more = False
        for kind in (rules.GTE, rules.LTE):
            ids = self._book.claim_limits(market.pair, kind, best, most=MAX_FIRST, again_at_ms=self._again_at())
            if ids:
                crash_point("after_fire")
                self._dispatch(ids, trigger)
            more = more or len(ids) >= MAX_FIRST
        return more

    def _limit_trigger(self, market: PairPrices, edge: Edge) -> tuple[dict[str, Any], Decimal]:
        assert market.best is not None and edge.best is not None
        trigger = {
            "kind": "limit",
            "price": rules.plain(edge.best),
            "venue": market.best.venue,
            "observedAt": stamp(market.best.observed_at),
        }
        return trigger, edge.best

    def match_snipers(self, pair: str) -> int:
        """Fires the pair's snipers whose event is there; how many."""
        found = self._look(pair)
        if found is None or found[1].best is None:
            return 0
        market, edge = found
        assert market.best is not None and edge.best is not None
        fired = 0
        for kind, reached in edge.reached.items():
            if reached is None:
                continue
            trigger = {
                "kind": kind,
                "price": rules.plain(edge.best),
                "venue": market.best.venue,
                "observedAt": stamp(market.best.observed_at),
            }
            if kind == rules.LIQUIDITY:
                trigger["liquidity"] = rules.plain(reached)
            elif kind == rules.VOLUME:
                trigger["factor"] = f"{reached:.2f}"
            fired += self._fire(
                lambda kind=kind, reached=reached: self._book.claim_snipers(  # type: ignore[misc]
                    pair, kind, reached, most=MAX_CLAIM_BATCH, again_at_ms=self._again_at()
                ),
                trigger,
            )
        return fired

    def _look(self, pair: str) -> tuple[PairPrices, Edge] | None:
        market = self._prices.read([pair]).get(pair)
        return None if market is None else (market, edge_of(market, self._clock(), self._max_age))

    def _fire(self, claim: Callable[[], list[UUID]], trigger: dict[str, Any]) -> int:
        fired = 0
        while ids := claim():
            crash_point("after_fire")
            for batch in _batches(ids, self._most):
                self._dispatch(batch, trigger)
            fired += len(ids)
            if len(ids) < MAX_CLAIM_BATCH:
                break
        return fired

    def _again_at(self) -> int:
        return ms(self._clock()) + int(AGAIN_S * 1000)


def _batches(ids: list[UUID], most: int) -> Iterator[list[UUID]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))
