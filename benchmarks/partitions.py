"""Do orders and events need partitions yet? The ledger's own statements on an empty ledger and on one of five million events.

Writes go to the right-hand end of every index, because ids sort by time, so size should not matter; this measures whether
it does. The same inserts into a copy of the events in daily partitions, and what purging a day costs either way.
Only Postgres runs meanwhile.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks.consumption import cpu_s
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure
from orders.events import BuildData, ConfirmData, Data, SubmitData
from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.values import Change, Claimed, NewOrder, Position
from orders.lifecycle import Event, Status
from orders.transitions import transition
from routing.values import Swap, Validity
from routing.venues import RAYDIUM

GROUP = 200
DAYS = 30
EVENTS = 5

FILL_ORDERS = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch,
    executor, attempts, resting, venue, executed_price, amount_out, fee, tx_hash, created_at, updated_at, finished_at)
SELECT uuidv7(n * %(step_s)s * interval '-1 second'), 1, sha256(n::text::bytea), 'market', 'SOL', 'USDC', 1.5, 50, 'confirmed',
    5, 1, gen_random_uuid(), 1, false, 'RAYDIUM', 150.123456, 225.1, 0.56, encode(sha256(n::text::bytea), 'hex'),
    t, t, t + interval '3 seconds'
FROM generate_series(%(orders)s, 1, -1) AS n, LATERAL (SELECT now() - n * %(step_s)s * interval '1 second' AS t)
"""
FILL_EVENTS = """
INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data)
SELECT o.id, s, (s > 1)::int, (ARRAY['pending', 'routing', 'building', 'submitted', 'confirmed'])[s],
    created_at + s * interval '0.5 seconds',
    jsonb_build_object('venue', 'RAYDIUM', 'price', '150.123456', 'minOut', '224.3', 'txHash', o.tx_hash)
FROM orders_order o, generate_series(1, 5) AS s ORDER BY o.id, s
"""
PARTITIONED = """
CREATE TABLE events_by_day (LIKE orders_orderevent INCLUDING DEFAULTS) PARTITION BY RANGE (order_id);
ALTER TABLE events_by_day ADD PRIMARY KEY (order_id, seq);
"""
INSERT_EVENTS = """
INSERT INTO {table} (order_id, seq, epoch, status, at, data)
SELECT id, 1, 0, 'pending', now(), '{{"venue": "RAYDIUM", "price": "150.123456"}}' FROM unnest(%s::uuid[]) AS id
"""


@dataclass(frozen=True)
class Cost:
    """Of one order, through all five statuses."""

    wall_ms: float
    postgres_ms: float


