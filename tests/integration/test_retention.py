"""What retention purges, and what it must not; a backup that is restored; migrations that do not stand in the way."""

import os
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from orderengine.host import embedded
from orderengine.management.commands import prepare
from orders.ids import first_id, uuid7
from orders.ledger.statements import Connection
from orders.plans.commands import create
from orders.recovery.retention import purge
from tests.factories import accepted, connect, new_order
from tests.integration.test_plan_steps import new_plan
from tests.unit.test_plan_decide import STOP, bracket

TABLES = ("orders_order", "orders_orderevent", "orders_transaction", "orders_deadletter")


def aged(connection: Connection, account: int, days: float, *, status: str = "cancelled") -> UUID:
    """An order made and ended so long ago."""
    at = datetime.now(UTC) - timedelta(days=days)
    order_id = UUID(int=first_id(at).int | (uuid7().int & (1 << 80) - 1))
    accepted(connection, new_order(account, id=order_id, amount=Decimal(1)))
    if status != "pending":
        connection.execute(
            "UPDATE orders_order SET status = %s, finished_at = %s, run_at = NULL, failure_code = %s WHERE id = %s",
            (status, at, "X" if status == "failed" else None, order_id),
        )
    if status == "failed":
        connection.execute(
            "INSERT INTO orders_deadletter (order_id, epoch, reason, history, created_at) VALUES (%s, 0, 'X', '[]', %s)",
            (order_id, at),
        )
    return order_id


def left(connection: Connection) -> set[UUID]:
    return {row[0] for row in connection.execute("SELECT id FROM orders_order")}


def test_only_old_finished_and_decided_orders_are_purged(database: Connection, account: int) -> None:
    old = {aged(database, account, 40) for _ in range(3)}
    kept = {
        aged(database, account, 20),
        aged(database, account, 40, status="pending"),
        aged(database, account, 40, status="failed"),
    }
    assert purge(database, days=30) == len(old)
    assert left(database) == kept
    database.execute("UPDATE orders_deadletter SET resolved_at = now()")
    assert purge(database, days=30) == 1
    orphans = database.execute(
        "SELECT count(*) FROM orders_orderevent e WHERE NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.id = e.order_id)"
    ).fetchone()
    assert orphans == (0,) and database.execute("SELECT count(*) FROM orders_deadletter").fetchone() == (0,)
    assert purge(database, days=30) == 0


def test_the_orders_of_a_plan_stay_until_it_has_ended_and_then_go_with_it(database: Connection, account: int) -> None:
    at = datetime.now(UTC) - timedelta(days=40)
    plan_id = UUID(int=first_id(at).int | (uuid7().int & (1 << 80) - 1))
    create(database, new_plan(account, bracket(STOP), id=plan_id))
    database.execute(
        "UPDATE orders_order SET status = 'cancelled', finished_at = %s, run_at = NULL WHERE plan_id = %s",
        (at, plan_id),
    )
    old = UUID(int=first_id(at).int | (uuid7().int & (1 << 80) - 1))
    database.execute(
        "UPDATE orders_orderevent SET order_id = %s WHERE order_id IN (SELECT id FROM orders_order)", (old,)
    )
    database.execute("UPDATE orders_order SET id = %s WHERE plan_id = %s", (old, plan_id))
    assert purge(database, days=30) == 0 and left(database) == {old}
    database.execute("UPDATE orders_plan SET status = 'cancelled', finished_at = %s WHERE id = %s", (at, plan_id))
    assert purge(database, days=30) == 1
    for table in ("orders_order", "orders_orderevent", "orders_plan", "orders_planevent"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_a_backup_restores_to_the_same_rows(database: Connection, account: int, tmp_path: object) -> None:
    for days in (1, 2, 3):
        aged(database, account, days)
    programs = embedded.postgres(Path(os.environ["DATA_DIR"])).programs
    url = os.environ["DATABASE_URL"]
    file = f"{tmp_path}/engine.dump"
    database.execute("DROP DATABASE IF EXISTS restored")
    database.execute("CREATE DATABASE restored")
    target = url.replace("/orderengine?", "/restored?")
    subprocess.run([str(programs / "pg_dump"), "--format=custom", f"--file={file}", url], check=True)
    restore = [str(programs / "pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={target}", file]
    subprocess.run(restore, check=True)
    with psycopg.connect(target) as restored:
        for table in TABLES:
            query = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
            assert restored.execute(query).fetchone() == database.execute(query).fetchone(), table
    database.execute("DROP DATABASE restored")


def test_a_migration_that_meets_a_lock_lets_the_others_pass(
    database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up after the timeout, so that writers behind it go on, and comes again until the lock is gone."""
    monkeypatch.setattr(prepare, "LOCK_TIMEOUT_S", 1)
    tries = []

    def alter(*_: object, **__: object) -> None:
        tries.append(time.monotonic())
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE orders_order ADD COLUMN of_a_later_version int")
            cursor.execute("ALTER TABLE orders_order DROP COLUMN of_a_later_version")

    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: ["one"])
    monkeypatch.setattr(prepare, "call_command", alter)
    held = threading.Event()
    release = threading.Event()
    waits: list[float] = []

    def hold() -> None:
        with psycopg.connect(os.environ["DATABASE_URL"]) as holder:
            holder.execute("SELECT count(*) FROM orders_order")  # An ordinary reader, in a long transaction.
            held.set()
            release.wait(60)

    def write() -> None:
        with connect() as writer:
            while not release.is_set():
                began = time.monotonic()
                accepted(writer, new_order(account))
                waits.append(time.monotonic() - began)
                if len(tries) > 1:
                    release.set()

    threads = [threading.Thread(target=hold), threading.Thread(target=write)]
    threads[0].start()
    assert held.wait(30)
    threads[1].start()
    timer = threading.Timer(30, release.set)
    timer.start()
    try:
        prepare.migrate()
    finally:
        release.set()
        timer.cancel()
        for thread in threads:
            thread.join()
    assert len(tries) > 1, "it came again"
    # A migration that waited on would hold them up until the timer; the rest is what a busy machine adds.
    assert max(waits) < 15, "nobody waited much longer than the timeout"
