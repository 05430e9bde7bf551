"""What the reconciler finds, against the real ledger and the real broker."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
import redis
from django.conf import settings
from kombu.exceptions import OperationalError

import celery_app  # noqa: F401  (the broker)
from orders.ledger import statements
from orders.ledger.advisory_lock import MAX_SILENT_S, alone
from orders.ledger.statements import Change, Claimed, Connection
from orders.lifecycle import Event, Status
from orders.recovery.reconcile import LOCK, Reconciler, Watch
from orders.tasks import dispatch_all, dispatches_waiting
from tests.factories import ERROR, accepted, change, claimed, connect, executor, new_order, submitted
from tests.waiting import until

DEAD_AFTER_S = 6


@dataclass
class Bell:
    """What the reconciler sends; after `carries` more of them the broker is away, as kombu says it."""

    carries: float = float("inf")
    rung: list[UUID] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)

    def send(self) -> None:
        if self.carries <= 0:
            raise OperationalError("away")
        self.carries -= 1

    def dispatch(self, order_ids: Sequence[UUID]) -> None:
        self.send()
        self.rung += order_ids

    def announce(self, dead_letter: int, order_id: UUID, reason: str) -> None:
        self.send()
        self.announced.append(dead_letter)


def reconciler(bell: Bell, watch: Watch | None = None, waiting: int = 0) -> Reconciler:
    return Reconciler(
        watch=watch or Watch(gap_s=3),
        max_attempts=3,
        dead_after_s=DEAD_AFTER_S,
        settle_s=4,
        grace_s=0,
        backlog_grace_s=20,
        dispatch=bell.dispatch,
        waiting=lambda: waiting,
        announce=bell.announce,
        publish=lambda news: None,
    )


def order_at(database: Connection, account: int, by: UUID, status: Status, **fields: Any) -> Claimed:
    taken = claimed(database, accepted(database, new_order(account, **fields)), by)
    if status is Status.SUBMITTED:
        submitted(database, taken)
    elif status is Status.BUILDING:
        assert statements.record(database, [change(taken, Event.BUILD, data={"venue": "RAYDIUM"})])[0]
    return taken


def row(database: Connection, order_id: UUID) -> dict[str, Any]:
    columns = "status", "seq", "epoch", "executor"
    found = database.execute(f"SELECT {', '.join(columns)} FROM orders_order WHERE id = %s", (order_id,)).fetchone()
    assert found is not None
    return dict(zip(columns, found, strict=True))


def until_old_heartbeats_count(database: Connection) -> None:
    """They do not soon after Postgres itself has started."""
    database.execute(
        "SELECT pg_sleep(greatest(0, %s + 0.1 - extract(epoch FROM now() - pg_postmaster_start_time())))",
        (DEAD_AFTER_S,),
    )


def test_an_empty_queue_holds_no_doorbell() -> None:
    """kombu knows no empty Redis list; taken for an absent broker, lost doorbells were never rung for again."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.delete("orders")
    assert dispatches_waiting() == 0
    dispatch_all([uuid4()])
    assert dispatches_waiting() == 1
    client.delete("orders")


