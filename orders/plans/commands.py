"""What people do to plans: make, cancel, pause, resume. Each is one transaction, and takes the plan's step with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from orders.effects import Effects
from orders.errors import ApiError
from orders.ledger.statements import Connection
from orders.plans.step import NAMED, query, rows_of, take
from orders.plans.values import ENDED, ENTRY, Bracket, PlanStatus, Spec
from orders.wire import encode

ACCEPT, EARLIER = query("accept"), query("earlier")
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
    keys = {"id": plan.id, "account": plan.account_id, "client": plan.client_plan_id, "key": plan.idempotency_key}
    spec = encode(plan.spec).decode()
    with connection.transaction():
        new = connection.execute(
            ACCEPT, {**keys, "hash": plan.request_hash, "kind": plan.kind, "spec": spec}
        ).fetchone()
        if new is not None:
            stepped = take(connection, rows_of(connection, NAMED, {"id": plan.id}))
            return plan.id, False, stepped.effects
        earlier = connection.execute(EARLIER, keys).fetchall()
    if [bytes(hash) for _, hash in earlier] != [plan.request_hash]:
        raise ApiError("IDEMPOTENCY_CONFLICT", "The key was used before for a plan that says something else.")
    return earlier[0][0], earlier[0][0] != plan.id, []


def change(
    connection: Connection,
    plan_id: UUID,
    wanted: PlanStatus,
    check: Callable[[Any, Sequence[str]], bool],
    by: Mapping[str, Any],
) -> list[Effects]:
    """Gives a plan the status and takes its step.

    `check` gets the locked plan and the names of its legs at work; it raises `ApiError`, or returns whether anything is to do.
    """
    with connection.transaction():
        [plan] = rows_of(connection, NAMED, {"id": plan_id})
        working = [leg for (leg,) in connection.execute(LEGS_AT_WORK, (plan_id,))]
        if not check(plan, working):
            return []
        stepped = take(connection, [plan], status=wanted, said=by)
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
    if isinstance(msgspec.json.decode(plan.spec, type=Spec), Bracket):
        raise ApiError("NOT_PAUSABLE", "A bracket protects a position: it is cancelled, not paused.")
    return True
