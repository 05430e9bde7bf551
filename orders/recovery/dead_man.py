"""Dead man's switches: an account that was not heard of for too long has its orders cancelled, once."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from orders.effects import Effects, followed
from orders.errors import ApiError
from orders.events import CancelData
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Position
from orders.lifecycle import Event
from orders.plans import commands as plans
from orders.plans.values import PlanStatus
from orders.transitions import transition

log = logging.getLogger(__name__)

LATE_S = 10
"""Seen so much later than it was due, the engine was down: then nobody could be heard, and there is one more period."""
BY = "dead man's switch"
EXTEND = """
UPDATE orders_deadman SET at = now() + seconds * interval '1 second', extended = true
WHERE at < now() - %s * interval '1 second' AND NOT extended
"""
DUE = "SELECT account_id, at, scope FROM orders_deadman WHERE at <= now() ORDER BY at LIMIT 100"
DONE = "DELETE FROM orders_deadman WHERE account_id = %s AND at = %s"
ORDERS = """
SELECT id, account_id, epoch, seq, status FROM orders_order
WHERE account_id = %(account)s AND finished_at IS NULL AND status = 'pending' AND plan_id IS NULL
    -- A stop protects a position: it stays.
    AND (%(all)s OR trigger_condition IS DISTINCT FROM 'lte')
ORDER BY id LIMIT 1000
"""
PLANS = """
SELECT id FROM orders_plan p
WHERE account_id = %(account)s AND finished_at IS NULL AND status <> 'closing' AND id > %(after)s
    AND (%(one)s::uuid IS NULL OR id = %(one)s)
    -- Exits protect a position: a bracket stays once its entry is filled.
    AND (%(all)s OR kind = 'schedule' OR EXISTS (
        SELECT 1 FROM orders_order o WHERE o.plan_id = p.id AND o.leg = 'entry' AND o.status = 'pending'))
ORDER BY id LIMIT 1000
"""
TRIES = 10
"""At a plan one of whose orders somebody has locked for a moment."""
BUSY_PAUSE_S = 0.02


def fire_dead_men(connection: Connection, carry_out: Callable[[Sequence[Effects]], None]) -> int:
    """Cancels what the switches that are due cover; returns how many switches. Safe to repeat: a switch goes last."""
    connection.execute(EXTEND, (LATE_S,))
    due = connection.execute(DUE).fetchall()
    for account, at, scope in due:
        asked: dict[str, Any] = {"account": account, "all": scope == "all"}
        many = _cancel_orders(connection, asked, carry_out) + _cancel_plans(connection, asked, carry_out)
        connection.execute(DONE, (account, at))
        log.warning("the dead man's switch of account %s cancelled %d orders and plans", account, many)
    return len(due)


def _cancel_orders(
    connection: Connection, asked: dict[str, Any], carry_out: Callable[[Sequence[Effects]], None]
) -> int:
    many = 0
    while rows := connection.execute(ORDERS, asked).fetchall():
        changes = [transition(Position(*row), Event.CANCEL, CancelData(by=BY)) for row in rows]
        recorded = statements.record(connection, changes)
        follows = followed(changes, recorded)
        carry_out(follows)
        many += len(follows)
        if not follows:
            break
    return many


def _cancel_plans(connection: Connection, asked: dict[str, Any], carry_out: Callable[[Sequence[Effects]], None]) -> int:
    many, after = 0, UUID(int=0)
    while rows := connection.execute(PLANS, {**asked, "after": after, "one": None}).fetchall():
        after = rows[-1][0]
        many += sum(_cancel_plan(connection, plan_id, asked, carry_out) for (plan_id,) in rows)
    return many


def _cancel_plan(
    connection: Connection, plan_id: UUID, asked: dict[str, Any], carry_out: Callable[[Sequence[Effects]], None]
) -> bool:
    def may_cancel(plan: Any, working: Sequence[str]) -> bool:
        # Asked once more under the plan's lock: its entry may have filled since it was found.
        covered = connection.execute(PLANS, {**asked, "after": UUID(int=0), "one": plan.id}).fetchone()
        return covered is not None and plans.may_cancel(plan, working)

    for _ in range(TRIES):
        try:
            follows = plans.change(connection, plan_id, PlanStatus.CLOSING, may_cancel, {"by": BY})
            carry_out(follows)
            return bool(follows)
        except ApiError as error:
            # Its entry is being executed: what it buys keeps its exits.
            log.warning("plan %s is not cancelled: %s", plan_id, error)
            return False
        except (plans.Busy, psycopg.errors.LockNotAvailable):
            time.sleep(BUSY_PAUSE_S)
    log.error("plan %s is not cancelled: its orders move too fast", plan_id)
    return False
