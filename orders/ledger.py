"""The only code that changes an order. Each function is one SQL statement over many orders.

A change is fenced by the order's `epoch`, `seq` and status: what another has changed meanwhile is not updated, and its
caller learns it. The event row is written by the statement that changes the order, so neither exists without the other.
The functions take an open psycopg connection in autocommit mode and decide nothing: what may follow what is
`orders.lifecycle`, who calls is `orders.commit` (group commit) or a single request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import kwargs_row

from orders.lifecycle import FINAL, Status
from routing.values import Swap, VenueName

Connection = psycopg.Connection[Any]
encode_json = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as asked for and checked; the field names are the columns."""

    id: UUID
    account_id: int
    client_order_id: str | None
    idempotency_key: str | None
    request_hash: bytes
    type: str
    token_in: str
    token_out: str
    amount: Decimal
    slippage_bps: int
    limit_price: Decimal | None = None
    trigger_condition: str | None = None
    trigger_kind: str | None = None
    min_liquidity: Decimal | None = None
    volume_factor: Decimal | None = None
    max_price_impact_bps: int | None = None
    expires_at: datetime | None = None
    resting: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order a client has now: its new one, or the one it sent before with the same key."""

    order_id: UUID
    created_at: datetime
    status: str = Status.PENDING
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """The key belongs to an order that says something else."""

    order_id: UUID


ORDER_COLUMNS = {
    "id": "uuid",
    "account_id": "bigint",
    "client_order_id": "text",
    "idempotency_key": "text",
    "request_hash": "bytea",
    "type": "text",
    "token_in": "text",
    "token_out": "text",
    "amount": "numeric",
    "slippage_bps": "int",
    "limit_price": "numeric",
    "trigger_condition": "text",
    "trigger_kind": "text",
    "min_liquidity": "numeric",
    "volume_factor": "numeric",
    "max_price_impact_bps": "int",
    "expires_at": "timestamptz",
    "resting": "boolean",
}
COLUMNS = ", ".join(ORDER_COLUMNS)

ACCEPT = f"""
WITH wanted AS (
    SELECT * FROM unnest({", ".join(f"%({name})s::{kind}[]" for name, kind in ORDER_COLUMNS.items())}) AS t({COLUMNS})
), accepted AS (
    INSERT INTO orders_order ({COLUMNS}, status, seq, epoch, attempts, run_at, created_at, updated_at)
    SELECT {COLUMNS}, 'pending', 1, 0, 0, CASE WHEN NOT resting THEN now() END, now(), now() FROM wanted
    ON CONFLICT DO NOTHING
    RETURNING id, resting, created_at
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, 1, 0, 'pending', created_at, CASE WHEN resting THEN '{{"resting": true}}'::jsonb ELSE '{{}}' END
    FROM accepted
)
SELECT id, created_at FROM accepted
"""  # nosec B608

EARLIER = """
WITH wanted AS (
    SELECT * FROM unnest(%(n)s::int[], %(account)s::bigint[], %(client)s::text[], %(key)s::text[])
        AS t(n, account, client, key)
)
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.client_order_id = client
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.idempotency_key = key
"""


def accept(connection: Connection, orders: Sequence[NewOrder]) -> list[Accepted | KeyConflict]:
    """Writes new orders with their event 1; one result an order, in order.

    An order whose client id or idempotency key is taken is not written: the earlier one comes back if it asked for the
    same, else `KeyConflict`.
    """
    columns = {name: [getattr(order, name) for order in orders] for name in ORDER_COLUMNS}
    written = dict(connection.execute(ACCEPT, columns, prepare=True).fetchall())
    results: list[Accepted | KeyConflict | None] = [
        Accepted(order.id, written[order.id]) if order.id in written else None for order in orders
    ]
    if len(written) < len(orders):
        repeated = [n for n, result in enumerate(results) if result is None]
        parameters = {
            "n": repeated,
            "account": [orders[n].account_id for n in repeated],
            "client": [orders[n].client_order_id for n in repeated],
            "key": [orders[n].idempotency_key for n in repeated],
        }
        for n, order_id, created_at, status, request_hash in connection.execute(EARLIER, parameters, prepare=True):
            same = request_hash == orders[n].request_hash and not isinstance(results[n], KeyConflict)
            results[n] = Accepted(order_id, created_at, status, replayed=True) if same else KeyConflict(order_id)
    if any(result is None for result in results):
        raise RuntimeError("an order was neither written nor found")
    return [result for result in results if result is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An order in an executor's hands, with the intent of an earlier hand if one is unresolved."""

    id: UUID
    account_id: int
    epoch: int
    seq: int
    status: Status
    attempts: int
    type: str
    token_in: str
    token_out: str
    amount: Decimal
    slippage_bps: int
    limit_price: Decimal | None
    trigger_condition: str | None
    max_price_impact_bps: int | None
    venue: str | None
    at: datetime
    event: Mapping[str, Any] | None
    """Data of the `routing` event; None where an order that was submitted changes hands, which is no event."""
    swap: Swap | None


CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM orders_order
    WHERE id = ANY(%(ids)s::uuid[])
        AND (status = 'pending' AND (run_at <= now() OR resting AND id = ANY(%(fired)s::uuid[]))
            AND (expires_at IS NULL OR expires_at > now())
            OR status = 'submitted' AND executor IS NULL)
        AND EXISTS (SELECT 1 FROM orders_executor WHERE id = %(executor)s AND state = 'alive')
    ORDER BY id FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE orders_order o SET
        status = CASE o.status WHEN 'pending' THEN 'routing' ELSE o.status END,
        seq = o.seq + (o.status = 'pending')::int,
        attempts = o.attempts + (o.status = 'pending')::int,
        epoch = o.epoch + 1, executor = %(executor)s, resting = false, run_at = COALESCE(o.run_at, now()), updated_at = now()
    FROM due WHERE o.id = due.id
    RETURNING o.*
), started AS (
    SELECT c.id, c.seq, c.epoch, c.status,
        jsonb_strip_nulls(jsonb_build_object('attempt', c.attempts, 'trigger', f.trigger)) AS data
    FROM claimed c LEFT JOIN unnest(%(fired)s::uuid[], %(triggers)s::text[]::jsonb[]) AS f(id, trigger) ON f.id = c.id
    WHERE c.status = 'routing'
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, seq, epoch, status, now(), data FROM started
)
SELECT c.id, c.account_id, c.epoch, c.seq, c.status, c.attempts, c.type, c.token_in, c.token_out, c.amount, c.slippage_bps,
    c.limit_price, c.trigger_condition, c.max_price_impact_bps, c.venue, now() AS at, s.data AS event,
    t.signature, t.attempt, t.venue AS swap_venue, t.payload, t.min_out, t.valid_until
FROM claimed c LEFT JOIN started s ON s.id = c.id
LEFT JOIN orders_transaction t ON t.order_id = c.id AND t.resolution IS NULL
"""


def claim(
    connection: Connection,
    executor: UUID,
    order_ids: Sequence[UUID],
    triggers: Mapping[UUID, Mapping[str, Any]],
) -> list[Claimed]:
    """Takes those of the orders that are due, for this executor; the others belong to somebody else or are done.

    `triggers` tells for orders whose trigger fired what fired them; only they may leave their rest. Counts an attempt
    before any work, so that an order that kills its worker comes to an end.
    """
    parameters = {
        "ids": list(order_ids),
        "executor": executor,
        "fired": list(triggers),
        "triggers": [encode_json(trigger).decode() for trigger in triggers.values()],
    }
    with connection.cursor(row_factory=kwargs_row(_claimed)) as cursor:
        return cursor.execute(CLAIM, parameters, prepare=True).fetchall()


def _claimed(
    *,
    signature: str | None,
    attempt: int,
    swap_venue: str,
    payload: bytes,
    min_out: Decimal,
    valid_until: datetime,
    status: str,
    **order: Any,
) -> Claimed:
    swap = signature and Swap(
        str(order["id"]), attempt, VenueName(swap_venue), signature, bytes(payload), min_out, valid_until
    )
    return Claimed(status=Status(status), swap=swap or None, **order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One event of one order, to be written if the order still is as its author last saw it."""

    order_id: UUID
    account_id: int
    epoch: int
    seq: int
    """Of this event."""
    was: Status
    status: Status
    data: Mapping[str, Any] = field(default_factory=dict)
    """The row's columns are taken from it: amended, venue, executedPrice, amountOut, fee, txHash, error."""
    delay_ms: int | None = None
    """For `pending`: run again no earlier than this from now."""
    resting: bool = False
    intent: Swap | None = None
    """Written down with `submitted`, before it is sent."""
    resolved: tuple[str, str] | None = None
    """Signature and `Resolution` of the intent whose fate this event tells."""


