"""The only code that changes an order. Each function is one SQL statement over many orders.

A change is fenced by the order's `epoch`, `seq` and status: what another has changed meanwhile is not updated, and its
caller learns it. The event row is written by the statement that changes the order, so neither exists without the other.
The functions take an open psycopg connection in autocommit mode and decide nothing: what may follow what is
`orders.lifecycle`, who calls is `orders.ledger.writers` (group commit) or a single request.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import kwargs_row

from orders.lifecycle import Status
from routing.values import Swap, VenueName

Connection = psycopg.Connection[Any]
encode_json = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
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
    launched_before: bool | None = None
    max_price_impact_bps: int | None = None
    expires_at: datetime | None = None
    resting: bool = False
    request_id: str | None = None
    lookup_only: bool = False
    """It is too late for it: only the order that its keys had before is wanted, and nothing is written."""

    @property
    def keyed(self) -> bool:
        return self.idempotency_key is not None or self.client_order_id is not None


class Accepted(msgspec.Struct, frozen=True):
    """The order a client has now: its new one, or the one it sent before with the same key."""

    order_id: UUID
    created_at: datetime
    status: str = Status.PENDING
    replayed: bool = False


class KeyConflict(msgspec.Struct, frozen=True):
    """The key belongs to an order that says something else."""

    order_id: UUID


class Unknown(msgspec.Struct, frozen=True):
    """No order had the keys of one that was only to be recalled."""


Answer = Accepted | KeyConflict | Unknown


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
    "launched_before": "boolean",
    "max_price_impact_bps": "int",
    "expires_at": "timestamptz",
    "resting": "boolean",
    "request_id": "text",
}
COLUMNS = ", ".join(ORDER_COLUMNS)

ACCEPT = f"""
WITH wanted AS (
    SELECT {
    ", ".join(
        f"decode({name}, 'base64') AS {name}" if kind == "bytea" else name for name, kind in ORDER_COLUMNS.items()
    )
}
    FROM jsonb_to_recordset(%(orders)s::jsonb) AS t({
    ", ".join(f"{name} {'text' if kind == 'bytea' else kind}" for name, kind in ORDER_COLUMNS.items())
})
), accepted AS (
    INSERT INTO orders_order ({COLUMNS}, status, seq, epoch, attempts, run_at, created_at, updated_at)
    SELECT {COLUMNS}, 'pending', 1, 0, 0, CASE WHEN NOT resting THEN now() END, now(), now() FROM wanted
    ON CONFLICT DO NOTHING
    RETURNING id, resting, request_id, created_at
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, 1, 0, 'pending', created_at, CASE
        WHEN request_id IS NOT NULL THEN
            jsonb_strip_nulls(jsonb_build_object('resting', CASE WHEN resting THEN true END, 'requestId', request_id))
        WHEN resting THEN '{{"resting": true}}'::jsonb ELSE '{{}}' END
    FROM accepted
)
SELECT id, created_at FROM accepted
"""  # nosec B608


def first_data(order: NewOrder) -> dict[str, Any]:
    """Data of its event 1, as ACCEPT writes them."""
    resting: dict[str, Any] = {"resting": True} if order.resting else {}
    return resting if order.request_id is None else resting | {"requestId": order.request_id}


EARLIER = """
WITH wanted AS (
    SELECT * FROM unnest(%(n)s::int[], %(id)s::uuid[], %(account)s::bigint[], %(client)s::text[], %(key)s::text[])
        AS t(n, id, account, client, key)
)
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.client_order_id = client
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.account_id = account AND o.idempotency_key = key
UNION
SELECT n, o.id, o.created_at, o.status, o.request_hash
FROM wanted JOIN orders_order o ON o.id = wanted.id
"""


def accept(connection: Connection, orders: Sequence[NewOrder]) -> list[Answer]:
    """Writes new orders with their event 1; one result an order, in order.

    An order whose client id or idempotency key is taken is not written: the earlier one comes back if it asked for the
    same, else `KeyConflict`. To one that was only to be recalled, `Unknown` may be the answer as well.
    """
    new = [order for order in orders if not order.lookup_only]
    written = dict(connection.execute(ACCEPT, {"orders": encode_json(new).decode()}, prepare=True).fetchall())
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


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
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
    request_id: str | None
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
), taken AS (
    SELECT c.*, CASE c.status WHEN 'routing' THEN
        jsonb_strip_nulls(jsonb_build_object('attempt', c.attempts, 'trigger', f.trigger || jsonb_build_object(
            'limit', trim_scale(c.limit_price)::text,
            'lagMs', round(extract(epoch FROM now() - (f.trigger ->> 'observedAt')::timestamptz) * 1000))))
        END AS event
    FROM claimed c LEFT JOIN unnest(%(fired)s::uuid[], %(triggers)s::text[]::jsonb[]) AS f(id, trigger) ON f.id = c.id
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT id, seq, epoch, status, now(), event FROM taken WHERE event IS NOT NULL
)
SELECT c.id, c.account_id, c.epoch, c.seq, c.status, c.attempts, c.type, c.token_in, c.token_out, c.amount, c.slippage_bps,
    c.limit_price, c.trigger_condition, c.max_price_impact_bps, c.request_id, c.venue, now() AS at, c.event,
    t.signature, t.attempt, t.venue AS swap_venue, t.payload, t.min_out, t.valid_until
-- LIMIT makes it one look-up an order: a plan made while there were few intents read all that were open for each.
FROM taken c LEFT JOIN LATERAL (
    SELECT * FROM orders_transaction WHERE order_id = c.id AND resolution IS NULL LIMIT 1
) t ON true
"""


