"""Edges of plans on the real ledger: exits made again, steps that cannot be taken, amendments, entries by their output."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from orders import commands
from orders.effects import Effects
from orders.errors import ApiError
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed
from orders.lifecycle import Event, Status
from orders.models import Order, Plan
from orders.plans import commands as plans
from orders.plans.step import step_due
from orders.plans.values import Exit, PlanStatus
from orders.recovery import dead_man
from orders.recovery.dead_man import fire_dead_men
from tests.factories import change, connect, executor, submitted
from tests.integration.test_dead_man import switch
from tests.integration.test_plan_steps import Crashing, confirm, entered, fire, leg, made, step
from tests.unit.test_plan_decide import STOP, bracket, entry, schedule, take_profit
from triggers.changes import Arm

ASKER = commands.Asker("tester")
TRAIL = Exit(leg="trail", kind="trailing", trail_bps=500, activate_at_bps=100, slippage_bps=100, max_slippage_bps=800)
NEXT_ROUND = Decimal("161.5")


def revert(database: Connection, taken: Claimed) -> None:
    """Its transaction landed with an error, and it rests again."""
    intent = submitted(database, taken)
    rests = change(
        taken, Event.REST, was=Status.SUBMITTED, seq=taken.seq + 2, data={}, resolved=(intent.signature, "reverted")
    )
    assert statements.record(database, [rests])[0]


def armed(effects: list[Effects], order: Order) -> Any:
    return next(
        each.book.rest for each in effects if isinstance(each.book, Arm) and each.book.rest.order_id == order.id
    )


def test_a_trailing_stop_that_failed_is_armed_again_at_the_high_it_had(database: Connection, account: int) -> None:
    plan = entered(database, account, TRAIL)
    first = leg(plan, "trail")
    [taken] = fire_at(database, first, high="170")
    assert statements.record(database, [change(taken, Event.FAIL)])[0]
    effects = step(database)
    again = leg(plan, "trail")
    assert (again.round, again.trail_high, again.activation_price) == (2, 170, None)
    assert again.limit_price == NEXT_ROUND
    rest = armed(effects, again)
    assert (rest.price, rest.bps, rest.activation) == (170, 500, 0)


def fire_at(database: Connection, order: Order, *, high: str) -> list[Claimed]:
    return statements.claim(database, executor(database), [order.id], {order.id: {"price": "1", "high": high}})


def test_reverts_of_orders_that_have_ended_count_as_well(database: Connection, account: int) -> None:
    plan = entered(database, account, STOP, take_profit(1, 500, 10_000))
    for slippage in (200, 400):
        [taken] = fire(database, leg(plan, "stop"))
        revert(database, taken)
        step(database)
        assert leg(plan, "stop").slippage_bps == slippage
    [taken] = fire(database, leg(plan, "stop"))
    assert statements.record(database, [change(taken, Event.FAIL)])[0]
    step(database)
    assert (leg(plan, "stop").round, leg(plan, "stop").slippage_bps) == (2, 800)
    [taken] = fire(database, leg(plan, "stop"))
    revert(database, taken)
    step(database)
    assert (leg(plan, "stop").round, leg(plan, "stop").resting) == (3, True)
    alerts = [event.data["alert"] for event in plan.events.all() if "alert" in event.data]
    assert alerts == [{"code": "EXIT_FAILED", "leg": "stop", "failure": "REVERTED"}]


@pytest.mark.parametrize("poison", ['{"kind": "basket"}', '{"kind": "bracket", "exits": []}'])
def test_a_plan_that_this_version_does_not_understand_stops_no_other(
    database: Connection, account: int, poison: str
) -> None:
    strange, plain = made(database, account, bracket()), made(database, account, bracket())
    for plan in (strange, plain):
        [taken] = fire(database, leg(plan, "entry"))
        confirm(database, taken, "2")
    database.execute("UPDATE orders_plan SET spec = %s::jsonb WHERE id = %s", (poison, strange.id))
    step(database)
    assert plain.orders.count() == 3 and strange.orders.count() == 1
    strange.refresh_from_db()
    assert strange.due_at is not None and strange.status == "active"


class Hiccup(Crashing):
    """A connection one of whose statements fails, by the database's fault."""

    def _count(self) -> None:
        self._left -= 1
        if self._left == -1:
            raise psycopg.errors.QueryCanceled


def test_a_plan_is_not_put_off_for_what_the_database_did(database: Connection, account: int) -> None:
    plan = made(database, account, bracket())
    [taken] = fire(database, leg(plan, "entry"))
    confirm(database, taken, "2")
    with pytest.raises(psycopg.errors.QueryCanceled):
        step_due(Hiccup(database, 3), lambda _: None)  # type: ignore[arg-type]
    plan.refresh_from_db()
    assert plan.holder == plan.id and plan.due_at is None
    step(database)
    assert plan.orders.count() == 3


