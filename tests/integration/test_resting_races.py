"""Trigger, cancel, amendment and expiry reach for the same resting order at once: the ledger lets one of them have it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import NewOrder
from orders.lifecycle import Event, Status
from orders.models import Order, OrderEvent
from tests.factories import accepted, change, connect, executor, limit_order

ROUNDS = 32
RIVALS: tuple[Event | None, ...] = (None, Event.CANCEL, Event.AMEND, Event.EXPIRE)
"""None is the trigger."""
ENDS = {Event.CANCEL: Status.CANCELLED, Event.EXPIRE: Status.EXPIRED}


def all_at_once(order: NewOrder, owner: UUID, first: int) -> tuple[bool, list[Event]]:
    """Whether the trigger's claim had it, and which of the changes were written."""
    rivals = (*RIVALS[first:], *RIVALS[:first])
    together = threading.Barrier(len(rivals))

    def reach(event: Event | None) -> Any:
        with connect() as connection:
            together.wait(60)
            if event is None:
                return statements.claim(connection, owner, [order.id], {order.id: {"price": "200"}})
            return statements.record(connection, [change(order, event)])[0]

    with ThreadPoolExecutor(len(rivals)) as threads:
        had = dict(zip(rivals, threads.map(reach, rivals), strict=True))
    return bool(had[None]), [event for event in RIVALS if event and had[event]]


def test_one_of_them_has_it(database: Connection, account: int) -> None:
    owner = executor(database)
    outcomes = set()
    for n in range(ROUNDS):
        order = accepted(database, limit_order(account))

        # Whoever starts last may well be first at the row: each has its turn, or one could win every time.
        claimed, written = all_at_once(order, owner, n % len(RIVALS))

        row = Order.objects.get(pk=order.id)
        events = list(OrderEvent.objects.filter(order_id=order.id).order_by("seq").values_list("seq", "status"))
        assert len(written) <= 1 and (claimed or written)
        assert [seq for seq, _ in events] == list(range(1, row.seq + 1))
        if written and written[0] in ENDS:
            assert not claimed and row.status == ENDS[written[0]]
        elif claimed:
            # An amended order still rests, so its trigger may have it next; an order that fires is not amended any more.
            assert row.status == Status.ROUTING and row.seq == 2 + len(written)
        else:
            assert written == [Event.AMEND] and row.status == Status.PENDING and row.resting
        outcomes.add((claimed, *written))
    assert len(outcomes) > 1, "nobody raced"
