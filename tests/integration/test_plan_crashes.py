"""Random lives of brackets on the real ledger: steps crash between any two statements, and come again, late or twice."""

import contextlib
import random
from decimal import Decimal

import pytest

from orders.errors import ApiError
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed
from orders.lifecycle import FINAL, Event
from orders.models import Order, Plan
from orders.plans import commands as plans
from orders.plans.step import step_due
from orders.plans.values import Exit, PlanStatus
from tests.factories import change, executor
from tests.integration.test_plan_edges import revert
from tests.integration.test_plan_steps import Crash, Crashing, confirm, made, step
from tests.unit.test_plan_decide import STOP, bracket, entry, oco, take_profit

TRAIL = Exit(leg="trail", kind="trailing", trail_bps=500, slippage_bps=100, max_slippage_bps=800)
PARTS = (take_profit(1, 300, 3_333), take_profit(2, 600, 3_333), STOP, TRAIL)
SPECS = (
    bracket(*PARTS),
    bracket(*PARTS, entry=entry(type="limit", limit_price=Decimal(1), trigger_condition="gte")),
    oco(*PARTS, amount=Decimal("0.000000007")),
    oco(*PARTS, amount=Decimal(5), decimals=0),
)
ENDS = (Event.REST, Event.FAIL, Event.CONFIRM, None)
"""None: its transaction reverts."""
MOVES = 40


def check(plan: Plan) -> None:
    orders = list(Order.objects.filter(plan=plan))
    exits = [order for order in orders if order.leg != "entry"]
    bought = Decimal(plan.spec["amount"]) if plan.spec.get("entry") is None else Decimal(0)
    bought += sum(order.amount_out or 0 for order in orders if order.leg == "entry")
    sold = sum((order.amount or Decimal(0) for order in exits if order.status == "confirmed"), Decimal(0))
    working = [order for order in orders if order.status not in (*FINAL, "pending")]
    assert sold + sum(order.amount or 0 for order in working if order.leg != "entry") <= bought
    assert len(working) <= 1
    assert sum(order.status == "confirmed" and order.leg[:2] != "tp" for order in exits if order.leg) <= 1


def ended(database: Connection, taken: Claimed, how: Event | None) -> None:
    if how is Event.CONFIRM:
        confirm(database, taken, "2")
    elif how is None and taken.type == "limit":
        revert(database, taken)
    else:
        how = Event.FAIL if how is None or taken.type != "limit" else how
        assert statements.record(database, [change(taken, how)])[0]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_crashes_no_more_is_sold_than_was_bought(database: Connection, account: int, seed: int) -> None:
    chance = random.Random(seed)
    plan = made(database, account, SPECS[seed % len(SPECS)])
    owner, working, crashes = executor(database), list[Claimed](), 0
    for _ in range(MOVES):
        match chance.choice(["fire", "fire", "end", "end", "step", "crash", "crash", "amend"]):
            case "fire":
                waits = list(Order.objects.filter(plan=plan, status="pending"))
                chosen = chance.sample(waits, min(len(waits), 2))
                high = {"price": "1", "high": str(chance.randint(100, 200))}
                fired = {order.id: high for order in chosen if order.resting}
                working += statements.claim(database, owner, [order.id for order in chosen], fired)
            case "end" if working:
                ended(database, working.pop(), chance.choices(ENDS, (3, 2, 2, 2))[0])
            case "step":
                step(database)
            case "crash":
                try:
                    step_due(Crashing(database, chance.randrange(7)), lambda _: None)  # type: ignore[arg-type]
                except Crash:
                    crashes += 1
            case "amend":
                leg, fields = chance.choice(
                    [
                        ("tp1", {"portion_bps": 5_000}),
                        ("stop", {"slippage_bps": 300}),
                        ("tp1", {"portion_bps": 1}),
                        ("tp2", {"portion_bps": 9_000}),
                    ]
                )
                with contextlib.suppress(ApiError, plans.Busy):
                    plans.amend(database, plan.id, {leg: fields}, {})
        check(plan)
    for taken in working:
        ended(database, taken, Event.CONFIRM)
    step(database)
    check(plan)
    plan.refresh_from_db()
    assert plan.holder is None and (crashes or plan.finished_at)
    assert list(plan.events.order_by("seq").values_list("seq", flat=True)) == list(range(1, plan.seq + 1))
    if plan.status != PlanStatus.ACTIVE:
        assert not Order.objects.filter(plan=plan, finished_at=None).exists()
