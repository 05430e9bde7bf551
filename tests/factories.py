"""Rows and values for tests: plain functions, every field with a default."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from django.conf import settings

from orders.events import DATA_OF
from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Accepted, Change, Claimed, NewOrder, Position
from orders.lifecycle import Event, Status
from orders.recovery.reconcile import Reconciler, Watch
from orders.transitions import transition
from routing.mock.tokens import SOL, USDC
from routing.values import Swap, Validity
from routing.venues import RAYDIUM


class Committed(list[Any]):
    """What a group commit gave to `written`."""

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
        "token_in": SOL.mint,
        "token_out": USDC.mint,
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


def claim(**fields: Any) -> Claimed:
    """What a claim of a new market order gives to its executor."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "account_id": 1,
        "epoch": 1,
        "seq": 2,
        "status": Status.ROUTING,
        "attempts": 1,
        "type": "market",
        "token_in": SOL.mint,
        "token_out": USDC.mint,
        "amount": Decimal(1),
        "slippage_bps": 50,
        "limit_price": None,
        "trigger_condition": None,
        "max_price_impact_bps": None,
        "request_id": None,
        "venue": None,
        "at": datetime.now(UTC),
        "event": {},
        "swap": None,
    }
    return Claimed(**(values | fields))


def reconciler(**options: Any) -> Reconciler:
    """Waits for nothing and tells nobody, unless `options` say so."""
    values: dict[str, Any] = {
        "watch": Watch(gap_s=3),
        "max_attempts": 3,
        "dead_after_s": 6,
        "settle_s": 4,
        "grace_s": 0,
        "backlog_grace_s": 20,
        "dispatch": lambda _: None,
        "waiting": lambda: 0,
        "overloaded": lambda: False,
        "announce": lambda *_: None,
        "carry_out": lambda _: None,
    }
    return Reconciler(**(values | options))


def accepted(connection: Connection, order: NewOrder) -> NewOrder:
    [result] = statements.accept(connection, [order])
    assert isinstance(result, Accepted) and not result.replayed
    return order


def executor(connection: Connection, *, state: str = "alive", silent_s: float = 0) -> UUID:
    """A registered executor whose last heartbeat was `silent_s` ago."""
    made = uuid4()
    connection.execute(
        "INSERT INTO orders_executor (id, name, pid, state, in_flight, started_at, heartbeat_at)"
        " VALUES (%s, 'test', 1, %s, 0, now(), now() - %s * interval '1 second')",
        (made, state, silent_s),
    )
    return made


def claimed(connection: Connection, order: NewOrder, by: UUID | None = None) -> Claimed:
    """The order, accepted before, claimed by an executor."""
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


def change(
    taken: Claimed | NewOrder,
    event: Event,
    *,
    was: Status | None = None,
    seq: int | None = None,
    data: dict[str, Any] | None = None,
    **fields: Any,
) -> Change:
    """The event after what the claim (or the acceptance) wrote, or after `seq` events and `was`.

    `data` are some of the event's, as in its JSON; the others have defaults. A field of `Change` may be given as well.
    """
    if isinstance(taken, Claimed):
        order = Position(taken.id, taken.account_id, taken.epoch, seq or taken.seq, was or taken.status)
    else:
        order = Position(taken.id, taken.account_id, 0, seq or 1, was or Status.PENDING)
    said = msgspec.convert(DATA[event] | (data or {}), DATA_OF[event])
    named = {name: fields.pop(name) for name in ("delay_ms", "intent", "resolved") if name in fields}
    made: Change = msgspec.structs.replace(transition(order, event, said, **named), **fields)
    return made


def submitted(connection: Connection, taken: Claimed, intent: Swap | None = None) -> Swap:
    """Brings a claimed order to `submitted`; returns its intent."""
    intent = intent or swap(taken.id)
    changes = [
        change(taken, Event.BUILD, data={"attempt": 1, "venue": "RAYDIUM"}),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=taken.seq + 1, intent=intent),
    ]
    assert all(statements.record(connection, changes))
    return intent


def filled(connection: Connection, account: int, **trade: Any) -> UUID:
    """An order that sold `amount_in` of `token_in` for `amount_out`."""
    values = {"token_in": SOL.mint, "token_out": USDC.mint, "amount_in": "1", "amount_out": "150", "fees": None} | trade
    order = new_order(
        account, token_in=values["token_in"], token_out=values["token_out"], amount=Decimal(values["amount_in"])
    )
    taken = claimed(connection, accepted(connection, order))
    intent = submitted(connection, taken)
    price = Decimal(values["amount_out"]) / Decimal(values["amount_in"])
    data = {"amountIn": values["amount_in"], "amountOut": values["amount_out"], "executedPrice": f"{price:.18f}"}
    data |= {"txHash": intent.signature} | ({"fees": values["fees"]} if values["fees"] else {})
    confirmed = change(
        taken, Event.CONFIRM, was=Status.SUBMITTED, seq=taken.seq + 2, data=data, resolved=(intent.signature, "landed")
    )
    assert all(statements.record(connection, [confirmed]))
    assert not any(statements.record(connection, [confirmed])), "an order is confirmed once"
    return order.id


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
DATA: dict[Event, dict[str, Any]] = {
    Event.BUILD: {"attempt": 1, "venue": "RAYDIUM", "reason": "the only quote", "quotes": [], "refusals": []},
    Event.SUBMIT: {
        "attempt": 1,
        "venue": "RAYDIUM",
        "signature": "signature",
        "minOut": "149",
        "validUntil": "2026-01-01T00:00:30Z",
    },
    Event.CONFIRM: {"attempt": 1, "landedAt": "2026-01-01T00:00:02Z", **FILL},
    Event.RETRY: {"attempt": 1, "error": ERROR, "retryInMs": 0},
    Event.FAIL: {"attempt": 1, "error": ERROR},
    Event.REST: {"reason": "MARKET_MOVED_BACK"},
    Event.RELEASE: {},
    Event.CANCEL: {},
    Event.EXPIRE: {},
    Event.AMEND: {"amended": {"limitPrice": "150"}},
    Event.REQUEUE: {"requeued": {"by": "admin"}},
}
"""Of each event what a test does not care about."""
HANDOVER = {"handover": {"executor": "orders@host"}}
TAKEOVER = {"takeover": {"executor": str(UUID(int=1)), "from": "routing"}}
