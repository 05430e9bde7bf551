"""What somebody should be told of: committed like an event, and sent by webhooks like one.

An alert that follows from a failed order needs no row: the order's event is it (`DEAD_LETTER`, `STOP_FAILED`). Those that follow
from rules of risk are written while somebody listens (`webhooks/sql/raise.sql`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import psycopg

from orders.ids import uuid7
from orders.wire import encode

INSERT = """
INSERT INTO orders_alert (id, account_id, kind, at, data, once)
VALUES (%s, %s, %s, now(), %s::jsonb, %s) ON CONFLICT DO NOTHING
"""


class AlertKind(StrEnum):
    """Each is the webhook event type `alert.{kind}`."""

    DEAD_LETTER = "dead_letter"
    """An order failed for good; an operator may requeue it."""
    STOP_FAILED = "stop_failed"
    """A stop fired and sold nothing: what it protected is unprotected."""
    PRICE_MISSING = "price_missing"
    """A pair with resting stops has had no fresh price for a minute: they cannot fire."""
    EXECUTOR_LOST = "executor_lost"
    """An order worker crashed; others take its orders over."""
    BUDGET_USED_UP = "budget_used_up"
    """The day's spend or loss is at its limit, or an order was refused for it."""
    TRADING_STATE = "trading_state"
    """Trading was halted, reduced or allowed again."""


def raise_alert(
    connection: psycopg.Connection[Any],
    kind: AlertKind,
    data: Mapping[str, Any],
    *,
    account_id: int | None = None,
    once: str | None = None,
) -> bool:
    """Writes an alert in the connection's transaction. `account_id` None: for operators only. `data` is JSON, camelCase.

    Of alerts with the same `once` (such as `budget:7:2026-11-27`) one is written; returns whether this is it.
    """
    row = (uuid7(), account_id, kind.value, encode(data).decode(), once)
    return connection.execute(INSERT, row).rowcount == 1