def claim(
    connection: Connection,
    executor: UUID,
    order_ids: Sequence[UUID],
    triggers: Mapping[UUID, Mapping[str, Any]],
) -> list[Claimed]:
    """Takes those of the orders that are due, for this executor; the others belong to somebody else or are done.

    `triggers` tells for orders whose trigger fired what fired them, and when that was observed (`observedAt`); only they may
    leave their rest. Counts an attempt before any work, so that an order that kills its worker comes to an end.
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


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one order, to be written if the order still is as its author last saw it."""

    order_id: UUID
    account_id: int
    epoch: int
    seq: int
    """Of this event."""
    was: Status
    status: Status
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The row's columns are taken from it: amended, venue, executedPrice, amountOut, fee, txHash, error."""
    delay_ms: int | None = None
    """For `pending`: run again no earlier than this from now."""
    resting: bool = False
    intent: Swap | None = None
    """Written down with `submitted`, before it is sent."""
    resolved: tuple[str, str] | None = None
    """Signature and `Resolution` of the intent whose fate this event tells."""


RECORD = """
WITH change AS MATERIALIZED (
    SELECT *, status = ANY('{confirmed,failed,cancelled,expired}') AS final
    FROM jsonb_to_recordset(%(changes)s::jsonb) AS t(
        id uuid, epoch int, seq int, first int, was text, status text, data jsonb, delay_ms int, resting boolean,
        intent jsonb, resolved jsonb)
), written AS (
    UPDATE orders_order o SET
        status = c.status, seq = c.seq, resting = c.resting, updated_at = now(),
        epoch = CASE WHEN c.was = 'failed' THEN o.epoch + 1 ELSE o.epoch END,
        executor = CASE WHEN c.status = 'pending' THEN NULL ELSE o.executor END,
        attempts = CASE WHEN c.resting OR c.was = 'failed' THEN 0 ELSE o.attempts - (c.data ? 'handover')::int END,
        run_at = CASE WHEN c.final OR c.resting THEN NULL
            WHEN c.delay_ms IS NOT NULL THEN now() + c.delay_ms * interval '1 millisecond' ELSE o.run_at END,
        finished_at = CASE WHEN c.final THEN now() END,
        amount = COALESCE((c.data -> 'amended' ->> 'amount')::numeric, o.amount),
        limit_price = COALESCE((c.data -> 'amended' ->> 'limitPrice')::numeric, o.limit_price),
        slippage_bps = COALESCE((c.data -> 'amended' ->> 'slippageBps')::int, o.slippage_bps),
        expires_at = CASE WHEN c.data -> 'amended' ? 'expiresAt'
            THEN (c.data -> 'amended' ->> 'expiresAt')::timestamptz ELSE o.expires_at END,
        venue = COALESCE(c.data ->> 'venue', o.venue),
        executed_price = (c.data ->> 'executedPrice')::numeric, amount_out = (c.data ->> 'amountOut')::numeric,
        fee = (c.data ->> 'fee')::numeric, tx_hash = c.data ->> 'txHash',
        failure_code = CASE WHEN c.status = 'failed' THEN c.data -> 'error' ->> 'code' END,
        failure_message = CASE WHEN c.status = 'failed' THEN c.data -> 'error' ->> 'message' END
    FROM change c
    -- The array makes it a look-up by key: a plan made while there were few orders read them all.
    WHERE o.id = ANY(ARRAY(SELECT id FROM change))
        AND c.first IS NOT NULL AND o.id = c.id AND o.epoch = c.epoch AND o.seq = c.first - 1 AND o.status = c.was
    RETURNING o.id, o.status, c.was, c.epoch, c.data
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
    SELECT c.id, c.seq, c.epoch, c.status, now(), c.data FROM change c JOIN written USING (id)
), intent AS (
    INSERT INTO orders_transaction (signature, order_id, epoch, attempt, venue, payload, min_out, valid_until, created_at)
    SELECT i.signature, c.id, c.epoch, i.attempt, i.venue, decode(i.payload, 'base64'), i.min_out, i.valid_until, now()
    FROM change c JOIN written USING (id), jsonb_to_record(c.intent) AS i(
        signature text, attempt int, venue text, payload text, min_out numeric, valid_until timestamptz)
    WHERE c.intent IS NOT NULL
), resolved AS (
    UPDATE orders_transaction t SET resolution = c.resolved ->> 1, resolved_at = now()
    FROM change c JOIN written USING (id)
    WHERE c.resolved IS NOT NULL AND t.signature = c.resolved ->> 0 AND t.resolution IS NULL
), dead AS (
    INSERT INTO orders_deadletter (order_id, epoch, reason, history, created_at)
    SELECT w.id, w.epoch, w.data -> 'error' ->> 'code', COALESCE(
        (SELECT jsonb_agg(h.data -> 'error' || jsonb_build_object('at', h.at) ORDER BY h.seq)
            FROM orders_orderevent h WHERE h.order_id = w.id AND h.data ? 'error'), '[]')
        || jsonb_build_array(w.data -> 'error' || jsonb_build_object('at', now())), now()
    FROM written w WHERE w.status = 'failed'
), revived AS (
    UPDATE orders_deadletter d SET resolved_at = now(), resolved_by = w.data -> 'requeued' ->> 'by'
    FROM written w WHERE d.order_id = w.id AND w.was = 'failed' AND d.resolved_at IS NULL
)
SELECT id, now() FROM written
"""


