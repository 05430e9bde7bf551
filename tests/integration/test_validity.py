"""A transaction's validity is the chain's own value: stored as it is, by new workers and beside old ones."""

from datetime import UTC, datetime

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event, Status
from routing.values import Validity
from tests.factories import accepted, change, claimed, executor, new_order, submitted, swap

HEIGHT = Validity(303_771_233)


def taken_over(database: Connection, order: statements.NewOrder) -> statements.Claimed:
    database.execute("UPDATE orders_order SET executor = NULL, run_at = now() WHERE id = %s", (order.id,))
    [taken] = statements.claim(database, executor(database), [order.id], {})
    return taken


def test_a_block_height_comes_back_as_it_was(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    taken = claimed(database, order)
    intent = submitted(database, taken, swap(taken.id, validity=HEIGHT))
    assert taken_over(database, order).swap == intent


def test_a_row_of_an_old_writer_is_valid_until_its_time(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    taken = claimed(database, order)
    until = datetime(2026, 11, 26, 12, 0, 0, 123_456, tzinfo=UTC)
    changes = [
        change(taken, Event.BUILD, data={"attempt": 1, "venue": "RAYDIUM"}),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=taken.seq + 1, intent=swap(taken.id, valid_until=until)),
    ]
    assert all(statements.record(database, changes))
    database.execute("UPDATE orders_transaction SET validity = NULL WHERE order_id = %s", (order.id,))
    found = taken_over(database, order).swap
    assert found is not None
    assert (found.valid_until, found.validity) == (until, Validity(round(until.timestamp() * 1_000_000)))


def test_what_an_old_worker_reads_is_there(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    intent = submitted(database, claimed(database, order))
    row = database.execute("SELECT valid_until FROM orders_transaction WHERE order_id = %s", (order.id,)).fetchone()
    assert row == (intent.valid_until,)
