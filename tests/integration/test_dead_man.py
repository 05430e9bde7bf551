"""The dead man's switch: what it cancels, what it leaves, and that an outage is not taken for silence."""

from orders.ledger.statements import Connection
from orders.models import DeadMan, Order, Plan
from orders.recovery.dead_man import fire_dead_men
from tests.factories import accepted, limit_order
from tests.integration.test_plan_steps import entered, made
from tests.unit.test_plan_decide import bracket, entry


def switch(database: Connection, account: int, *, ago_s: float, scope: str = "entries", extended: bool = False) -> None:
    database.execute(
        "INSERT INTO orders_deadman (account_id, at, seconds, scope, extended)"
        " VALUES (%s, now() - %s * interval '1 second', 30, %s, %s)",
        (account, ago_s, scope, extended),
    )


def test_it_cancels_entries_once_and_leaves_what_protects(database: Connection, account: int) -> None:
    order = accepted(database, limit_order(account))
    stop = accepted(database, limit_order(account, trigger_condition="lte"))
    position = entered(database, account)
    waiting = made(database, account, bracket(entry=entry(type="limit", limit_price=1, trigger_condition="gte")))
    switch(database, account, ago_s=1)

    assert fire_dead_men(database, lambda _: None) == 1 and fire_dead_men(database, lambda _: None) == 0
    assert Order.objects.get(pk=order.id).status == "cancelled"
    assert Order.objects.get(pk=stop.id).status == "pending"
    assert Plan.objects.get(pk=position.pk).status == "active" and Plan.objects.get(pk=waiting.pk).status == "cancelled"


def test_all_means_all(database: Connection, account: int) -> None:
    stop = accepted(database, limit_order(account, trigger_condition="lte"))
    position = entered(database, account)
    switch(database, account, ago_s=1, scope="all")
    fire_dead_men(database, lambda _: None)
    assert Order.objects.get(pk=stop.id).status == "cancelled"
    assert Plan.objects.get(pk=position.pk).status == "cancelled"


def test_after_an_outage_there_is_one_more_period(database: Connection, account: int) -> None:
    order = accepted(database, limit_order(account))
    switch(database, account, ago_s=600)
    assert fire_dead_men(database, lambda _: None) == 0
    assert Order.objects.get(pk=order.id).status == "pending" and DeadMan.objects.get().extended
    database.execute("UPDATE orders_deadman SET at = now() - interval '600 seconds'")
    assert fire_dead_men(database, lambda _: None) == 1
    assert Order.objects.get(pk=order.id).status == "cancelled"
