"""What people do to plans: make, cancel, pause, resume. Each is one transaction, and takes the plan's step with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from orders.effects import Effects
from orders.errors import ApiError, check_seq, invalid
from orders.ledger.statements import Connection
from orders.lifecycle import FINAL, Status
from orders.plans.bracket import WHOLE
from orders.plans.exits import check_together
from orders.plans.step import NAMED, KeyTaken, Stepped, query, rows_of, spec_of, take
from orders.plans.values import ENDED, ENTRY, Bracket, PlanStatus, Spec
from orders.wire import encode

ACCEPT, EARLIER = query("accept"), query("earlier")
SET_SPEC = "UPDATE orders_plan SET spec = %s::jsonb WHERE id = %s"
Check = Callable[[Any, Sequence[str]], bool]
LEGS_NOW = "SELECT DISTINCT ON (leg) leg, status FROM orders_order WHERE plan_id = %s ORDER BY leg, round DESC"
LEGS_AT_WORK = """
SELECT leg FROM orders_order WHERE plan_id = %s AND status = ANY('{routing,building,submitted}')
"""


class NewPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as asked for and checked."""

    id: UUID
    account_id: int
    client_plan_id: str | None
    idempotency_key: str | None
    request_hash: bytes
    kind: str
    spec: Spec


def create(connection: Connection, plan: NewPlan) -> tuple[UUID, bool, list[Effects]]:
    """Writes the plan with its first orders: its id, whether it is an earlier one with the same key, what follows.

    Raises `ApiError`: IDEMPOTENCY_CONFLICT.
    """
    spec = encode(plan.spec).decode()
    values = {**keys_of(plan), "hash": plan.request_hash, "kind": plan.kind, "spec": spec}
    try:
        with connection.transaction():
            if connection.execute(ACCEPT, values).fetchone() is not None:
                stepped = take(connection, rows_of(connection, NAMED, {"id": plan.id}))
                return plan.id, False, stepped.effects
    except KeyTaken:
        raise ApiError("IDEMPOTENCY_CONFLICT", "The clientOrderId was used before for another order.") from None
    found = earlier(connection, plan)
    if found is None:
        raise RuntimeError("a plan was neither written nor found")
    return found, found != plan.id, []


def earlier(connection: Connection, plan: NewPlan) -> UUID | None:
    """The plan that has one of its keys, or its id. Raises `ApiError` IDEMPOTENCY_CONFLICT where that one says something else."""
    found = connection.execute(EARLIER, keys_of(plan)).fetchall()
    if not found:
        return None
    # Two rows: its two keys belong to two plans.
    if [bytes(hash) for _, hash in found] != [plan.request_hash]:
        raise ApiError("IDEMPOTENCY_CONFLICT", "The key was used before for a plan that says something else.")
    plan_id: UUID = found[0][0]
    return plan_id


def keys_of(plan: NewPlan) -> dict[str, Any]:
    return {"id": plan.id, "account": plan.account_id, "client": plan.client_plan_id, "key": plan.idempotency_key}


def change(
    connection: Connection,
    plan_id: UUID,
    wanted: PlanStatus,
    check: Check,
    by: Mapping[str, Any],
    *,
    seq: int | None = None,
) -> list[Effects]:
    """Gives a plan the status and takes its step.

    `check` gets the locked plan and the names of its legs at work; it raises `ApiError`, or returns whether anything is to do.
    Raises `ApiError` SEQ_MISMATCH where the plan is not at `seq`.
    """
    with connection.transaction():
        [plan] = rows_of(connection, NAMED, {"id": plan_id})
        working = [leg for (leg,) in connection.execute(LEGS_AT_WORK, (plan_id,))]
        if not check(plan, working):
            return []
        check_seq("plan", plan.seq, seq)
        return _taken(take(connection, [plan], status=wanted, said=by))


def amend(
    connection: Connection, plan_id: UUID, exits: Mapping[str, Any], by: Mapping[str, Any], *, seq: int | None = None
) -> list[Effects]:
    """Gives exits of a bracket other prices, portions, distances, slippages (by leg, fields of `Exit`); takes its step.

    Raises `ApiError`: ALREADY_FINAL, NOT_AMENDABLE, VALIDATION_FAILED, TOO_LATE, SEQ_MISMATCH.
    """
    with connection.transaction():
        [plan] = rows_of(connection, NAMED, {"id": plan_id})
        spec = spec_of(plan.spec)
        if plan.status not in ENDED and not isinstance(spec, Bracket):
            raise ApiError("NOT_AMENDABLE", "Only the exits of a bracket can be changed.")
        if plan.status != PlanStatus.ACTIVE:
            raise ApiError("ALREADY_FINAL", f"The plan is {plan.status}.")
        check_seq("plan", plan.seq, seq)
        assert isinstance(spec, Bracket)
        changed = amended(spec, exits)
        check_open(changed, exits, dict(connection.execute(LEGS_NOW, (plan_id,)).fetchall()))
        text = encode(changed).decode()
        connection.execute(SET_SPEC, (text, plan_id))
        return _taken(take(connection, [plan._replace(spec=text)], said={**by, "exits": exits}))


