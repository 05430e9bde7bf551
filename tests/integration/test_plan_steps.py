"""Plans on the real ledger: one step, whatever crashes, repeats or races."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from orders import commands
from orders.effects import Effects
from orders.errors import ApiError
from orders.events import ExpireData, Requeued, RequeueData
from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed, Position
from orders.lifecycle import Event, Status
from orders.models import Order, Plan, PlanEvent
from orders.plans import commands as plans
from orders.plans.step import Stepped, step_due
from orders.plans.values import Exit, PlanStatus, Spec
from orders.transitions import transition
from risk.changes import By, set_state
from risk.values import TradingState
from tests.factories import change, connect, executor, submitted
from tests.unit.test_plan_decide import STOP, bracket, oco, schedule, take_profit
from triggers.changes import Arm

EXITS = (take_profit(1, 500, 5_000), take_profit(2, 900, 5_000), STOP)


def new_plan(account: int, spec: Spec, **fields: Any) -> plans.NewPlan:
    values: dict[str, Any] = {
        "id": uuid7(),
        "account_id": account,
        "client_plan_id": None,
        "idempotency_key": None,
        "request_hash": sha256(b"a").digest(),
        "kind": "bracket" if "exits" in spec.__struct_fields__ else "schedule",
        "spec": spec,
    }
    return plans.NewPlan(**(values | fields))


def made(database: Connection, account: int, spec: Spec) -> Plan:
    plan_id, _, _ = plans.create(database, new_plan(account, spec))
    return Plan.objects.get(pk=plan_id)


def step(database: Connection) -> list[Effects]:
    followed: list[Effects] = []
    while step_due(database, followed.extend).plans:
        pass
    return followed


def leg(plan: Plan, name: str, round: int | None = None) -> Order:
    orders = Order.objects.filter(plan=plan, leg=name).order_by("-round")
    return orders.filter(round=round).get() if round else orders[0]


def fire(database: Connection, *orders: Order, by: UUID | None = None) -> list[Claimed]:
    triggers = {order.id: {"price": "1"} for order in orders if order.resting}
    return statements.claim(database, by or executor(database), [order.id for order in orders], triggers)


def confirm(database: Connection, taken: Claimed, amount_out: str = "149") -> None:
    intent = submitted(database, taken)
    said = {"amountOut": amount_out, "executedPrice": "1", "fee": "0", "txHash": intent.signature}
    done = change(
        taken, Event.CONFIRM, was=Status.SUBMITTED, seq=taken.seq + 2, data=said, resolved=(intent.signature, "landed")
    )
    assert statements.record(database, [done])[0]


def entered(database: Connection, account: int, *exits: Exit) -> Plan:
    """A bracket whose entry brought 2 SOL for 300 USDC."""
    plan = made(database, account, bracket(*(exits or EXITS)))
    [taken] = fire(database, leg(plan, "entry"))
    confirm(database, taken, "2")
    step(database)
    plan.refresh_from_db()
    return plan


def test_a_bracket_from_its_entry_to_its_end(database: Connection, account: int) -> None:
    plan = entered(database, account)
    assert plan.holder is None and plan.status == "active"
    assert {order.leg: order.amount for order in plan.orders.all()} == {"entry": 300, "tp1": 1, "tp2": 1, "stop": 2}
    assert leg(plan, "tp1").limit_price == Decimal("157.5") and leg(plan, "stop").limit_price == Decimal("142.5")
    assert (leg(plan, "stop").token_in, leg(plan, "stop").token_out) == ("SOL", "USDC")

    [first] = fire(database, leg(plan, "tp1"))
    confirm(database, first, "157")
    assert not fire(database, leg(plan, "stop")), "the stop had its turn before the plan's step"
    step(database)
    assert leg(plan, "stop").amount == 1 and leg(plan, "tp2").resting

    [stop] = fire(database, leg(plan, "stop"))
    confirm(database, stop, "142")
    step(database)
    plan.refresh_from_db()
    assert plan.status == "completed" and leg(plan, "tp2").status == "cancelled"
    assert plan.progress["sold"] == "2" and plan.progress["proceeds"] == "299"
    seqs = list(PlanEvent.objects.filter(plan=plan).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, plan.seq + 1))
    assert not step(database)


def test_of_two_legs_in_one_batch_the_stop_wins(database: Connection, account: int) -> None:
    plan = entered(database, account)
    taken = fire(database, leg(plan, "tp1"), leg(plan, "tp2"), leg(plan, "stop"))
    assert [order.id for order in taken] == [leg(plan, "stop").id]
    plan.refresh_from_db()
    assert plan.holder == taken[0].id


def test_legs_that_fire_at_once_from_two_executors_close_once(database: Connection, account: int) -> None:
    for _ in range(12):
        plan = entered(database, account)
        orders = [leg(plan, "tp1"), leg(plan, "tp2"), leg(plan, "stop")]
        owner = executor(database)
        together = threading.Barrier(len(orders))

        def reach(order: Order, owner: UUID = owner, together: threading.Barrier = together) -> Sequence[Claimed]:
            with connect() as connection:
                together.wait(60)
                return fire(connection, order, by=owner)

        with ThreadPoolExecutor(3) as threads:
            taken = [claimed for found in threads.map(reach, orders) for claimed in found]
        assert len(taken) == 1
        plan.refresh_from_db()
        assert plan.holder == taken[0].id


def test_plans_and_orders_are_locked_in_one_order(database: Connection, account: int) -> None:
    """Claims of one leg of each plan and records of the others, crosswise: nobody waits for somebody who waits for him."""
    made_plans = [entered(database, account) for _ in range(6)]
    owner = executor(database)

    def work(n: int) -> None:
        with connect() as connection:
            for _ in range(15):
                order = made_plans if n % 2 else made_plans[::-1]
                legs = [leg(plan, ("tp1", "tp2", "stop")[n % 3]) for plan in order]
                taken = fire(connection, *legs, by=owner)
                rests = [change(each, Event.REST) for each in taken]
                assert all(statements.record(connection, rests)) or not rests
                step_due(connection, lambda _: None)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    step(database)
    assert not Plan.objects.exclude(holder=None).exists() and not Order.objects.filter(status="routing").exists()


class Crash(Exception):
    pass


class Crashing:
    """A connection that dies at its nth statement."""

    def __init__(self, connection: Connection, at: int) -> None:
        self._connection, self._left = connection, at

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Crash

    def execute(self, *arguments: Any, **named: Any) -> Any:
        self._count()
        return self._connection.execute(*arguments, **named)

    def cursor(self, **named: Any) -> Any:
        self._count()
        return self._connection.cursor(**named)

    def transaction(self) -> Any:
        return self._connection.transaction()


@pytest.mark.parametrize("at", range(7))
def test_a_step_that_crashes_at_any_statement_is_taken_once(database: Connection, account: int, at: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    confirm(database, taken, "157")
    before = list(Order.objects.filter(plan=plan).order_by("id").values())

    crashed = False
    try:
        step_due(Crashing(database, at), lambda _: None)  # type: ignore[arg-type]
    except Crash:
        crashed = True
        plan.refresh_from_db()
        assert plan.holder == plan.id and list(Order.objects.filter(plan=plan).order_by("id").values()) == before
    assert crashed == (at < 5)
    step(database)
    assert leg(plan, "stop").amount == 1 and plan.orders.count() == 4
    assert plan.events.count() == 4


def test_steps_at_the_same_moment_make_each_order_once(database: Connection, account: int) -> None:
    for _ in range(8):
        plan = made(database, account, bracket(*EXITS))
        [taken] = fire(database, leg(plan, "entry"))
        confirm(database, taken, "2")
        together = threading.Barrier(4)

        def take(_: int, together: threading.Barrier = together) -> Stepped:
            with connect() as connection:
                together.wait(60)
                return step_due(connection, lambda _: None)

        with ThreadPoolExecutor(4) as threads:
            assert sum(stepped.plans for stepped in threads.map(take, range(4))) == 1
        assert plan.orders.count() == 4


def test_a_step_waits_for_no_leg_that_somebody_has_locked(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    confirm(database, taken, "157")
    with connect() as other, other.transaction():
        other.execute("SELECT 1 FROM orders_order WHERE id = %s FOR UPDATE", (leg(plan, "stop").id,))
        stepped = step_due(database, lambda _: None)
        assert (stepped.plans, stepped.busy) == (1, 1)
        plan.refresh_from_db()
        assert plan.holder == plan.id, "a leg may go on with its old amount"
    step(database)
    assert leg(plan, "stop").amount == 1


def test_a_leg_that_was_skipped_is_armed_again_by_the_step(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    assert not fire(database, leg(plan, "stop"))
    assert statements.record(database, [change(taken, Event.REST)])[0]
    armed = {each.book.rest.order_id for each in step(database) if isinstance(each.book, Arm) and each.book.force}
    assert leg(plan, "stop").id in armed
    assert fire(database, leg(plan, "stop"))


def test_a_requeued_leg_waits_for_the_step_that_gives_it_its_size(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [stop] = fire(database, leg(plan, "stop"))
    assert statements.record(database, [change(stop, Event.FAIL)])[0]
    step(database)
    [taken] = fire(database, leg(plan, "tp1"))
    confirm(database, taken, "157")
    step(database)
    old = leg(plan, "stop", 1)
    at = Position(old.id, old.account_id, old.epoch, old.seq, old.status)
    again = transition(at, Event.REQUEUE, requeue_data())
    assert statements.record(database, [again])[0]
    assert not fire(database, Order.objects.get(pk=old.id)), "the old stop may sell more than is left"
    step(database)
    assert leg(plan, "stop", 1).status == "cancelled"
    assert leg(plan, "stop", 2).resting and leg(plan, "stop", 2).amount == 1


def requeue_data() -> Any:
    return RequeueData(requeued=Requeued(by="test"), resting=True)


def test_a_leg_that_is_sent_round_after_its_plans_end_never_trades(database: Connection, account: int) -> None:
    plan = entered(database, account, STOP, take_profit(1, 500, 10_000))
    [failed] = fire(database, leg(plan, "tp1"))
    assert statements.record(database, [change(failed, Event.FAIL)])[0]
    step(database)
    [stop] = fire(database, leg(plan, "stop"))
    confirm(database, stop, "290")
    step(database)
    plan.refresh_from_db()
    assert plan.status == "completed"
    order = leg(plan, "tp1")
    with pytest.raises(ApiError, match="plan has ended"):
        commands.requeue(order, commands.Asker("tester"))
    # Decided before the plan ended, written after it.
    again = transition(Position(order.id, account, order.epoch, order.seq, order.status), Event.REQUEUE, requeue_data())
    assert statements.record(database, [again])[0]
    assert not fire(database, leg(plan, "tp1"))
    step(database)
    assert leg(plan, "tp1").status == "cancelled"


def test_cancelling_a_plan(database: Connection, account: int) -> None:
    plan = entered(database, account)
    plans.change(database, plan.id, PlanStatus.CLOSING, plans.may_cancel, {})
    plan.refresh_from_db()
    assert plan.status == "cancelled" and plan.orders.filter(status="cancelled").count() == 3
    assert plans.change(database, plan.id, PlanStatus.CLOSING, plans.may_cancel, {}) == []


def test_a_plan_is_not_cancelled_while_its_entry_is_at_work(database: Connection, account: int) -> None:
    plan = made(database, account, bracket(*EXITS))
    [taken] = fire(database, leg(plan, "entry"))
    with pytest.raises(ApiError, match="exits stay"):
        plans.change(database, plan.id, PlanStatus.CLOSING, plans.may_cancel, {})
    confirm(database, taken, "2")
    step(database)
    assert plan.orders.filter(resting=True).count() == 3


def test_a_plan_that_is_cancelled_while_an_exit_is_at_work_ends_with_it(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    plans.change(database, plan.id, PlanStatus.CLOSING, plans.may_cancel, {})
    plan.refresh_from_db()
    assert plan.status == "closing" and leg(plan, "stop").status == "cancelled"
    statements.record(database, [change(taken, Event.REST)])
    assert not fire(database, leg(plan, "tp1"))
    step(database)
    plan.refresh_from_db()
    assert plan.status == "cancelled" and leg(plan, "tp1").status == "cancelled"


def test_portions_are_amended_and_never_come_to_more_than_is_left(database: Connection, account: int) -> None:
    plan = entered(database, account)
    with pytest.raises(ApiError, match="more than the whole"):
        plans.amend(database, plan.id, {"tp1": {"portion_bps": 5_001}}, {})
    with pytest.raises(ApiError, match="sells what is left"):
        plans.amend(database, plan.id, {"stop": {"portion_bps": 5_000}}, {})
    plans.amend(database, plan.id, {"tp1": {"portion_bps": 2_500}, "tp2": {"portion_bps": 7_500}}, {})
    assert [leg(plan, name).amount for name in ("tp1", "tp2", "stop")] == [Decimal("0.5"), Decimal("1.5"), 2]

    [taken] = fire(database, leg(plan, "tp2"))
    confirm(database, taken, "236")
    step(database)
    plans.amend(database, plan.id, {"tp2": {"portion_bps": 1}, "tp1": {"portion_bps": 9_999}}, {})
    assert [leg(plan, name).amount for name in ("tp1", "stop")] == [Decimal("0.5"), Decimal("0.5")], "what is left"


def test_a_repeated_request_gives_the_plan_that_it_made(database: Connection, account: int) -> None:
    first = new_plan(account, oco(), client_plan_id="mine", idempotency_key="k")
    made_id, replayed, _ = plans.create(database, first)
    again = new_plan(account, oco(), client_plan_id="mine", idempotency_key="k")
    assert plans.create(database, again)[:2] == (made_id, True) and not replayed
    other = new_plan(account, oco(), client_plan_id="mine", request_hash=sha256(b"b").digest())
    with pytest.raises(ApiError, match="says something else"):
        plans.create(database, other)
    assert Order.objects.filter(account_id=account).count() == 2


def test_the_legs_of_a_plan_are_not_changed_apart_from_it(database: Connection, account: int) -> None:
    plan = entered(database, account)
    with pytest.raises(ApiError, match="belongs to the plan"):
        commands.cancel(leg(plan, "stop"), commands.Asker("tester"))
    assert leg(plan, "stop").resting


def test_a_paused_schedule_makes_no_slice(database: Connection, account: int) -> None:
    plan = made(database, account, schedule(start_at=datetime.now(UTC), every_s=3600.0))
    assert plan.orders.count() == 1
    plans.change(database, plan.id, PlanStatus.PAUSED, plans.may_pause, {})
    plan.refresh_from_db()
    assert plan.status == "paused" and leg(plan, "slice").status == "cancelled" and plan.due_at is None
    plans.change(database, plan.id, PlanStatus.ACTIVE, plans.may_resume, {})
    plan.refresh_from_db()
    assert plan.status == "active" and plan.due_at is not None


def test_a_bracket_is_not_paused(database: Connection, account: int) -> None:
    plan = entered(database, account)
    with pytest.raises(ApiError, match="cancelled, not paused"):
        plans.change(database, plan.id, PlanStatus.PAUSED, plans.may_pause, {})


def test_a_stop_behind_a_take_profit_that_is_sent_waits_for_the_chains_word(database: Connection, account: int) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    intent = submitted(database, taken)
    assert not fire(database, leg(plan, "stop")) and not step(database)

    # Its executor is gone: whoever takes it over has the turn still, and asks the chain.
    database.execute("UPDATE orders_order SET executor = NULL WHERE id = %s", (taken.id,))
    [again] = fire(database, leg(plan, "stop"), leg(plan, "tp1"))
    assert again.id == taken.id and again.status is Status.SUBMITTED
    landed = change(
        again,
        Event.CONFIRM,
        was=Status.SUBMITTED,
        seq=again.seq,
        data={"amountOut": "157", "executedPrice": "157", "fee": "0", "txHash": intent.signature},
        resolved=(intent.signature, "landed"),
    )
    assert statements.record(database, [landed])[0]
    step(database)
    assert leg(plan, "stop").amount == 1 and fire(database, leg(plan, "stop"))


@pytest.mark.parametrize("end", [Event.REST, Event.RETRY, Event.FAIL])
def test_a_turn_that_is_given_back_is_the_next_legs(database: Connection, account: int, end: Event) -> None:
    plan = entered(database, account)
    [taken] = fire(database, leg(plan, "tp1"))
    assert statements.record(database, [change(taken, end)])[0]
    assert not fire(database, leg(plan, "stop")), "before the step"
    step(database)
    assert [each.id for each in fire(database, leg(plan, "stop"))] == [leg(plan, "stop").id]


def test_reducing_in_the_middle_of_a_schedule(database: Connection, account: int) -> None:
    """No slice is bought, the window passes, the schedule goes on with the next; exits of a bracket sell meanwhile."""
    held = entered(database, account)
    plan = made(database, account, schedule(start_at=datetime.now(UTC), every_s=3600.0))
    try:
        set_state(account, TradingState.REDUCING, By("tester", staff=True))
        assert not fire(database, leg(plan, "slice"))
        assert fire(database, leg(held, "stop"))
        hours_pass(database, plan, 1)
        expire(database, leg(plan, "slice"))
        step(database)
        assert leg(plan, "slice").round == 2 and not fire(database, leg(plan, "slice"))
    finally:
        set_state(account, TradingState.ACTIVE, By("tester", staff=True))
    assert fire(database, leg(plan, "slice"))
    plan.refresh_from_db()
    assert (plan.progress["expired"], plan.status) == (1, "active")


def hours_pass(database: Connection, plan: Plan, hours: int) -> None:
    """For the plan and its orders: everything that it was to be lies so much further back."""
    by = f"{hours} hours"
    database.execute(
        "UPDATE orders_plan SET due_at = due_at - %(by)s::interval, created_at = created_at - %(by)s::interval, spec = jsonb_set("
        "spec, '{start_at}', to_jsonb((spec ->> 'start_at')::timestamptz - %(by)s::interval)) WHERE id = %(id)s",
        {"by": by, "id": plan.id},
    )
    database.execute(
        "UPDATE orders_order SET expires_at = expires_at - %(by)s::interval WHERE plan_id = %(id)s AND finished_at IS NULL",
        {"by": by, "id": plan.id},
    )


def expire(database: Connection, order: Order) -> None:
    position = Position(order.id, order.account_id, order.epoch, order.seq, Status(order.status))
    assert statements.record(database, [transition(position, Event.EXPIRE, ExpireData())])[0]


@pytest.mark.parametrize(("catch_up", "missed", "spent"), [("skip", [9, 10], 22), ("spread", [9, 10], 24)])
def test_a_day_of_twap_with_two_hours_of_outage(
    database: Connection, account: int, catch_up: str, missed: list[int], spent: int
) -> None:
    """Twenty-four slices, one an hour, on the ledger: slices, total and events are as the policy says."""
    spec = schedule(
        start_at=datetime.now(UTC),
        every_s=3600.0,
        slices=24,
        total=Decimal(24),
        slice_amount=Decimal(1),
        catch_up=catch_up,
    )
    plan = made(database, account, spec)
    for n in range(1, 25):
        if n in missed:
            hours_pass(database, plan, 1)
            continue
        step(database)
        assert leg(plan, "slice").round == n, "one slice a window, and never a burst"
        [taken] = fire(database, leg(plan, "slice"))
        confirm(database, taken, "1")
        step(database)
        hours_pass(database, plan, 1)
    step(database)
    plan.refresh_from_db()
    slices = list(plan.orders.order_by("round"))
    assert [order.round for order in slices] == [n for n in range(1, 25) if n not in missed]
    assert sum(order.amount or 0 for order in slices) == spent and max(order.amount or 0 for order in slices) <= 3
    assert (plan.status, plan.progress["spent"], plan.progress["skipped"]) == ("completed", str(spent), 2)
    assert [each.data["skipped"] for each in plan.events.order_by("seq") if "skipped" in each.data] == [missed]