RECORD = """
WITH wanted AS (
    SELECT *, status = ANY(%(final)s::text[]) AS final
    FROM unnest(%(id)s::uuid[], %(epoch)s::int[], %(first)s::int[], %(last)s::int[], %(was)s::text[], %(status)s::text[],
        %(data)s::text[]::jsonb[], %(delay_ms)s::int[], %(resting)s::boolean[])
        AS t(id, epoch, first, last, was, status, data, delay_ms, resting)
), written AS (
    UPDATE orders_order o SET
        status = w.status, seq = w.last, resting = w.resting, updated_at = now(),
        epoch = CASE WHEN w.was = 'failed' THEN o.epoch + 1 ELSE o.epoch END,
        executor = CASE WHEN w.status = 'pending' THEN NULL ELSE o.executor END,
        attempts = CASE WHEN w.resting OR w.was = 'failed' THEN 0 ELSE o.attempts - (w.data ? 'handover')::int END,
        run_at = CASE WHEN w.final OR w.resting THEN NULL
            WHEN w.delay_ms IS NOT NULL THEN now() + w.delay_ms * interval '1 millisecond' ELSE o.run_at END,
        finished_at = CASE WHEN w.final THEN now() END,
        amount = COALESCE((w.data -> 'amended' ->> 'amount')::numeric, o.amount),
        limit_price = COALESCE((w.data -> 'amended' ->> 'limitPrice')::numeric, o.limit_price),
        slippage_bps = COALESCE((w.data -> 'amended' ->> 'slippageBps')::int, o.slippage_bps),
        expires_at = CASE WHEN w.data -> 'amended' ? 'expiresAt'
            THEN (w.data -> 'amended' ->> 'expiresAt')::timestamptz ELSE o.expires_at END,
        venue = COALESCE(w.data ->> 'venue', o.venue),
        executed_price = (w.data ->> 'executedPrice')::numeric, amount_out = (w.data ->> 'amountOut')::numeric,
        fee = (w.data ->> 'fee')::numeric, tx_hash = w.data ->> 'txHash',
        failure_code = CASE WHEN w.status = 'failed' THEN w.data -> 'error' ->> 'code' END,
        failure_message = CASE WHEN w.status = 'failed' THEN w.data -> 'error' ->> 'message' END
    FROM wanted w
    WHERE o.id = w.id AND o.epoch = w.epoch AND o.seq = w.first - 1 AND o.status = w.was
    RETURNING o.id, o.epoch, o.status
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, seq, x.epoch, x.status, now(), x.data
    FROM unnest(%(event_id)s::uuid[], %(event_seq)s::int[], %(event_epoch)s::int[], %(event_status)s::text[],
        %(event_data)s::text[]::jsonb[]) AS x(id, seq, epoch, status, data)
    JOIN written USING (id)
), intent AS (
    INSERT INTO orders_transaction (signature, order_id, epoch, attempt, venue, payload, min_out, valid_until, created_at)
    SELECT signature, id, epoch, attempt, venue, payload, min_out, valid_until, now()
    FROM unnest(%(intent_id)s::uuid[], %(intent_signature)s::text[], %(intent_attempt)s::int[], %(intent_venue)s::text[],
        %(intent_payload)s::bytea[], %(intent_min_out)s::numeric[], %(intent_valid_until)s::timestamptz[])
        AS x(id, signature, attempt, venue, payload, min_out, valid_until)
    JOIN written USING (id)
), resolved AS (
    UPDATE orders_transaction t SET resolution = x.resolution, resolved_at = now()
    FROM unnest(%(resolved_id)s::uuid[], %(resolved_signature)s::text[], %(resolution)s::text[]) AS x(id, signature, resolution)
    JOIN written USING (id)
    WHERE t.signature = x.signature AND t.resolution IS NULL
), dead AS (
    INSERT INTO orders_deadletter (order_id, epoch, reason, history, created_at)
    SELECT w.id, w.epoch, w.data -> 'error' ->> 'code', COALESCE(
        (SELECT jsonb_agg(h.data -> 'error' || jsonb_build_object('at', h.at) ORDER BY h.seq)
            FROM orders_orderevent h WHERE h.order_id = w.id AND h.data ? 'error'), '[]')
        || jsonb_build_array(w.data -> 'error' || jsonb_build_object('at', now())), now()
    FROM written JOIN wanted w USING (id) WHERE w.status = 'failed'
), revived AS (
    UPDATE orders_deadletter d SET resolved_at = now(), resolved_by = w.data -> 'requeued' ->> 'by'
    FROM written JOIN wanted w USING (id) WHERE d.order_id = w.id AND w.was = 'failed' AND d.resolved_at IS NULL
)
SELECT id, now() FROM written
"""


