"""What the reconciler finds, against the real ledger and the real broker."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection as django_connection
from kombu.exceptions import OperationalError
from psycopg.conninfo import make_conninfo

import celery_app  # noqa: F401  (the broker)
from orders import ledger
from orders.ids import uuid7
from orders.ledger import Change, NewOrder
from orders.lifecycle import Status
from orders.reconcile import Reconciler, Watch
from orders.tasks import doorbells_waiting, ring_all
from routing.values import Swap, VenueName

MINUTE = timedelta(minutes=1)


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    url = make_conninfo(settings.DATABASE_URL, dbname=django_connection.settings_dict["NAME"])
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@dataclass
class Bell:
    """What the reconciler sends; `away` makes it fail as kombu does."""

    away: bool = False
    rung: list[uuid.UUID] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)

    def ring(self, order_ids: Sequence[uuid.UUID]) -> None:
        if self.away:
            raise OperationalError("away")
        self.rung += order_ids

    def announce(self, dead_letter: int, order_id: uuid.UUID, reason: str) -> None:
        if self.away:
            raise OperationalError("away")
        self.announced.append(dead_letter)


def reconciler(bell: Bell, watch: Watch | None = None, waiting: int | None = 0) -> Reconciler:
    return Reconciler(
        watch=watch or Watch(gap_s=3),
        max_attempts=3,
        dead_after_s=6,
        settle_s=4,
        grace_s=0,
        backlog_grace_s=20,
        ring=bell.ring,
        waiting=lambda: waiting,
        announce=bell.announce,
        publish=lambda news: None,
    )


def new_order(**fields: Any) -> NewOrder:
    return NewOrder(
        **{
            "id": uuid7(),
            "account_id": 1,
            "client_order_id": None,
            "idempotency_key": None,
            "request_hash": b"",
            "type": "market",
            "token_in": "SOL",
            "token_out": "USDC",
            "amount": Decimal(1),
            "slippage_bps": 50,
            **fields,
        }
    )


def register(connection: psycopg.Connection[Any], *, beat_s_ago: float = 0) -> uuid.UUID:
    executor = uuid.uuid4()
    connection.execute(
        "INSERT INTO orders_executor (id, name, pid, state, in_flight, started_at, heartbeat_at)"
        " VALUES (%s, 'orders-1@test', 1, 'alive', 0, now(), now() - %s * interval '1 second')",
        (executor, beat_s_ago),
    )
    return executor


def advance_to(connection: psycopg.Connection[Any], executor: uuid.UUID, to: Status, **fields: Any) -> uuid.UUID:
    """An order in the executor's hands."""
    order = new_order(**fields)
    ledger.accept(connection, [order])
    [claimed] = ledger.claim(connection, executor, [order.id], {})
    path = [Status.ROUTING, Status.BUILDING, Status.SUBMITTED]
    for seq, (was, status) in enumerate(zip(path, path[1 : path.index(to) + 1], strict=False), start=claimed.seq + 1):
        intent = Swap(
            str(order.id), 1, VenueName.RAYDIUM, f"sig-{order.id}", b"", Decimal(1), datetime.now(UTC) + MINUTE
        )
        change = Change(
            order_id=order.id,
            account_id=1,
            epoch=claimed.epoch,
            seq=seq,
            was=was,
            status=status,
            intent=intent if status is Status.SUBMITTED else None,
        )
        assert ledger.record(connection, [change])[0]
    return order.id


def row(connection: psycopg.Connection[Any], order_id: uuid.UUID) -> tuple[Any, ...]:
    found = connection.execute(
        "SELECT status, seq, epoch, executor, attempts FROM orders_order WHERE id = %s", (order_id,)
    ).fetchone()
    assert found is not None
    return found


def test_an_empty_queue_holds_no_doorbell() -> None:
    """kombu knows no empty Redis list; taken for an absent broker, lost doorbells were never rung for again."""
    redis.Redis.from_url(settings.REDIS_URL).delete("orders")
    assert doorbells_waiting() == 0
    ring_all([uuid.uuid4()])
    assert doorbells_waiting() == 1
    redis.Redis.from_url(settings.REDIS_URL).delete("orders")


def test_lost_doorbells_are_rung_for_again(connection: psycopg.Connection[Any]) -> None:
    order = new_order()
    ledger.accept(connection, [order])
    bell = Bell()
    assert reconciler(bell).run(connection)["rung"] == 1
    assert bell.rung == [order.id]


