"""Rows and values for tests: plain functions, every field with a default."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.conf import settings

from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.statements import Accepted, Change, Claimed, Connection, NewOrder
from orders.lifecycle import Event, Status, advance
from routing.values import Swap, Validity
from routing.venues import RAYDIUM


class Told(list[Any]):
    """What a group commit's `written` was told."""

    def __call__(self, written: list[Any]) -> None:
        self += written


_count = itertools.count(1)


def connect() -> Connection:
    return psycopg.connect(settings.DATABASE_URL, autocommit=True, options="-c timezone=UTC")


def new_order(account_id: int, **fields: Any) -> NewOrder:
    """1 SOL for USDC at the market."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "account_id": account_id,
        "client_order_id": None,
        "idempotency_key": None,
        "request_hash": bytes(32),
        "type": "market",
        "token_in": "SOL",
        "token_out": "USDC",
        "amount": Decimal(1),
        "slippage_bps": 50,
    }
    return NewOrder(**(values | fields))


def limit_order(account_id: int, **fields: Any) -> NewOrder:
    """Rests until SOL is worth 200 USDC."""
    values = {
        "type": "limit",
        "limit_price": Decimal(200),
        "trigger_condition": "gte",
        "resting": True,
    }
    return new_order(account_id, **(values | fields))


def accepted(connection: Connection, order: NewOrder) -> NewOrder:
    [result] = statements.accept(connection, [order])
    assert isinstance(result, Accepted) and not result.replayed
    return order


def executor(connection: Connection, *, state: str = "alive", silent_s: float = 0) -> UUID:
    """A registered executor, last heard of `silent_s` ago."""
    made = uuid4()
    connection.execute(
        "INSERT INTO orders_executor (id, name, pid, state, in_flight, started_at, heartbeat_at)"
        " VALUES (%s, 'test', 1, %s, 0, now(), now() - %s * interval '1 second')",
        (made, state, silent_s),
    )
    return made


def claimed(connection: Connection, order: NewOrder, by: UUID | None = None) -> Claimed:
    """The order, accepted before, in the hands of an executor."""
    triggers = {order.id: {"price": "1"}} if order.resting else {}
    [taken] = statements.claim(connection, by or executor(connection), [order.id], triggers)
    return taken


def swap(order_id: UUID, **fields: Any) -> Swap:
    values: dict[str, Any] = {
        "reference": str(order_id),
        "attempt": 1,
        "venue": RAYDIUM,
        "signature": f"signature-{next(_count)}",
        "payload": b"payload",
        "min_out": Decimal("149"),
        "validity": Validity(1_234),
        "valid_until": datetime.now(UTC) + timedelta(seconds=30),
    }
    return Swap(**(values | fields))


def change(taken: Claimed, event: Event, *, was: Status | None = None, seq: int | None = None, **fields: Any) -> Change:
    """The event after what the claim wrote, or after `seq` events and `was`."""
    was = was or taken.status
    values: dict[str, Any] = {
        "order_id": taken.id,
        "account_id": taken.account_id,
        "epoch": taken.epoch,
        "seq": (seq or taken.seq) + 1,
        "was": was,
        "status": advance(was, event),
    }
    return Change(**(values | fields))


def submitted(connection: Connection, taken: Claimed, intent: Swap | None = None) -> Swap:
    """Brings a claimed order to `submitted`; returns its intent."""
    intent = intent or swap(taken.id)
    changes = [
        change(taken, Event.BUILD, data={"attempt": 1, "venue": "RAYDIUM"}),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=taken.seq + 1, intent=intent),
    ]
    assert all(statements.record(connection, changes))
    return intent


FILL = {
    "venue": "RAYDIUM",
    "executedPrice": "149.5",
    "amountOut": "149.5",
    "fee": "0.4",
    "txHash": "signature",
}
ERROR = {
    "attempt": 1,
    "code": "VENUE_UNAVAILABLE",
    "message": "away",
    "venue": "RAYDIUM",
    "permanent": False,
}
