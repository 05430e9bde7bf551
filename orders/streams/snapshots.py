"""Reading orders for sockets: those that ask at the same moment share two statements.

The statements are prepared on a connection of the reader's own: by way of Django's pool and queries a snapshot costs 2 ms,
more than executing the order does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from psycopg.rows import namedtuple_row

from orders.ledger.session import Session
from orders.ledger.statements import Connection
from orders.ledger.writers import SessionCommit
from orders.models import Order
from orders.representation import EventOut, OrderOut, event_out, order_out

Found = TypeVar("Found")

TIMEOUT_MS = 5_000
CAPACITY = 50_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    account_id: int
    order: OrderOut
    events: list[EventOut]


FIELDS = ", ".join(f"o.{field.attname}" for field in Order._meta.concrete_fields)
EVENT = "e.order_id, e.seq AS event_seq, e.status AS event_status, e.at AS event_at, e.data::text AS event_data"
# One statement, so that the order and its events are of one moment; the order stands beside each of its few events.
WITH_EVENTS = f"""
SELECT {FIELDS}, {EVENT}
FROM unnest(%s::uuid[], %s::int[]) AS wanted(id, after)
JOIN orders_order o ON o.id = wanted.id
LEFT JOIN orders_orderevent e ON e.order_id = o.id AND e.seq > wanted.after AND e.seq <= o.seq
ORDER BY o.id, e.seq
"""  # nosec B608 - our own columns
SINCE = f"""
SELECT {EVENT}
FROM unnest(%s::uuid[], %s::int[]) AS known(id, seq)
JOIN orders_order o ON o.id = known.id AND o.seq > known.seq
JOIN orders_orderevent e ON e.order_id = o.id AND e.seq > known.seq AND e.seq <= o.seq
ORDER BY e.order_id, e.seq
"""  # nosec B608


def read(connection: Connection, wanted: Sequence[tuple[UUID, int]]) -> list[Snapshot | None]:
    """For each (order, seq) the order and its events after seq, both of one moment; None for an unknown one."""
    rows = rows_of(connection, WITH_EVENTS, oldest(wanted))
    orders = {row.id: row for row in rows}
    events = events_of(row for row in rows if row.order_id is not None)
    return [
        Snapshot(orders[order_id].account_id, order_out(orders[order_id]), later(events, order_id, seq))
        if order_id in orders
        else None
        for order_id, seq in wanted
    ]


def read_since(connection: Connection, known: Sequence[tuple[UUID, int]]) -> list[list[EventOut]]:
    """For each (order, seq) the events after seq. One statement that finds nothing when nothing is new.

    Every open socket asks this every few seconds, so it must cost next to nothing.
    """
    events = events_of(rows_of(connection, SINCE, oldest(known)))
    return [later(events, order_id, seq) for order_id, seq in known]


def oldest(wanted: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Each order once, with the least seq that was asked for."""
    found: dict[UUID, int] = {}
    for order_id, seq in wanted:
        found[order_id] = min(seq, found.get(order_id, seq))
    return found


def rows_of(connection: Connection, statement: LiteralString, after: Mapping[UUID, int]) -> list[Any]:
    """Rows with their columns as attributes: as Django models they would cost more than the statement."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement, (list(after), list(after.values())), prepare=True).fetchall()


def events_of(rows: Iterable[Any]) -> dict[UUID, list[EventOut]]:
    events: dict[UUID, list[EventOut]] = {}
    for row in rows:
        data = msgspec.json.decode(row.event_data)
        events.setdefault(row.order_id, []).append(event_out(row.event_seq, row.event_status, row.event_at, data))
    return events


def later(events: Mapping[UUID, Sequence[EventOut]], order_id: UUID, seq: int) -> list[EventOut]:
    return [event for event in events.get(order_id, ()) if event.seq > seq]


class Reads(SessionCommit[tuple[UUID, int], Found]):
    """Groups (order, seq) from an event loop into one call of `read`. Raises `psycopg.Error` while Postgres is away."""

    def __init__(
        self,
        read: Callable[[Connection, Sequence[tuple[UUID, int]]], list[Found]],
        *,
        name: str,
        window_ms: float,
        max_batch: int,
    ) -> None:
        self._session = Session(settings.DATABASE_URL, name=name, statement_timeout_ms=TIMEOUT_MS)
        super().__init__(
            partial(self._session.run, read), name=name, window_ms=window_ms, max_batch=max_batch, capacity=CAPACITY
        )


class Reader(Reads[Snapshot | None]):
    """Reads an order and its events after a seq."""

    def __init__(self) -> None:
        super().__init__(read, name="reader", window_ms=1, max_batch=200)
        self.since = Reads(read_since, name="rereader", window_ms=20, max_batch=1000)
        """(order, seq) → the events after it."""

    async def close(self) -> None:
        await super().close()
        await self.since.close()