class _Row(msgspec.Struct):
    """A change as the statement reads it. One JSON text goes over the wire: arrays of texts cost the client far more."""

    id: UUID
    epoch: int
    seq: int
    status: str
    data: Mapping[str, Any]
    first: int | None = None
    """Seq of the order's first change in the batch; on its last change only, which is the one that the order's row gets."""
    was: str | None = None
    delay_ms: int | None = None
    resting: bool = False
    intent: Mapping[str, Any] | None = None
    resolved: tuple[str, str] | None = None


def record(connection: Connection, changes: Sequence[Change]) -> list[datetime | None]:
    """Writes the changes; for each the time it was written at, None where the order is in other hands.

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
            intent=None if change.intent is None else _intent(change.intent),
            resolved=change.resolved,
        )
        rows.append(row)
    for order_id, first in firsts.items():
        lasts[order_id].first, lasts[order_id].was = first.seq, first.was
    written = dict(connection.execute(RECORD, {"changes": encode_json(rows).decode()}, prepare=True).fetchall())
    return [written.get(change.order_id) for change in changes]


def _intent(swap: Swap) -> dict[str, Any]:
    return {
        "signature": swap.signature,
        "attempt": swap.attempt,
        "venue": swap.venue,
        "payload": swap.payload,
        "min_out": swap.min_out,
        "valid_until": swap.valid_until,
    }


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
