"""Steps of plans: each is one transaction that locks due plans, reads their orders, decides, and writes what was decided.

A crash before the commit leaves what was there, and the same is decided again; after it nothing is due. Locks are taken in one
order everywhere: orders first, then plans by their ids. A step has its plan already, so it waits for no order: one that it
wants to change and that somebody else has locked leaves the plan due.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from msgspec import UNSET
from psycopg.rows import namedtuple_row

from orders.effects import Effects, followed, of_accepted
from orders.events import AmendData, Amended, CancelData, CommittedPlanEvent
from orders.ids import uuid7
from orders.ledger import queries, statements
from orders.ledger.session import ABOUT_THE_DATA
from orders.ledger.statements import Connection
from orders.ledger.values import Accepted, Change, NewOrder, Position
from orders.lifecycle import Event, Status
from orders.plans.decide import decide
from orders.plans.values import ENDED, Child, Decision, Facts, Leg, PlanStatus, Spec
from orders.resting.placement import rest_of
from orders.transitions import transition
from orders.wire import encode, text
from runtime.faults import crash_point
from triggers.changes import Arm

log = logging.getLogger(__name__)

BATCH = 100
"""Plans of one transaction."""


query = partial(queries.query, folder=Path(__file__).parent)
DUE, NAMED, WAITING, LEGS, WRITE = map(query, ("due", "named", "waiting", "legs", "write"))
DUE_IDS = "SELECT id FROM orders_plan WHERE holder = id OR due_at <= now() LIMIT %s"
PUT_OFF = "UPDATE orders_plan SET holder = %s, due_at = now() + interval '30 seconds' WHERE id = %s"
NOBODY = UUID(int=0)
"""Holds a plan whose step cannot be taken: none of its legs may go on before it is."""
spec_of: Callable[[str], Spec] = msgspec.json.Decoder(Spec).decode


class KeyTaken(Exception):
    """The clientOrderId of a plan's first order is another order's."""


@dataclass(slots=True)
class Stepped:
    """What a transaction of steps has done."""

    plans: int = 0
    """Taken, those included that wait for a lock."""
    busy: int = 0
    """Left due: somebody else had a leg locked."""
    effects: list[Effects] = field(default_factory=list)
    """To be carried out after the commit."""


@dataclass(frozen=True, slots=True)
class Step:
    """A decided step of one plan."""

    row: Any
    facts: Facts
    decision: Decision
    orders: list[NewOrder]
    rows: Mapping[UUID, Any]
    """Of its legs."""


def step_due(connection: Connection, carry_out: Callable[[Sequence[Effects]], None], *, most: int = BATCH) -> Stepped:
    """Takes the steps of at most `most` due plans in one transaction; what follows them is carried out after its commit."""
    try:
        stepped = _transaction(connection, DUE, {"most": most})
    except Exception as error:
        if most == 1 or not about_the_plan(error):
            raise
        log.exception("steps of plans could not be taken together")
        stepped = _one_by_one(connection, most)
    carry_out(stepped.effects)
    return stepped


def _one_by_one(connection: Connection, most: int) -> Stepped:
    """So that a plan whose step cannot be taken does not keep the others from theirs."""
    together = Stepped()
    ids = [row[0] for row in connection.execute(DUE_IDS, (most,))]
    for plan_id in ids:
        try:
            one = _transaction(connection, NAMED, {"id": plan_id})
        except Exception as error:
            if not about_the_plan(error):
                raise
            log.error("the step of plan %s cannot be taken", plan_id, exc_info=error)
            connection.execute(PUT_OFF, (NOBODY, plan_id))
            continue
        together.plans += one.plans
        together.busy += one.busy
        together.effects += one.effects
    return together


def about_the_plan(error: Exception) -> bool:
    """Whether the same step fails again, such as that of a plan that only a later version reads; else it is the database."""
    return isinstance(error, ABOUT_THE_DATA) or not isinstance(error, psycopg.Error)


def _transaction(connection: Connection, select: str, parameters: Mapping[str, Any]) -> Stepped:
    with connection.transaction():
        stepped = take(connection, rows_of(connection, select, parameters))
        crash_point("before_plan_commit")
    if stepped.plans > stepped.busy:
        crash_point("after_plan_commit")
    return stepped


def take(
    connection: Connection,
    plans: Sequence[Any],
    *,
    status: PlanStatus | None = None,
    said: Mapping[str, Any] | None = None,
) -> Stepped:
    """The steps of plans that the open transaction has locked.

    `status` is what somebody asked the plans to be (paused, closing, active), and `said` goes into their events.
    """
    if not plans:
        return Stepped()
    ids = {"ids": [plan.id for plan in plans]}
    locked = {row.id for row in rows_of(connection, WAITING, ids)}
    rows: dict[UUID, list[Any]] = {}
    for row in rows_of(connection, LEGS, ids):
        rows.setdefault(row.plan_id, []).append(row)
    steps, busy = [], 0
    for plan in plans:
        step = decided(plan, rows.get(plan.id, []), status)
        changed = [*step.decision.cancel, *(amend.leg for amend in step.decision.amend)]
        if all(leg.id in locked for leg in changed):
            steps.append(step)
        else:
            busy += 1
    return Stepped(len(plans), busy, _write(connection, steps, said or {}))


def decided(plan: Any, rows: Sequence[Any], status: PlanStatus | None) -> Step:
    """What a locked plan does next. Pure."""
    facts = Facts(
        id=plan.id,
        status=status or PlanStatus(plan.status),
        created_at=plan.created_at,
        legs=[leg_of(row) for row in rows],
    )
    spec = spec_of(plan.spec)
    decision = decide(spec, facts, plan.now)
    orders = [new_order(plan, child, spec) for child in decision.create]
    return Step(plan, facts, decision, orders, {row.id: row for row in rows})


def leg_of(row: Any) -> Leg:
    return Leg(
        **{name: getattr(row, name) for name in Leg.__struct_fields__ if name != "status"}, status=Status(row.status)
    )


def new_order(plan: Any, child: Child, spec: Spec) -> NewOrder:
    terms = msgspec.structs.asdict(child.terms)
    terms["wallet"] = terms["wallet"] or spec.wallet
    return NewOrder(
        id=uuid7(),
        account_id=plan.account_id,
        idempotency_key=None,
        request_hash=sha256(f"{plan.id}/{child.leg}/{child.round}".encode()).digest(),
        resting=child.terms.type != "market",
        plan_id=plan.id,
        leg=child.leg,
        round=child.round,
        mode=spec.mode,
        **terms,
    )


def _write(connection: Connection, steps: Sequence[Step], said: Mapping[str, Any]) -> list[Effects]:
    if not steps:
        return []
    changes = [change for step in steps for change in changes_of(step)]
    recorded = statements.record(connection, changes) if changes else []
    if None in recorded:
        raise RuntimeError("a leg that the step has locked could not be changed")
    orders = [order for step in steps for order in step.orders]
    accepted = statements.accept(connection, orders) if orders else []
    if not all(isinstance(answer, Accepted) for answer in accepted):
        raise KeyTaken
    plans = encode([written_of(step, said) for step in steps]).decode()
    events = connection.execute(WRITE, {"plans": plans}, prepare=True).fetchall()
    follows = [msgspec.structs.replace(each, plan_due=False) for each in followed(changes, recorded)]
    follows += [
        of_accepted(order, answer)
        for order, answer in zip(orders, accepted, strict=True)
        if isinstance(answer, Accepted)
    ]
    follows += [Effects(order_id=plan_id, event=CommittedPlanEvent(plan_id, seq)) for plan_id, seq in events]
    return follows + [each for step in steps for each in released(step)]


def changes_of(step: Step) -> list[Change]:
    cancels = [transition(position(step, leg), Event.CANCEL, CancelData()) for leg in step.decision.cancel]
    amends = [
        transition(
            position(step, amend.leg),
            Event.AMEND,
            AmendData(
                amended=Amended(
                    amount=text(amend.amount),
                    slippage_bps=amend.slippage_bps,
                    limit_price=UNSET if amend.limit_price is None else text(amend.limit_price),
                    trail_bps=UNSET if amend.trail_bps is None else amend.trail_bps,
                )
            ),
        )
        for amend in step.decision.amend
    ]
    return cancels + amends


def position(step: Step, leg: Leg) -> Position:
    return Position(leg.id, step.row.account_id, leg.epoch, leg.seq, leg.status)


def written_of(step: Step, said: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as `write.sql` takes it."""
    decision = step.decision
    progress = decision.progress or step.row.progress
    happened = dict(said) | happened_in(step) | dict(decision.notes)
    told = bool(happened) or decision.status != step.row.status or progress != step.row.progress
    return {
        "id": step.row.id,
        "status": decision.status,
        "due_at": decision.due_at,
        "progress": progress,
        "ended": decision.status in ENDED,
        "event": (happened | {"progress": progress, "legs": legs_out(step)}) if told else None,
    }


