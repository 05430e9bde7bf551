"""Orders of real chains: an executor leaves those of another mode alone; what they cost is in their rows."""

from uuid import UUID

import pytest

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event, Status
from orders.models import Resolution
from tests.factories import ERROR, accepted, change, claimed, executor, new_order, reconciler, submitted, swap

FEES = [{"kind": "network", "token": "So11111111111111111111111111111111111111112", "amount": "0.000005"}]


@pytest.mark.parametrize(("mode", "others"), [("localnet", "mock"), ("mock", "localnet"), (None, "mainnet")])
def test_an_executor_of_another_mode_never_has_the_order(
    database: Connection, account: int, mode: str | None, others: str
) -> None:
    order = accepted(database, new_order(account, mode=mode))
    by = executor(database)
    assert statements.claim(database, by, [order.id], {}, others) == []
    [taken] = statements.claim(database, by, [order.id], {}, mode or "mock")
    assert taken.id == order.id


def test_nor_one_whose_transaction_is_under_way(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account, mode="localnet"))
    by = executor(database)
    [taken] = statements.claim(database, by, [order.id], {}, "localnet")
    submitted(database, taken)
    statements.disown(database, executor=by, order_ids=[order.id])
    assert statements.claim(database, by, [order.id], {}, "devnet") == []
    [again] = statements.claim(database, by, [order.id], {}, "localnet")
    assert again.swap is not None


def test_what_it_may_cost_reaches_the_executor(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account, max_fee_lamports=2**40))
    assert claimed(database, order).max_fee_lamports == 2**40


def test_slot_and_fees_of_a_fill_are_in_the_row(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    taken = claimed(database, order)
    submitted(database, taken)
    said = {"slot": 300_000_123, "fees": FEES, "units": 31_000}
    confirm = change(taken, Event.CONFIRM, was=Status.SUBMITTED, seq=taken.seq + 2, data=said)
    assert all(statements.record(database, [confirm]))
    row = database.execute("SELECT slot, fees, mode FROM orders_order WHERE id = %s", (order.id,)).fetchone()
    assert row == (300_000_123, FEES, None)


@pytest.mark.parametrize(("mode", "found"), [("localnet", True), ("mock", False)])
def test_the_reconciler_dispatches_orders_of_its_mode(
    database: Connection, account: int, mode: str, found: bool
) -> None:
    order = accepted(database, new_order(account, mode="localnet"))
    dispatched: list[UUID] = []
    reconciler(dispatch=dispatched.extend, mode=mode).run(database)
    assert (order.id in dispatched) is found


def test_what_expired_is_counted_for_the_next_bid(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    for expired in range(2):
        taken = claimed(database, order)
        assert taken.expired == expired
        intent = submitted(database, taken, swap(taken.id, attempt=expired + 1, signature=f"signature-{expired}"))
        said = {"attempt": expired + 1, "error": ERROR, "retryInMs": 0}
        resolved = (intent.signature, Resolution.EXPIRED)
        retry = change(
            taken, Event.RETRY, was=Status.SUBMITTED, seq=taken.seq + 2, data=said, resolved=resolved, delay_ms=0
        )
        assert all(statements.record(database, [retry]))
    assert claimed(database, order).expired == 2