def check_open(spec: Bracket, exits: Mapping[str, Any], now: Mapping[str, Status]) -> None:
    """Raises `ApiError`: TOO_LATE for an exit at work, ALREADY_FINAL for one of which no order is made any more."""
    kinds = {exit.leg: exit for exit in spec.exits}
    for leg, fields in exits.items():
        status = now.get(leg)
        if status is None or status == Status.PENDING:
            continue
        if status not in FINAL:
            raise ApiError("TOO_LATE", f"{leg} is being executed.")
        # The portions of all take-profits come to the whole, so that of one that has ended makes room.
        ended = not kinds[leg].protects or status == Status.EXPIRED
        if ended and fields.keys() - {"portion_bps"}:
            raise ApiError("ALREADY_FINAL", f"{leg} is {status}.")


def amended(spec: Bracket, exits: Mapping[str, Any]) -> Bracket:
    """The bracket with other exits; a price that is given replaces a distance, and the other way round. Pure."""
    legs = {exit.leg: exit for exit in spec.exits}
    for leg, fields in exits.items():
        if leg not in legs:
            raise invalid(f"exits.{leg}", f"is no exit of the plan; {', '.join(legs)} are")
        if "portion_bps" in fields and legs[leg].protects:
            raise invalid(f"exits.{leg}.portionBps", "belongs to take-profits; every other exit sells what is left")
        if "trail_bps" in fields and legs[leg].kind != "trailing":
            raise invalid(f"exits.{leg}.trailBps", "belongs to trailing stops")
        if legs[leg].kind in ("trailing", "timeLimit") and fields.keys() & {"price", "at_bps"}:
            raise invalid(f"exits.{leg}", f"a {legs[leg].kind} exit has no price of its own")
        if legs[leg].kind == "stopLoss" and fields.get("at_bps", 0) >= WHOLE:
            raise invalid(f"exits.{leg}.atBps", "is below a price of nothing")
        if not legs[leg].protects and "max_slippage_bps" in fields:
            raise invalid(f"exits.{leg}.maxSlippageBps", "does not belong to takeProfit")
        fixed = {"price": None} if "at_bps" in fields else {"at_bps": None} if "price" in fields else {}
        legs[leg] = msgspec.structs.replace(legs[leg], **fixed, **fields)
        if legs[leg].max_slippage_bps < legs[leg].slippage_bps:
            if "max_slippage_bps" in fields:
                raise invalid(f"exits.{leg}.maxSlippageBps", "is less than slippageBps")
            legs[leg] = msgspec.structs.replace(legs[leg], max_slippage_bps=legs[leg].slippage_bps)
    check_together(tuple(legs.values()))
    return msgspec.structs.replace(spec, exits=tuple(legs.values()))


def _taken(stepped: Stepped) -> list[Effects]:
    if stepped.busy:
        raise Busy
    return stepped.effects


class Busy(psycopg.OperationalError):
    """A leg is locked by somebody else for a moment; asked again, the plan can be changed."""


def may_cancel(plan: Any, working: Sequence[str]) -> bool:
    if plan.status == PlanStatus.CANCELLED:
        return False
    if plan.status in ENDED:
        raise ApiError("ALREADY_FINAL", f"The plan is {plan.status}.")
    if ENTRY in working:
        raise ApiError("TOO_LATE", "The entry is being executed; its exits stay.")
    return True


def may_pause(plan: Any, working: Sequence[str]) -> bool:
    return _may_change(plan, PlanStatus.ACTIVE, PlanStatus.PAUSED)


def may_resume(plan: Any, working: Sequence[str]) -> bool:
    return _may_change(plan, PlanStatus.PAUSED, PlanStatus.ACTIVE)


def _may_change(plan: Any, was: PlanStatus, wanted: PlanStatus) -> bool:
    if plan.status == wanted:
        return False
    if plan.status != was:
        raise ApiError("ALREADY_FINAL", f"The plan is {plan.status}.")
    if isinstance(spec_of(plan.spec), Bracket):
        raise ApiError("NOT_PAUSABLE", "A bracket protects a position: it is cancelled, not paused.")
    return True


CHECKS: Mapping[PlanStatus, Check] = {
    PlanStatus.CLOSING: may_cancel,
    PlanStatus.PAUSED: may_pause,
    PlanStatus.ACTIVE: may_resume,
}
"""By what is asked for."""
