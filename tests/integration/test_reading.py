"""What sockets read again: the events they have not seen, and nothing when there is none."""

from uuid import uuid4

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import Order, OrderEvent
from orders.representation import event_out, order_out
from orders.streams.snapshots import read, read_since
from tests.factories import accepted, change, claimed, new_order


def test_each_socket_gets_what_it_has_not_seen(database: Connection, account: int) -> None:
    order = claimed(database, accepted(database, new_order(account)))
    data = {"venue": "RAYDIUM", "price": "150.10", "attempt": 1}
    statements.record(database, [change(order, Event.BUILD, data=data)])
    untouched = accepted(database, new_order(account)).id
    events = OrderEvent.objects.filter(order_id=order.id).order_by("seq")
    stored = [event_out(*event) for event in events.values_list("seq", "status", "at", "data")]

    asked = [(order.id, 3), (order.id, 1), (untouched, 1), (uuid4(), 0), (order.id, 0)]
    assert read_since(database, asked) == [[], stored[1:], [], [], stored]
    both = read(database, [(order.id, 1), (order.id, 0)])
    assert [snapshot.events for snapshot in both if snapshot] == [stored[1:], stored]
    [up_to_date, unknown] = read(database, [(order.id, 3), (uuid4(), 0)])
    assert up_to_date is not None and up_to_date.events == [] and unknown is None
    assert up_to_date.order == order_out(Order.objects.get(pk=order.id))