def test_an_expired_order_whose_transaction_may_land_is_still_looked_after(
    connection: psycopg.Connection[Any],
) -> None:
    executor = register(connection, beat_s_ago=0)
    order_id = advance_to(connection, executor, Status.SUBMITTED, expires_at=datetime.now(UTC) + timedelta(hours=1))
    connection.execute("UPDATE orders_order SET expires_at = now() - interval '1 minute' WHERE id = %s", (order_id,))
    ledger.disown(connection, executor=executor, order_ids=[order_id])
    bell = Bell()
    reconciler(bell).run(connection)
    assert bell.rung == [order_id]


@pytest.mark.parametrize("status", [Status.ROUTING, Status.BUILDING, Status.SUBMITTED])
def test_the_dead_are_taken_over_though_the_broker_is_away(connection: psycopg.Connection[Any], status: Status) -> None:
    old = Watch(gap_s=3)
    executor = register(connection)
    order_id = advance_to(connection, executor, status)
    connection.execute("UPDATE orders_executor SET heartbeat_at = now() - interval '7 seconds'")
    connection.execute("UPDATE orders_executor SET started_at = now() - interval '1 hour'")
    before = row(connection, order_id)
    old_enough = connection.execute("SELECT pg_postmaster_start_time() < now() - interval '6 seconds'").fetchone()
    while old_enough == (False,):
        old_enough = connection.execute(
            "SELECT pg_sleep(0.2), pg_postmaster_start_time() < now() - interval '6 seconds'"
        ).fetchone()[1:]  # type: ignore[index]
    bell = Bell(away=True)
    done = reconciler(bell, old).run(connection)
    assert (done["dead"], done["taken_over"]) == (1, 1)
    after = row(connection, order_id)
    assert after[3] is None
    if status is Status.SUBMITTED:
        assert after[:3] == (Status.SUBMITTED, before[1], before[2] + 1)
    else:
        assert after[:2] == (Status.PENDING, before[1] + 1)
    assert not bell.rung
    bell.away = False
    assert reconciler(bell, old).run(connection)["rung"] == 1


def test_old_heartbeats_do_not_count_after_an_outage_of_postgres(connection: psycopg.Connection[Any]) -> None:
    """Whoever was away himself gives the others time to beat again."""
    clock = iter([0.0, 1.0, 31.0, 33.0, 35.5])
    watch = Watch(gap_s=3, now=lambda: next(clock))
    register(connection)
    for _ in range(2):
        reconciler(Bell(), watch).run(connection)
    connection.execute("UPDATE orders_executor SET heartbeat_at = now() - interval '30 seconds'")
    assert reconciler(Bell(), watch).run(connection)["dead"] == 0
    assert reconciler(Bell(), watch).run(connection)["dead"] == 0
    connection.execute("SELECT pg_sleep(greatest(0, 6.1 - extract(epoch FROM now() - pg_postmaster_start_time())))")
    assert reconciler(Bell(), watch).run(connection)["dead"] == 1


def test_dead_letters_are_announced_once(connection: psycopg.Connection[Any]) -> None:
    executor = register(connection)
    for _ in range(3):
        order_id = advance_to(connection, executor, Status.ROUTING)
        error = {"code": "NO_QUOTE", "message": "no"}
        change = Change(
            order_id=order_id,
            account_id=1,
            epoch=1,
            seq=3,
            was=Status.ROUTING,
            status=Status.FAILED,
            data={"error": error},
        )
        assert ledger.record(connection, [change])[0]
    bell = Bell()

    def fails_at_the_third(dead_letter: int, order_id: uuid.UUID, reason: str) -> None:
        if len(bell.announced) == 2:
            raise OperationalError("away")
        bell.announced.append(dead_letter)

    half = reconciler(bell)
    half = Reconciler(**{name: getattr(half, name) for name in half.__slots__} | {"announce": fails_at_the_third})
    assert half.run(connection)["announced"] == 2
    assert reconciler(bell).run(connection)["announced"] == 1
    assert reconciler(bell).run(connection)["announced"] == 0
    assert len(set(bell.announced)) == len(bell.announced) == 3


def test_an_event_of_the_reconciler_is_not_mistaken_for_ones_own(connection: psycopg.Connection[Any]) -> None:
    """Asked after a broken commit: same order, seq, epoch and status, but another's words."""
    executor = register(connection)
    order_id = advance_to(connection, executor, Status.ROUTING)

    def to_pending(data: dict[str, Any]) -> Change:
        return Change(
            order_id=order_id,
            account_id=1,
            epoch=1,
            seq=3,
            was=Status.ROUTING,
            status=Status.PENDING,
            data=data,
            delay_ms=0,
        )

    theirs, ours = to_pending({"takeover": {"from": "routing"}}), to_pending({"retryInMs": 5})
    assert ledger.record(connection, [theirs])[0]
    assert ledger.already_written(connection, [ours]) == [None]
    assert ledger.already_written(connection, [theirs])[0] is not None
