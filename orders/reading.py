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
from django.db import close_old_connections

from orders.commit import Session, SessionCommit
from orders.ledger import Connection
from orders.models import Order, OrderEvent
from orders.representation import event_out, order_out

Found = TypeVar("Found")

TIMEOUT_MS = 5_000
CAPACITY = 50_000
NEWEST = 200
"""How many of an account's orders its feed looks at for what it has missed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    account_id: int
    order: dict[str, Any]
    events: list[dict[str, Any]]


FIELDS = [field.attname for field in Order._meta.concrete_fields]
ORDERS = f"SELECT {', '.join(FIELDS)} FROM orders_order WHERE id = ANY(%s::uuid[])"  # nosec B608 - our own columns
BETWEEN = """
SELECT e.order_id, e.seq, e.status, e.at, e.data::text
FROM unnest(%s::uuid[], %s::int[], %s::int[]) AS wanted(id, after, last)
JOIN orders_orderevent e ON e.order_id = wanted.id AND e.seq > wanted.after AND e.seq <= wanted.last
ORDER BY e.order_id, e.seq
"""
SINCE = """
SELECT e.order_id, e.seq, e.status, e.at, e.data::text
FROM unnest(%s::uuid[], %s::int[]) AS known(id, seq)
JOIN orders_order o ON o.id = known.id AND o.seq > known.seq
JOIN orders_orderevent e ON e.order_id = o.id AND e.seq > known.seq AND e.seq <= o.seq
ORDER BY e.order_id, e.seq
"""


def read(connection: Connection, wanted: Sequence[tuple[UUID, int]]) -> list[Snapshot | None]:
    """For each (order, seq) the order and its events after seq, both of one moment; None for an unknown one."""
    after = oldest(wanted)
    rows = connection.execute(ORDERS, [list(after)], prepare=True).fetchall()
    orders = {order.id: order for order in (Order.from_db(None, FIELDS, row) for row in rows)}
    last = [orders[order_id].seq if order_id in orders else 0 for order_id in after]
    events = events_of(connection, BETWEEN, list(after), list(after.values()), last)
    return [
        Snapshot(orders[order_id].account_id, order_out(orders[order_id]), later(events, order_id, seq))
        if order_id in orders
        else None
        for order_id, seq in wanted
    ]


def read_since(connection: Connection, known: Sequence[tuple[UUID, int]]) -> list[list[dict[str, Any]]]:
    """For each (order, seq) the events after seq. One statement that finds nothing when nothing is new.

    Every open socket asks this every few seconds, so it must cost next to nothing.
    """
    after = oldest(known)
    events = events_of(connection, SINCE, list(after), list(after.values()))
    return [later(events, order_id, seq) for order_id, seq in known]


def oldest(wanted: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Each order once, with the least seq that was asked for."""
    found: dict[UUID, int] = {}
    for order_id, seq in wanted:
        found[order_id] = min(seq, found.get(order_id, seq))
    return found


def events_of(
    connection: Connection, statement: LiteralString, *columns: Sequence[Any]
) -> dict[UUID, list[dict[str, Any]]]:
    events: dict[UUID, list[dict[str, Any]]] = {}
    for order_id, seq, status, at, data in connection.execute(statement, columns, prepare=True):
        event = OrderEvent(order_id=order_id, seq=seq, status=status, at=at, data=msgspec.json.decode(data))
        events.setdefault(order_id, []).append(event_out(event))
    return events


def later(events: Mapping[UUID, Sequence[dict[str, Any]]], order_id: UUID, seq: int) -> list[dict[str, Any]]:
    return [event for event in events.get(order_id, ()) if event["seq"] > seq]


def newest_seqs(account_id: int, known: Sequence[UUID]) -> dict[UUID, int]:
    """The last seq of an account's newest orders and of those among `known`."""
    close_old_connections()
    try:
        mine = Order.objects.filter(account_id=account_id)
        seqs = dict(mine.filter(id__in=known).values_list("id", "seq"))
        seqs.update(mine.order_by("-id").values_list("id", "seq")[:NEWEST])
        return seqs
    finally:
        close_old_connections()


class Reads(SessionCommit[tuple[UUID, int], Found]):
    """Groups (order, seq) from an event loop into one call of `read`. Raises `psycopg.Error` while Postgres is away."""

    def __init__(
        self,
        read: Callable[[Connection, Sequence[tuple[UUID, int]]], list[Found]],
        *,
        name: str,
        window_ms: float,
        most: int,
    ) -> None:
        self._session = Session(settings.DATABASE_URL, name=name, statement_timeout_ms=TIMEOUT_MS)
        super().__init__(partial(self._session.run, read), name=name, window_ms=window_ms, most=most, capacity=CAPACITY)


class Reader(Reads[Snapshot | None]):
    """Reads an order and its events after a seq."""

    def __init__(self) -> None:
        super().__init__(read, name="reader", window_ms=1, most=200)
        self.since = Reads(read_since, name="rereader", window_ms=20, most=1000)
        """(order, seq) → the events after it."""

    async def close(self) -> None:
        await super().close()
        await self.since.close()
