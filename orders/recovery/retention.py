"""Purges finished orders after a time that an operator has set. By default everything is kept."""

import time
from datetime import UTC, datetime, timedelta

from orders.ids import first_id
from orders.ledger.statements import Connection

BATCH = 500
"""Orders deleted by one statement: it must not make others wait."""
TIME_S = 45.0
"""Seconds of a pass; the next one goes on from there."""

# Ids begin with their time (UUIDv7), so the primary key finds the old ones. An order whose dead letter is open is kept:
# an operator has yet to decide. So is one whose plan has not ended: the plan decides by all of its orders.
PURGE = """
WITH old AS MATERIALIZED (
    SELECT id FROM orders_order o
    WHERE id < %(before)s AND finished_at < %(cutoff)s
        AND NOT EXISTS (SELECT 1 FROM orders_deadletter d WHERE d.order_id = o.id AND d.resolved_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM orders_plan p WHERE p.id = o.plan_id AND p.finished_at IS NULL)
    ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED
), events AS (
    DELETE FROM orders_orderevent e USING old WHERE e.order_id = old.id
), transactions AS (
    DELETE FROM orders_transaction t USING old WHERE t.order_id = old.id
), reservations AS (
    DELETE FROM orders_reservation r USING old WHERE r.order_id = old.id
), letters AS (
    DELETE FROM orders_deadletter d USING old WHERE d.order_id = old.id
), fills AS (
    INSERT INTO orders_keptfill (id, account_id, seq, at, type, client_order_id, token_in, token_out, amount_in, amount_out,
        executed_price, venue, fee, fees, parts, tx_hash, slot, wallet, mode, plan_id, leg)
    SELECT o.id, account_id, seq, finished_at, type, client_order_id, token_in, token_out,
        COALESCE(amount_in, amount, amount_out / executed_price), amount_out,
        executed_price, venue, fee, fees, parts, tx_hash, slot, wallet, COALESCE(mode, 'mock'), plan_id, leg
    FROM orders_order o JOIN old USING (id) WHERE o.status = 'confirmed'
)
DELETE FROM orders_order o USING old WHERE o.id = old.id
"""

PURGE_PLANS = """
WITH old AS MATERIALIZED (
    SELECT id FROM orders_plan p
    WHERE id < %(before)s AND finished_at < %(cutoff)s
        AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.plan_id = p.id)
    ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED
), events AS (
    DELETE FROM orders_planevent e USING old WHERE e.plan_id = old.id
)
DELETE FROM orders_plan p USING old WHERE p.id = old.id
"""


def purge(connection: Connection, *, days: int, now: datetime | None = None, time_s: float = TIME_S) -> int:
    """Deletes orders that ended more than `days` ago with all that belongs to them, apart from what
    they traded; returns how many.

    Their idempotency keys go with them: a request that is sent again then makes a new order.
    """
    cutoff = (now or datetime.now(UTC)) - timedelta(days=days)
    parameters = {"before": first_id(cutoff), "cutoff": cutoff, "most": BATCH}
    purged = 0
    ends = time.monotonic() + time_s
    while time.monotonic() < ends:
        deleted = connection.execute(PURGE, parameters).rowcount
        purged += deleted
        if deleted < BATCH:
            break
    while time.monotonic() < ends and connection.execute(PURGE_PLANS, parameters).rowcount == BATCH:
        pass
    return purged
