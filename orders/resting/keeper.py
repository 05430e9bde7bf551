"""Keeps the trigger book in Redis true to the resting orders in Postgres.

What Postgres is asked for is bounded: the orders that the book lists to be checked again; a page a second of the resting
orders, and of what the book holds, compared in turn; and all resting orders after Redis was wiped or restarted, or after the
book was invalidated.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from orders.ids import seconds_of, uuid7_at
from orders.ledger.advisory_lock import exclusive
from orders.ledger.statements import Connection
from orders.resting.placement import pair_of, rest_of
from routing.world import tokens
from triggers.book import Book, order_of
from triggers.changes import Arm

log = logging.getLogger(__name__)

PAGE = 2_000
MAX_OVERDUE = 1_000
NEWEST_S = 20
"""A web process that crashes between the commit and the book leaves orders of its last moment unarmed."""
NEWEST_EVERY = 5
LOCK = 0x62_6F_6F_6B  # "book"
MAX_SEQ = 2**31 - 1

RESTING = """
SELECT id, token_in, token_out, type, seq, limit_price, trigger_condition, trigger_kind, min_liquidity, volume_factor,
    launched_before, trail_bps, activation_price, GREATEST(trail_high, CASE WHEN trail_bps IS NOT NULL THEN (
        SELECT max(h.high) FROM orders_pairhigh h
        WHERE h.pair = token_in || '-' || token_out AND h.at >= orders_order.created_at) END) AS trail_high
FROM orders_order WHERE resting AND COALESCE(mode, 'mock') = %s
"""
"""Of this process' mode: nobody here would execute the others."""
KEEP_HIGHS = """
INSERT INTO orders_pairhigh (pair, at, high)
SELECT %(pair)s::text, date_trunc('second', now() - age * interval '1 millisecond' + interval '500 ms'), max(high)
FROM unnest(%(age)s::int[], %(high)s::numeric[]) AS t(age, high) GROUP BY 2
ON CONFLICT (pair, at) DO UPDATE SET high = GREATEST(orders_pairhigh.high, EXCLUDED.high)
"""
DROP_EXCEEDED = """
DELETE FROM orders_pairhigh h WHERE pair = %(pair)s::text
    AND EXISTS (SELECT 1 FROM orders_pairhigh l WHERE l.pair = h.pair AND l.at > h.at AND l.high >= h.high)
"""
RECENT_MS = 3_000
"""A second that is over for so long gets no higher price any more."""
RESTING_AFTER = RESTING + "AND (token_in, token_out, id) > (%s, %s, %s) ORDER BY token_in, token_out, id LIMIT %s"
RESTING_NEWEST = RESTING + "AND id > %s ORDER BY id DESC LIMIT %s"
# Far ahead of now is what changed before Postgres' clock was set back: it counts as long ago.
JUST_CHANGED = """
SELECT id FROM orders_order WHERE id = ANY(%(ids)s)
    AND updated_at BETWEEN now() - %(settle_s)s * interval '1 second' AND now() + %(settle_s)s * interval '1 second'
"""
NEWEST_ID = "SELECT id FROM orders_order ORDER BY id DESC LIMIT 1"
RESTING_OF = RESTING + "AND id = ANY(%s)"
SEQS_OF_OTHERS = "SELECT id, seq FROM orders_order WHERE NOT resting AND id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of RESTING."""

    id: UUID
    token_in: str
    token_out: str
    type: str
    seq: int
    limit_price: Decimal | None
    trigger_condition: str | None
    trigger_kind: str | None
    min_liquidity: Decimal | None
    volume_factor: Decimal | None
    launched_before: bool | None
    trail_bps: int | None
    activation_price: Decimal | None
    trail_high: Decimal | None


