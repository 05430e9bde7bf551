"""Fires what is due: claims it from the book in batches and dispatches each batch.

Between the claim and the dispatch an order stands on the book's list of those to be looked at again, so a matcher that crashes
there loses nothing; and a dispatch that is repeated harms nothing, because the ledger claims an order once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from routing.clock import Clock, utc_now
from routing.price_hashes import PairPrices, stamp
from routing.prices import PriceStore
from routing.values import Tick
from runtime.faults import crash_point
from triggers import rules
from triggers.book import Book, Edge

MAX_CLAIM_BATCH = 500
"""Ids a script takes: it blocks Redis for about two milliseconds."""
MAX_FIRST = 20
"""Ids of the message that the poller sends itself: few, so that it leaves at once; the limit worker sends the others."""
AGAIN_MS = 5_000
"""A claimed order that no executor took by then is looked at again; executors take theirs within milliseconds."""

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


@dataclass(frozen=True, slots=True)
class Reached:
    """What a market reaches in one index of its pair's book, and what the fired orders are given as their trigger."""

    kind: str
    value: Decimal
    trigger: dict[str, Any]


def limits_reached(market: PairPrices, edge: Edge) -> list[Reached]:
    """Stops, then limits, so that of the two the stop is dispatched first; nothing without a fresh BEST."""
    if market.best is None or edge.best is None:
        return []
    trigger = _trigger(market.best, edge.best, "limit")
    return [Reached(kind, edge.best, trigger) for kind in (rules.LTE, rules.TRAILING, rules.GTE)]


def snipers_reached(market: PairPrices, edge: Edge) -> list[Reached]:
    """Snipers of each kind; nothing without a fresh BEST."""
    if market.best is None or edge.best is None:
        return []
    found = []
    for kind, value in edge.reached.items():
        if value is None:
            continue
        trigger = _trigger(market.best, edge.best, kind)
        if kind == rules.LIQUIDITY:
            trigger["liquidity"] = rules.plain(value)
        elif kind == rules.VOLUME:
            trigger["factor"] = f"{value:.2f}"
        found.append(Reached(kind, value, trigger))
    return found


def _trigger(best: Tick, price: Decimal, kind: str) -> dict[str, Any]:
    return {"kind": kind, "price": rules.plain(price), "venue": best.venue, "observedAt": stamp(best.observed_at)}


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
        return self._match(pair, limits_reached)

    def match_snipers(self, pair: str) -> int:
        """Fires the pair's snipers whose condition is met; how many."""
        return self._match(pair, snipers_reached)

    def match_first_limits(self, market: PairPrices, edge: Edge) -> bool:
        """Fires the first few of the limits and stops that are due in a market just seen; whether more may be.

        The poller does this itself: the first orders of a crossing need not wait for another process to be called.
        """
        return self._fire(market.pair, limits_reached(market, edge), only=MAX_FIRST)[1]

    def _match(self, pair: str, reached: Callable[[PairPrices, Edge], list[Reached]]) -> int:
        market = self._prices.read([pair]).get(pair)
        if market is None:
            return 0
        return self._fire(pair, reached(market, edge_of(market, self._clock(), self._max_age)))[0]

    def _fire(self, pair: str, reached: Iterable[Reached], *, only: int | None = None) -> tuple[int, bool]:
        """Claims and dispatches what is due, of each kind everything or `only` the first.

        Returns how many orders, and whether more may be due.
        """
        size = only or MAX_CLAIM_BATCH
        fired, more = 0, False
        for each in reached:
            full = True
            while full:
                ids, beside = self._book.claim(pair, each.kind, each.value, most=size, again_in_ms=AGAIN_MS)
                if ids:
                    crash_point("after_fire")
                for start in range(0, len(ids), self._most):
                    self._dispatch(ids[start : start + self._most], each.trigger | beside)
                fired += len(ids)
                # Trailing stops come one high at a time.
                full = bool(ids) if each.kind == rules.TRAILING else len(ids) >= size
                if only is not None:
                    break
            more = more or full
        return fired, more