def test_lost_doorbells_are_rung_for_again(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    bell = Bell()
    assert reconciler(bell).run(database)["dispatched"] == 1
    assert bell.rung == [order.id]


@pytest.mark.parametrize(("age_s", "rings"), [(0.5, True), (10, False), (21, True)])
def test_behind_a_backlog_orders_are_rung_for_once_more_and_then_left_in_peace(
    database: Connection, account: int, age_s: float, rings: bool
) -> None:
    order = accepted(database, new_order(account))
    database.execute(
        "UPDATE orders_order SET run_at = now() - %s * interval '1 second' WHERE id = %s", (age_s, order.id)
    )
    bell = Bell()
    reconciler(bell, waiting=5).run(database)
    assert bell.rung == [order.id] * rings


def test_an_expired_order_whose_transaction_may_land_is_still_looked_after(database: Connection, account: int) -> None:
    by = executor(database)
    taken = order_at(database, account, by, Status.SUBMITTED, expires_at=datetime.now(UTC) + timedelta(hours=1))
    database.execute("UPDATE orders_order SET expires_at = now() - interval '1 minute' WHERE id = %s", (taken.id,))
    statements.disown(database, executor=by, order_ids=[taken.id])
    bell = Bell()
    reconciler(bell).run(database)
    assert bell.rung == [taken.id]


@pytest.mark.parametrize("status", [Status.ROUTING, Status.BUILDING, Status.SUBMITTED])
def test_the_dead_are_taken_over_though_the_broker_is_away(database: Connection, account: int, status: Status) -> None:
    by = executor(database, silent_s=DEAD_AFTER_S + 1)
    taken = order_at(database, account, by, status)
    before = row(database, taken.id)
    until_old_heartbeats_count(database)
    bell, watch = Bell(carries=0), Watch(gap_s=3)
    done = reconciler(bell, watch).run(database)
    assert (done["dead"], done["taken_over"]) == (1, 1)
    after = row(database, taken.id)
    assert after["executor"] is None
    if status is Status.SUBMITTED:
        # Nothing happened to the order, so there is no event; its old hand is fenced off.
        assert (after["status"], after["seq"], after["epoch"]) == (status, before["seq"], before["epoch"] + 1)
    else:
        assert (after["status"], after["seq"]) == (Status.PENDING, before["seq"] + 1)
    bell.carries = 1
    assert reconciler(bell, watch).run(database)["dispatched"] == 1


def test_old_heartbeats_do_not_count_after_an_absence_of_ones_own(database: Connection) -> None:
    """Whoever was away himself cannot tell whether the others were, and gives them time to beat again."""
    clock = iter([0.0, 1.0, 31.0, 33.0, 35.5])
    watch = Watch(gap_s=3, now=lambda: next(clock))
    executor(database)
    for _ in range(2):
        reconciler(Bell(), watch).run(database)
    database.execute("UPDATE orders_executor SET heartbeat_at = now() - interval '30 seconds'")
    until_old_heartbeats_count(database)
    assert [reconciler(Bell(), watch).run(database)["dead"] for _ in range(3)] == [0, 0, 1]


def test_reconcilers_at_the_same_time_do_everything_once(database: Connection, account: int) -> None:
    by = executor(database)
    for _ in range(20):
        taken = order_at(database, account, by, Status.ROUTING)
        assert statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])[0]
    bell, together = Bell(), threading.Barrier(4)

    def passes() -> None:
        with connect() as connection:
            together.wait(60)
            for _ in range(5):
                reconciler(bell).run(connection)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(passes) for _ in range(4)]:
            done.result()
    assert len(bell.announced) == len(set(bell.announced)) == 20


def test_a_frozen_reconciler_does_not_hold_the_others_up(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    bell = Bell()
    with connect() as frozen, pytest.raises(psycopg.OperationalError), alone(frozen, LOCK) as ours:
        assert ours and reconciler(bell).run(database) == {}
        until(lambda: reconciler(bell).run(database), MAX_SILENT_S + 10)
        frozen.execute("SELECT 1")
    assert bell.rung == [order.id]


def test_where_nothing_is_to_be_done_neither_the_lock_nor_the_broker_is_asked(
    database: Connection, account: int
) -> None:
    by = executor(database)
    for status in (Status.ROUTING, Status.BUILDING, Status.SUBMITTED):
        order_at(database, account, by, status)

    def waiting() -> int:
        raise AssertionError("the broker was asked")

    with connect() as other, alone(other, LOCK):
        done = replace(reconciler(Bell()), waiting=waiting).run(database)
    assert done == {"dead": 0, "taken_over": 0, "dispatched": 0, "announced": 0}


def test_a_pass_leaves_no_limit_behind(database: Connection, account: int) -> None:
    """Else a session that waits for its next pass, as long as Redis is away, would end."""
    accepted(database, new_order(account))
    assert reconciler(Bell()).run(database)["dispatched"] == 1
    assert database.execute("SHOW idle_session_timeout").fetchone() == ("0",)


def test_dead_letters_are_announced_once(database: Connection, account: int) -> None:
    by = executor(database)
    for _ in range(3):
        taken = order_at(database, account, by, Status.ROUTING)
        assert statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])[0]
    bell = Bell(carries=2)
    passes = []
    for _ in range(3):
        passes.append(reconciler(bell).run(database)["announced"])
        bell.carries = 10
    assert passes == [2, 1, 0]
    assert len(set(bell.announced)) == len(bell.announced) == 3


def test_an_event_of_the_reconciler_is_not_mistaken_for_ones_own(database: Connection, account: int) -> None:
    """Asked after a broken commit: same order, seq, epoch and status, but another's words."""
    taken = order_at(database, account, executor(database), Status.ROUTING)
    theirs = change(taken, Event.RELEASE, data={"takeover": {"from": "routing"}}, delay_ms=0)
    ours: Change = msgspec.structs.replace(theirs, data={"retryInMs": 5})
    assert statements.record(database, [theirs])[0]
    assert statements.already_written(database, [ours]) == [None]
    assert statements.already_written(database, [theirs])[0] is not None