class Ledger:
    """The ledger's statements one after the other on one connection, as the group commits send them."""

    def __init__(self, engine: BenchEngine) -> None:
        # A session as the engine's own: a plain connection would keep the plans that it made on the empty ledger.
        session = Session(engine.engine.services["databaseUrl"], name="benchmark", statement_timeout_ms=60_000)
        self._database: statements.Connection = session.run(lambda connection: connection)
        self._backend = self._database.info.backend_pid
        self._executor = uuid4()

    def beat(self) -> None:
        self._database.execute(
            "INSERT INTO orders_executor (id, name, pid, state, in_flight, started_at, heartbeat_at)"
            " VALUES (%s, 'benchmark', 0, 'alive', 0, now(), now())",
            (self._executor,),
        )

    def cost(self, groups: int) -> Cost:
        self._orders(max(1, groups // 10))
        started, cpu = time.perf_counter(), self._postgres_s()
        self._orders(groups)
        scale = 1000 / (groups * GROUP)
        return Cost((time.perf_counter() - started) * scale, (self._postgres_s() - cpu) * scale)

    def _postgres_s(self) -> float:
        """Of our connection alone: beside it Postgres may be tidying up after the fill."""
        return cpu_s(self._backend)

    def _orders(self, groups: int) -> None:
        for _ in range(groups):
            orders = [new_order() for _ in range(GROUP)]
            statements.accept(self._database, orders)
            claimed = statements.claim(self._database, self._executor, [order.id for order in orders], {})
            for make in (building, submitted, confirmed):
                written = statements.record(self._database, [make(order) for order in claimed])
                assert len(written) == GROUP and None not in written


def new_order() -> NewOrder:
    order_id = uuid7()
    return NewOrder(
        id=order_id,
        account_id=1,
        client_order_id=None,
        idempotency_key=None,
        request_hash=order_id.bytes * 2,
        type="market",
        token_in="SOL",
        token_out="USDC",
        amount=Decimal("1.5"),
        slippage_bps=50,
    )


def change(order: Claimed, seq: int, was: Status, event: Event, data: Data, **named: Any) -> Change:
    return transition(Position(order.id, order.account_id, order.epoch, seq - 1, was), event, data, **named)


def building(order: Claimed) -> Change:
    data = BuildData(attempt=1, venue="RAYDIUM", reason="the only quote", quotes=[], refusals=[])
    return change(order, 3, Status.ROUTING, Event.BUILD, data)


def submitted(order: Claimed) -> Change:
    swap = Swap(
        reference=str(order.id),
        attempt=1,
        venue=RAYDIUM,
        signature=order.id.hex * 2,
        payload=order.id.bytes * 16,
        min_out=Decimal("224.3"),
        validity=Validity(int((datetime.now(UTC) + timedelta(minutes=1)).timestamp() * 1_000_000)),
        valid_until=datetime.now(UTC) + timedelta(minutes=1),
    )
    data = SubmitData(
        attempt=1, venue=swap.venue, signature=swap.signature, min_out="224.3", valid_until=swap.valid_until
    )
    return change(order, 4, Status.BUILDING, Event.SUBMIT, data, intent=swap)


def confirmed(order: Claimed) -> Change:
    data = ConfirmData(
        attempt=1,
        venue="RAYDIUM",
        executed_price="150.066",
        amount_out="225.1",
        fee="0.56",
        tx_hash=order.id.hex * 2,
        landed_at=datetime.now(UTC),
    )
    return change(order, 5, Status.SUBMITTED, Event.CONFIRM, data, resolved=(order.id.hex * 2, "landed"))


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def boundary(day: int, now: float) -> UUID:
    """The least id of a day, counted back from now (Unix seconds); ids sort by time."""
    return UUID(int=int((now - day * 86_400) * 1000) << 80)


def make_partitions(database: psycopg.Connection[tuple[object, ...]], now: float) -> None:
    database.execute(PARTITIONED)
    for day in range(DAYS + 1, -1, -1):
        low, high = boundary(day, now), boundary(day - 1, now)
        database.execute(
            f"CREATE TABLE events_day_{day} PARTITION OF events_by_day FOR VALUES FROM ('{low}') TO ('{high}')"
        )
    database.execute("INSERT INTO events_by_day SELECT * FROM orders_orderevent")
    database.execute("ANALYZE events_by_day")


def insert_ms(database: psycopg.Connection[tuple[object, ...]], groups: int) -> dict[str, float]:
    """An event's insert into the whole and into the partitioned table, by turns."""
    spent = {"orders_orderevent": 0.0, "events_by_day": 0.0}
    for _ in range(groups):
        ids = [uuid7() for _ in range(GROUP)]
        for table in spent:
            start = time.perf_counter()
            database.execute(INSERT_EVENTS.format(table=table), (ids,), prepare=True)
            spent[table] += time.perf_counter() - start
    return {table: seconds * 1000 / (groups * GROUP) for table, seconds in spent.items()}


def run(quick: bool) -> list[Figure]:
    orders, groups = (50_000, 20) if quick else (1_000_000, 150)
    with running(quiet=False) as engine:
        engine.control("stopProcessGroup", "engine")
        database = engine.database
        book = Ledger(engine)
        book.beat()
        empty = book.cost(groups)
        database.execute("TRUNCATE orders_order, orders_orderevent, orders_transaction, orders_deadletter")
        database.execute(FILL_ORDERS, {"orders": orders, "step_s": DAYS * 86_400 / orders})
        database.execute(FILL_EVENTS)
        database.execute("VACUUM ANALYZE orders_order, orders_orderevent")
        database.execute("CHECKPOINT")
        full = book.cost(groups)
        print(f"  an order: empty {empty}, full {full}", flush=True)
        size = engine.row(
            "SELECT pg_total_relation_size('orders_orderevent') + pg_total_relation_size('orders_order')"
        )[0]
        rows = engine.row("SELECT count(*) FROM orders_orderevent")[0]
        now = time.time()
        make_partitions(database, now)
        inserts = insert_ms(database, groups * 2)
        delete_s = timed(
            lambda: database.execute("DELETE FROM orders_orderevent WHERE order_id < %s", (boundary(DAYS - 1, now),))
        ) + timed(lambda: database.execute("VACUUM orders_orderevent"))
        drop_s = timed(lambda: database.execute(f"DROP TABLE events_day_{DAYS}"))
    name = f"{rows / 1e6:.1f} million events"
    return [
        Figure("partitions.events", "events in the full ledger", rows),
        Figure("partitions.size", "its size, orders and events with indexes", size / 2**20, "MiB"),
        Figure("partitions.bytes", "disk an order takes", size / (rows / EVENTS), "bytes"),
        Figure("partitions.empty", "writing an order through, empty ledger", empty.wall_ms, "ms"),
        Figure("partitions.full", f"writing an order through, {name}", full.wall_ms, "ms"),
        Figure("partitions.empty_cpu", "Postgres CPU an order, empty ledger", empty.postgres_ms, "ms"),
        Figure("partitions.full_cpu", f"Postgres CPU an order, {name}", full.postgres_ms, "ms"),
        Figure("partitions.insert_whole", "inserting an event, one table", inserts["orders_orderevent"] * 1000, "µs"),
        Figure("partitions.insert_days", "inserting an event, daily partitions", inserts["events_by_day"] * 1000, "µs"),
        Figure("partitions.delete", "purging a day: DELETE and VACUUM", delete_s, "s"),
        Figure("partitions.drop", "purging a day: DROP of its partition", drop_s, "s"),
    ]