def happened_in(step: Step) -> dict[str, Any]:
    decision = step.decision
    made = [order_out(order) for order in step.orders]
    cancelled = [named(leg) for leg in decision.cancel]
    amended = [
        named(amend.leg) | {"amount": text(amend.amount), "slippageBps": amend.slippage_bps} for amend in decision.amend
    ]
    parts = {"created": made, "cancelled": cancelled, "amended": amended}
    return {name: part for name, part in parts.items() if part}


def named(leg: Leg) -> dict[str, Any]:
    return {"leg": leg.leg, "round": leg.round, "orderId": leg.id}


def order_out(order: NewOrder) -> dict[str, Any]:
    made = {
        "leg": order.leg,
        "round": order.round,
        "orderId": order.id,
        "type": order.type,
        "amount": None if order.amount is None else text(order.amount),
    }
    if order.exact_out is not None:
        made["exactOut"] = text(order.exact_out)
    if order.limit_price is not None:
        made |= {"limitPrice": text(order.limit_price), "triggerCondition": order.trigger_condition}
    return made


def legs_out(step: Step) -> list[dict[str, Any]]:
    """The newest order of each leg, as the step leaves it."""
    newest = {leg.leg: leg for leg in step.facts.legs}
    ended = {leg.id for leg in step.decision.cancel}
    legs = {
        leg.leg: named(leg) | {"status": Status.CANCELLED if leg.id in ended else leg.status} for leg in newest.values()
    }
    for order in step.orders:
        assert order.leg is not None
        legs[order.leg] = {"leg": order.leg, "round": order.round, "orderId": order.id, "status": Status.PENDING}
    return list(legs.values())


def released(step: Step) -> list[Effects]:
    """The legs that could not go on while the plan waited for this step: armed and woken again."""
    if not step.row.held or step.decision.status in ENDED:
        return []
    changed = {leg.id for leg in step.decision.cancel} | {amend.leg.id for amend in step.decision.amend}
    follows = []
    for leg in step.facts.legs:
        if not leg.waits or leg.id in changed:
            continue
        row = step.rows[leg.id]
        if leg.resting:
            follows.append(Effects(order_id=leg.id, book=Arm(rest_of(leg.id, row, leg.seq), force=True)))
        else:
            follows.append(Effects(order_id=leg.id, dispatch_ms=ahead_ms(row.run_at, step.row.now)))
    return follows


def ahead_ms(run_at: datetime | None, now: datetime) -> int:
    return 0 if run_at is None else max(0, int((run_at - now).total_seconds() * 1000))


def rows_of(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement, parameters, prepare=True).fetchall()
