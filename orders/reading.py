"""Reading orders for sockets: those that ask at the same moment share two queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import close_old_connections
from django.db.models import Q

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


def read(wanted: Sequence[tuple[UUID, int]]) -> list[Snapshot | None]:
    """For each (order, seq) the order and its events after seq, both of one moment; None for an unknown one."""
    close_old_connections()
    try:
        orders = Order.objects.in_bulk([order_id for order_id, _ in wanted])
        after = {order_id: min(seq for i, seq in wanted if i == order_id) for order_id in orders}
        query = Q()
        for order_id, seq in after.items():
            query |= Q(order_id=order_id, seq__gt=seq, seq__lte=orders[order_id].seq)
        events: dict[UUID, list[OrderEvent]] = {order_id: [] for order_id in orders}
        for event in OrderEvent.objects.filter(query).order_by("order_id", "seq") if orders else ():
            events[event.order_id].append(event)
    finally:
        close_old_connections()
    return [
        Snapshot(
            orders[order_id].account_id,
            order_out(orders[order_id]),
            [event_out(event) for event in events[order_id] if event.seq > seq],
        )
        if order_id in orders
        else None
        for order_id, seq in wanted
    ]


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