@pytest.mark.parametrize(
    ("exits", "field"),
    [
        ({"stop": {"at_bps": 10_000}}, "exits.stop.atBps"),
        ({"stop": {"at_bps": 20_000}}, "exits.stop.atBps"),
        ({"stop": {"price": Decimal(160)}, "tp1": {"price": Decimal(155)}}, "exits"),
        ({"tp1": {"max_slippage_bps": 900}}, "exits.tp1.maxSlippageBps"),
        ({"stop": {"slippage_bps": 300, "max_slippage_bps": 200}}, "exits.stop.maxSlippageBps"),
    ],
)
@pytest.mark.parametrize("filled", [True, False])
def test_an_amendment_is_held_to_what_a_new_plan_is(
    database: Connection, account: int, exits: dict[str, Any], field: str, filled: bool
) -> None:
    plan = entered(database, account) if filled else made(database, account, bracket(take_profit(1, 500, 10_000), STOP))
    with pytest.raises(ApiError) as caught:
        plans.amend(database, plan.id, exits, {})
    assert (caught.value.code, list(caught.value.details)) == ("VALIDATION_FAILED", [field])
    plan.refresh_from_db()
    assert all("price" not in exit for exit in plan.spec["exits"])


def test_an_exit_that_has_ended_is_not_amended(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    confirm(database, taken, "157")
    step(database)
    with pytest.raises(ApiError) as caught:
        plans.amend(database, plan.id, {"tp1": {"price": Decimal(190)}}, {})
    assert caught.value.code == "ALREADY_FINAL"
    paused = made(database, account, schedule(start_at=datetime.now(UTC)))
    plans.change(database, paused.id, PlanStatus.PAUSED, plans.may_pause, {})
    with pytest.raises(ApiError) as caught:
        plans.amend(database, paused.id, {"tp1": {"price": Decimal(190)}}, {})
    assert caught.value.code == "NOT_AMENDABLE"


def test_a_bracket_whose_entry_says_what_it_buys(database: Connection, account: int) -> None:
    buys = entry(amount=None, exact_out=Decimal(2), amount_in_max=Decimal(310))
    plan = made(database, account, bracket(take_profit(1, 500, 5_000), STOP, entry=buys))
    [taken] = fire(database, leg(plan, "entry"))
    assert (taken.amount, taken.exact_out, taken.amount_in_max) == (None, 2, 310)
    intent = submitted(database, taken)
    said = {"amountIn": "301", "amountOut": "2", "executedPrice": "1", "fee": "0", "txHash": intent.signature}
    done = change(
        taken, Event.CONFIRM, was=Status.SUBMITTED, seq=taken.seq + 2, data=said, resolved=(intent.signature, "landed")
    )
    assert statements.record(database, [done])[0]
    step(database)
    plan.refresh_from_db()
    assert (plan.progress["position"], plan.progress["cost"]) == ("2", "150.5")
    assert leg(plan, "stop").amount == 2 and leg(plan, "tp1").amount == 1
    assert leg(plan, "stop").limit_price == Decimal("142.975")


def test_a_dead_mans_switch_leaves_a_bracket_whose_entry_has_just_filled(
    database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry fills after the switch has found the plan and before it has the plan's lock."""
    plan = made(database, account, bracket(take_profit(1, 500, 10_000), STOP))
    switch(database, account, ago_s=1)
    change_plan = plans.change

    def filled_meanwhile(connection: Connection, *arguments: Any, **named: Any) -> Any:
        with connect() as other:
            [taken] = fire(other, leg(plan, "entry"))
            confirm(other, taken, "2")
            step(other)
        return change_plan(connection, *arguments, **named)

    monkeypatch.setattr(plans, "change", filled_meanwhile)
    fire_dead_men(database, lambda _: None)
    assert Plan.objects.get(pk=plan.pk).status == "active" and leg(plan, "stop").resting


def test_a_dead_mans_switch_waits_for_a_leg_that_is_locked_for_a_moment(
    database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = made(database, account, bracket(entry=entry(type="limit", limit_price=1, trigger_condition="gte")))
    switch(database, account, ago_s=1)
    with connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM orders_order WHERE id = %s FOR UPDATE", (leg(plan, "entry").id,))
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("ROLLBACK"))
        fire_dead_men(database, lambda _: None)
    assert Plan.objects.get(pk=plan.pk).status == "cancelled"


def test_a_dead_mans_switch_cancels_every_plan(
    database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_man, "PLANS", dead_man.PLANS.replace("LIMIT 1000", "LIMIT 2"))
    waiting = [
        made(database, account, bracket(entry=entry(type="limit", limit_price=1, trigger_condition="gte")))
        for _ in range(5)
    ]
    switch(database, account, ago_s=1)
    fire_dead_men(database, lambda _: None)
    assert {Plan.objects.get(pk=plan.pk).status for plan in waiting} == {"cancelled"}
