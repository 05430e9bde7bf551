"""Reading orders for sockets: those that ask at the same moment share two queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import close_old_connections, connection

from orders.models import Order, OrderEvent
from orders.representation import event_out, order_out
from runtime.groupcommit import GroupCommit

NEWEST = 200
"""How many of an account's orders its feed looks at for what it has missed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    account_id: int
    order: dict[str, Any]
    events: list[dict[str, Any]]


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


def read(wanted: Sequence[tuple[UUID, int]]) -> list[Snapshot | None]:
    """For each (order, seq) the order and its events after seq, both of one moment; None for an unknown one."""
    close_old_connections()
    try:
        orders = Order.objects.in_bulk([order_id for order_id, _ in wanted])
        after = {order_id: seq for order_id, seq in oldest(wanted).items() if order_id in orders}
        last = [orders[order_id].seq for order_id in after]
        events = events_of(BETWEEN, list(after), list(after.values()), last)
    finally:
        close_old_connections()
    return [
        Snapshot(orders[order_id].account_id, order_out(orders[order_id]), later(events, order_id, seq))
        if order_id in orders
        else None
        for order_id, seq in wanted
    ]


def read_since(known: Sequence[tuple[UUID, int]]) -> list[list[dict[str, Any]]]:
    """For each (order, seq) the events after seq. One statement that finds nothing when nothing is new.

    Every open socket asks this every few seconds, so it must cost next to nothing.
    """
    after = oldest(known)
    close_old_connections()
    try:
        events = events_of(SINCE, list(after), list(after.values()))
    finally:
        close_old_connections()
    return [later(events, order_id, seq) for order_id, seq in known]


def oldest(wanted: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Each order once, with the least seq that was asked for."""
    found: dict[UUID, int] = {}
    for order_id, seq in wanted:
        found[order_id] = min(seq, found.get(order_id, seq))
    return found


def events_of(statement: str, *columns: Sequence[Any]) -> dict[UUID, list[dict[str, Any]]]:
    events: dict[UUID, list[dict[str, Any]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, columns)  # type: ignore[arg-type]
        for order_id, seq, status, at, data in cursor.fetchall():
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


class Reader(GroupCommit[tuple[UUID, int], Snapshot | None]):
    """Reads (order, after seq) from an event loop. Raises `django.db.OperationalError` while Postgres is away."""

    def __init__(self) -> None:
        super().__init__(read, name="reader", window_ms=1, most=200, capacity=50_000)
        self.since: GroupCommit[tuple[UUID, int], list[dict[str, Any]]] = GroupCommit(
            read_since, name="rereader", window_ms=20, most=1000, capacity=50_000
        )
        """(order, seq) → the events after it."""