class Keeper:
    """Keeps the book true to Postgres. One in a process; it remembers only how far it has come.

    What changed within `settle_s` is on its way to the book by its writer, and is not missing. While `overloaded()` says that
    dispatches wait in executors, claimed orders are among them, and are not looked at again.
    """

    def __init__(
        self, book: Book, *, mode: str = "mock", overloaded: Callable[[], bool] = lambda: False, settle_s: float = 0.0
    ) -> None:
        self._book, self._mode = book, mode
        self._overloaded = overloaded
        self._settle_s = settle_s
        self._passes = 0
        self._place: tuple[str, str, UUID] | None = None
        self._cursor = 0
        self._labels: dict[str, str] | None = None

    def run(self, connection: Connection) -> dict[str, int]:
        """One pass, unless another process is at one; returns how much was put right, by name. Raises `redis.RedisError`."""
        with exclusive(connection, LOCK) as ours:
            if not ours:
                return {}
            self._passes += 1
            if self._renamed():
                self._book.invalidate()
            self._keep_highs(connection)
            done = {} if self._book.is_complete() else {"rebuilt": self._rebuild(connection)}
            done["again"] = 0 if self._overloaded() else self._look_again(connection)
            if self._passes % NEWEST_EVERY == 0:
                done["newest"] = self._arm_newest(connection)
            self._place, done["missed"] = self._arm_page(connection, self._place, self._settle_s)
            done["gone"] = self._drop_page(connection)
            return done

    def _keep_highs(self, connection: Connection) -> None:
        """Writes what trailing stops have followed: at most one row a second and pair, and none that a later one exceeds."""
        known = tokens()
        for name in self._book.pairs():
            if (pair := known.pair_named(name)) is not None and (highs := self._book.recent_highs(name)):
                mints = f"{pair.token_in.mint}-{pair.token_out.mint}"
                parameters = {"pair": mints, "age": [age for age, _ in highs], "high": [high for _, high in highs]}
                connection.execute(KEEP_HIGHS, parameters, prepare=True)
                connection.execute(DROP_EXCEEDED, parameters, prepare=True)
                self._book.forget_highs(name, RECENT_MS)

    def _rebuild(self, connection: Connection) -> int:
        """Arms every resting order. Those that begin to rest meanwhile are armed by their writers."""
        started = time.monotonic()
        rebuild = self._book.begin_rebuild()
        place, armed = self._arm_page(connection, None)
        while place is not None:
            place, more = self._arm_page(connection, place)
            armed += more
            self._look_again(connection)
        complete = self._book.end_rebuild(rebuild)
        if armed or not complete:
            taken = time.monotonic() - started
            log.warning("the trigger book got %d orders in %.1f s%s", armed, taken, "" if complete else "; once more")
        return armed

    def _arm_page(
        self, connection: Connection, place: tuple[str, str, UUID] | None, settle_s: float = 0.0
    ) -> tuple[tuple[str, str, UUID] | None, int]:
        """Arms what is missing among the next resting orders; returns the place to go on from (None at the end) and how many.

        Those that changed within `settle_s` are left to their writers.
        """
        rows = _rows(connection, RESTING_AFTER, (self._mode, *(place or ("", "", UUID(int=0))), PAGE))
        armed = self._arm_missing(connection, rows, settle_s)
        last = rows[-1] if len(rows) == PAGE else None
        return (last.token_in, last.token_out, last.id) if last else None, armed

    def _arm_newest(self, connection: Connection) -> int:
        newest = connection.execute(NEWEST_ID, prepare=True).fetchone()
        if newest is None:
            return 0
        # Ids carry the clocks of web processes; our own may be ahead of those by any amount.
        since = uuid7_at(min(time.time(), seconds_of(newest[0])) - NEWEST_S)
        rows = _rows(connection, RESTING_NEWEST, (self._mode, since, PAGE))
        return self._arm_missing(connection, rows, self._settle_s)

    def _arm_missing(self, connection: Connection, rows: Sequence[Row], settle_s: float) -> int:
        fresh = _just_changed(connection, [row.id for row in rows], settle_s)
        return self._book.change(Arm(rest_of(row.id, row, row.seq)) for row in rows if row.id not in fresh)

    def _look_again(self, connection: Connection) -> int:
        """Checks claimed orders that no executor took, and shelved ones: those that still rest are armed, the others removed."""
        details = self._book.overdue(MAX_OVERDUE)
        ids = [order_of(key) for key in details]
        if not ids:
            return 0
        rows = {row.id: row for row in _rows(connection, RESTING_OF, (self._mode, ids))}
        seqs = dict(connection.execute(SEQS_OF_OTHERS, (ids,)).fetchall())
        armed = self._book.change(Arm(rest_of(row.id, row, row.seq), force=True) for row in rows.values())
        gone = [(key, seqs.get(order_of(key), MAX_SEQ)) for key in details if order_of(key) not in rows]
        return armed + self._book.remove([*gone, *self._misplaced(details, rows)])

    def _misplaced(self, held: Iterable[str], rows: Mapping[UUID, Row]) -> list[tuple[str, int]]:
        """Those that stand under a name that their pair does not have any more, to be removed whatever their seq is."""
        known = tokens()
        places = {row.id: f":{known.name(pair_of(row))}:{row.id}" for row in rows.values()}
        return [(key, MAX_SEQ) for key in held if not key.endswith(places.get(order_of(key), key))]

    def _drop_page(self, connection: Connection) -> int:
        """Removes those among the next of the book's orders that do not rest any more, or not under this name."""
        self._cursor, held = self._book.page(self._cursor, MAX_OVERDUE)
        ids = [order_of(key) for key in held]
        if not ids:
            return 0
        rows = {row.id: row for row in _rows(connection, RESTING_OF, (self._mode, ids))}
        gone = {key: seq for key, seq in held.items() if order_of(key) not in rows}
        leaving = _just_changed(connection, [order_of(key) for key in gone], self._settle_s)
        lost = [(key, seq) for key, seq in gone.items() if order_of(key) not in leaving]
        return self._book.remove([*lost, *self._misplaced(held, rows)])

    def _renamed(self) -> bool:
        """Whether a pair has another name since the last pass, because a symbol was verified or taken back."""
        now, before = {token.mint: token.label for token in tokens().tokens}, self._labels
        self._labels = now
        return before is not None and any(label != before.get(mint, mint) for mint, label in now.items())


def _just_changed(connection: Connection, ids: Sequence[UUID], settle_s: float) -> set[UUID]:
    """Those of the orders whose last change their writer may still be bringing to the book."""
    if not ids or not settle_s:
        return set()
    return {row[0] for row in connection.execute(JUST_CHANGED, {"ids": list(ids), "settle_s": settle_s}, prepare=True)}


def _rows(connection: Connection, query: str, parameters: Sequence[Any]) -> list[Row]:
    return [Row(*row) for row in connection.execute(query, parameters, prepare=True)]