def record(connection: Connection, changes: Sequence[Change]) -> list[datetime | None]:
    """Writes the changes; for each the time it was written at, None where the order is in other hands.

    Several changes of one order must follow each other; they are written together or not at all.
    """
    rows: dict[UUID, list[Change]] = {}
    for change in changes:
        rows.setdefault(change.order_id, []).append(change)
    texts = [encode_json(change.data).decode() for change in changes]
    text_of = dict(zip(map(id, changes), texts, strict=True))
    intents = [(change.order_id, change.intent) for change in changes if change.intent]
    resolved = [(change.order_id, *change.resolved) for change in changes if change.resolved]
    parameters = {
        "final": list(FINAL),
        "id": list(rows),
        "epoch": [row[0].epoch for row in rows.values()],
        "first": [row[0].seq for row in rows.values()],
        "last": [row[-1].seq for row in rows.values()],
        "was": [row[0].was for row in rows.values()],
        "status": [row[-1].status for row in rows.values()],
        "data": [text_of[id(row[-1])] for row in rows.values()],
        "delay_ms": [row[-1].delay_ms for row in rows.values()],
        "resting": [row[-1].resting for row in rows.values()],
        "event_id": [change.order_id for change in changes],
        "event_seq": [change.seq for change in changes],
        "event_epoch": [change.epoch for change in changes],
        "event_status": [change.status for change in changes],
        "event_data": texts,
        "intent_id": [order_id for order_id, _ in intents],
        "intent_signature": [swap.signature for _, swap in intents],
        "intent_attempt": [swap.attempt for _, swap in intents],
        "intent_venue": [swap.venue for _, swap in intents],
        "intent_payload": [swap.payload for _, swap in intents],
        "intent_min_out": [swap.min_out for _, swap in intents],
        "intent_valid_until": [swap.valid_until for _, swap in intents],
        "resolved_id": [row[0] for row in resolved],
        "resolved_signature": [row[1] for row in resolved],
        "resolution": [row[2] for row in resolved],
    }
    written = dict(connection.execute(RECORD, parameters, prepare=True).fetchall())
    return [written.get(change.order_id) for change in changes]


OURS = """
SELECT e.order_id, e.seq, e.at FROM orders_orderevent e
JOIN unnest(%(id)s::uuid[], %(seq)s::int[], %(epoch)s::int[], %(status)s::text[], %(data)s::text[]::jsonb[])
        AS x(id, seq, epoch, status, data)
    ON e.order_id = x.id AND e.seq = x.seq AND e.epoch = x.epoch AND e.status = x.status AND e.data = x.data
"""


def already_written(connection: Connection, changes: Sequence[Change]) -> list[datetime | None]:
    """For each change the time it was written at by us, if it was.

    Asked before a batch is written again whose connection broke at the commit. Besides the holder of an epoch only the
    reconciler writes events with it, and its data say so: an event that equals ours is ours.
    """
    parameters = {
        "id": [change.order_id for change in changes],
        "seq": [change.seq for change in changes],
        "epoch": [change.epoch for change in changes],
        "status": [change.status for change in changes],
        "data": [encode_json(change.data).decode() for change in changes],
    }
    found = {(order_id, seq): at for order_id, seq, at in connection.execute(OURS, parameters)}
    return [found.get((change.order_id, change.seq)) for change in changes]


DISOWN = """
WITH held AS (
    SELECT id FROM orders_order o
    WHERE run_at IS NOT NULL AND status = 'submitted' AND executor IS NOT NULL
        AND (o.id = ANY(%(ids)s::uuid[]) AND executor = %(executor)s
            OR %(executor)s IS NULL
                AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive'))
    ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
UPDATE orders_order o SET executor = NULL, epoch = epoch + 1, updated_at = now() FROM held WHERE o.id = held.id RETURNING o.id
"""


def disown(
    connection: Connection, *, executor: UUID | None = None, order_ids: Sequence[UUID] = (), most: int = 1000
) -> list[UUID]:
    """Frees submitted orders for the next executor, their intent kept: those of a stopping executor, or of all dead ones.

    Nothing happened to the order, so there is no event; the epoch fences the hand it leaves.
    """
    parameters = {"ids": list(order_ids), "executor": executor, "most": most}
    return [row[0] for row in connection.execute(DISOWN, parameters)]
