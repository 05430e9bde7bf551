"""The only code that changes an order. Each function is one SQL statement over many orders.

A change is fenced by the order's `epoch`, `seq` and status: what another writer has changed meanwhile is not updated, and
the caller learns it. The event row is written by the statement that changes the order, so neither exists without the
other. The functions take an open psycopg connection in autocommit mode and decide nothing: what may follow what is
`orders.lifecycle`, what a change contains is `orders.transitions`, who calls is `orders.ledger.writers` (group commit) or
a single request.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import kwargs_row

from orders.ledger.queries import query
from orders.ledger.values import (
    Accepted,
    Answer,
    Attempts,
    Change,
    Claimed,
    EventData,
    KeyConflict,
    Letter,
    NewOrder,
    Recorded,
    Unknown,
    Worth,
)
from orders.lifecycle import Status
from orders.wire import encode
from routing.gates import of_json
from routing.values import Swap, Validity, VenueName

__all__ = [
    "Accepted",
    "Answer",
    "Change",
    "Claimed",
    "Connection",
    "KeyConflict",
    "NewOrder",
    "Recorded",
    "Unknown",
    "accept",
    "already_written",
    "claim",
    "disown",
    "record",
]

Connection = psycopg.Connection[Any]
ACCEPT, EARLIER, CLAIM, RECORD = query("accept"), query("earlier"), query("claim"), query("record")
MAX_AHEAD_S = 10.0
"""How far ahead of Postgres' clock an order's `run_at` may be: its longest delay, RETRY_CAP_MS, and two seconds more."""
NO_WORTH = Worth()
COST_MARGIN_BPS = 100
"""What an exact output is counted for above its worth: fees and price impact are not known before the venues are asked."""
ALREADY_WRITTEN, DISOWN = query("already_written"), query("disown")


def accept(connection: Connection, orders: Sequence[NewOrder]) -> list[Answer]:
    """Writes new orders with their event 1; one result an order, in order.

    An order whose client id or idempotency key is taken is not written: the earlier one comes back if it asked for the
    same, else `KeyConflict`. An order that was only to be looked up may be `Unknown` as well. A batch may be handed in again
    after its first statement was committed: an order of it that is there already, by its id, is new to its caller.
    """
    new = [order for order in orders if not order.lookup_only]
    written = dict(connection.execute(ACCEPT, {"orders": encode(new).decode()}, prepare=True).fetchall())
    results: list[Answer | None] = [
        Accepted(order.id, written[order.id]) if order.id in written else None for order in orders
    ]
    if len(written) < len(orders):
        repeated = [n for n, result in enumerate(results) if result is None]
        parameters = {
            "n": repeated,
            "id": [orders[n].id for n in repeated],
            "account": [orders[n].account_id for n in repeated],
            "client": [orders[n].client_order_id for n in repeated],
            "key": [orders[n].idempotency_key for n in repeated],
        }
        for n, order_id, created_at, status, request_hash in connection.execute(EARLIER, parameters, prepare=True):
            if order_id == orders[n].id:
                # Inserted by an earlier call whose second statement failed: it is new to its caller.
                results[n] = Accepted(order_id, created_at, status)
                continue
            # Two rows: its two keys belong to two orders.
            same = request_hash == orders[n].request_hash and results[n] is None
            results[n] = Accepted(order_id, created_at, status, replayed=True) if same else KeyConflict(order_id)
        for n in repeated:
            if results[n] is None and orders[n].lookup_only:
                results[n] = Unknown()
    if any(result is None for result in results):
        raise RuntimeError("an order was neither written nor found")
    return [result for result in results if result is not None]


def claim(
    connection: Connection,
    executor: UUID,
    order_ids: Sequence[UUID],
    triggers: Mapping[UUID, Mapping[str, Any]],
    mode: str = "mock",
    worth: Worth = NO_WORTH,
) -> list[Claimed]:
    """Takes those of the orders that are due, for this executor; the others have another owner or are final.

    Those of another `mode` (`EXECUTION_MODE`) are not this executor's.
    `triggers` maps orders whose trigger fired to what fired them, with the moment that was observed (`observedAt`, RFC 3339);
    a resting order is taken only with its trigger. An attempt is counted before any work is done, so that an order that
    kills its worker comes to an end. `worth` says what orders count for in limits of money.
    """
    parameters = {
        "ids": list(order_ids),
        "mode": mode,
        "max_ahead_s": MAX_AHEAD_S,
        "executor": executor,
        "fired": list(triggers),
        "triggers": [encode(trigger).decode() for trigger in triggers.values()],
        "quotes": list(worth.quotes),
        "mints": list(worth.prices),
        "prices": list(worth.prices.values()),
        "margin_bps": COST_MARGIN_BPS,
    }
    with connection.cursor(row_factory=kwargs_row(_claimed)) as cursor:
        return cursor.execute(CLAIM, parameters, prepare=True).fetchall()


def _claimed(
    *,
    signature: str | None,
    attempt: int,
    swap_venue: str,
    swap_wallet: str | None,
    payload: bytes,
    min_out: Decimal,
    valid_until: datetime,
    validity: int,
    status: str,
    gates: Mapping[str, Any] | None,
    **order: Any,
) -> Claimed:
    swap = signature and Swap(
        str(order["id"]),
        attempt,
        VenueName(swap_venue),
        signature,
        bytes(payload),
        min_out,
        valid_until,
        Validity(validity),
        swap_wallet,
    )
    return Claimed(status=Status(status), gates=of_json(gates), swap=swap or None, **order)


class _Row(msgspec.Struct):
    """A change as `record.sql` reads it. One JSON text for all changes: arrays of texts cost the client far more."""

    id: UUID
    epoch: int
    seq: int
    status: str
    data: EventData
    first: int | None = None
    """Seq of the order's first change in the batch; on its last change only, which is the one that the order's row gets."""
    was: str | None = None
    delay_ms: int | None = None
    resting: bool = False
    attempts: Attempts = Attempts.KEEP
    new_epoch: bool = False
    letter: Letter | None = None
    intent: Mapping[str, Any] | None = None
    resolved: tuple[str, str] | None = None
    gates_unknown: bool = False


def record(connection: Connection, changes: Sequence[Change]) -> list[Recorded | None]:
    """Writes the changes; for each what was recorded, None where the order has another owner or has moved on.

    Several changes of one order must follow each other; they are written together or not at all.
    """
    firsts: dict[UUID, Change] = {}
    lasts: dict[UUID, _Row] = {}
    rows = []
    for change in changes:
        firsts.setdefault(change.order_id, change)
        row = lasts[change.order_id] = _Row(
            id=change.order_id,
            epoch=change.epoch,
            seq=change.seq,
            status=change.status,
            data=change.data,
            delay_ms=change.delay_ms,
            resting=change.resting,
            attempts=change.attempts,
            new_epoch=change.new_epoch,
            letter=change.letter,
            intent=None if change.intent is None else _intent(change.intent),
            resolved=change.resolved,
            gates_unknown=change.gates_unknown,
        )
        rows.append(row)
    for order_id, first in firsts.items():
        lasts[order_id].first, lasts[order_id].was = first.seq, first.was
    found = connection.execute(RECORD, {"changes": encode(rows).decode()}, prepare=True)
    written = {order_id: Recorded(*columns) for order_id, *columns in found}
    return [written.get(change.order_id) for change in changes]


def _intent(swap: Swap) -> dict[str, Any]:
    return {
        "signature": swap.signature,
        "attempt": swap.attempt,
        "venue": swap.venue,
        "wallet": swap.wallet,
        "payload": swap.payload,
        "min_out": swap.min_out,
        "valid_until": swap.valid_until,
        "validity": swap.validity,
    }


def already_written(connection: Connection, changes: Sequence[Change]) -> list[Recorded | None]:
    """For each change what was recorded, if it was written by us.

    Asked before a batch is written again whose connection broke at the commit. Besides the owner of an epoch only the
    reconciler writes events with it, and its data say so: an event that equals ours is ours.
    """
    parameters = {
        "id": [change.order_id for change in changes],
        "seq": [change.seq for change in changes],
        "epoch": [change.epoch for change in changes],
        "status": [change.status for change in changes],
        "data": [encode(change.data).decode() for change in changes],
    }
    rows = connection.execute(ALREADY_WRITTEN, parameters)
    found = {(order_id, seq): Recorded(*columns) for order_id, seq, *columns in rows}
    return [found.get((change.order_id, change.seq)) for change in changes]


def disown(
    connection: Connection, *, executor: UUID | None = None, order_ids: Sequence[UUID] = (), most: int = 1000
) -> list[UUID]:
    """Frees submitted orders for the next executor, their intent kept: those of a stopping executor, or of all dead ones.

    Nothing happened to the order, so there is no event; the new epoch fences its previous owner off.
    """
    parameters = {"ids": list(order_ids), "executor": executor, "most": most}
    return [row[0] for row in connection.execute(DISOWN, parameters)]
