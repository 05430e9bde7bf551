"""What the reconciler finds, against the real ledger and the real broker."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from django.conf import settings
from kombu.exceptions import OperationalError

import celery_app  # noqa: F401  (the broker)
from orders import overload
from orders.aftercommit import AfterCommit
from orders.dispatch import dispatch, dispatches_waiting
from orders.ledger import statements
from orders.ledger.advisory_lock import MAX_SILENT_S, exclusive
from orders.ledger.statements import Connection
from orders.ledger.values import Change, Claimed
from orders.lifecycle import Event, Status
from orders.recovery.reconcile import LOCK, Reconciler, Watch
from tests import factories
from tests.factories import ERROR, TAKEOVER, accepted, change, claimed, connect, executor, new_order, submitted
from tests.waiting import until

DEAD_AFTER_S = 6


class Clock:
    """Seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Sent:
    """What the reconciler sends; after `carries` more messages the broker is away, as kombu reports it."""

    carries: float = float("inf")
    dispatched: list[UUID] = field(default_factory=list)
    announced: list[int] = field(default_factory=list)
    published: list[Any] = field(default_factory=list)

    def send(self) -> None:
        if self.carries <= 0:
            raise OperationalError("away")
        self.carries -= 1

    def dispatch(self, order_ids: Sequence[UUID]) -> None:
        self.send()
        self.dispatched += order_ids

    def wake(self, order_ids: Sequence[UUID], delay_ms: int) -> None:
        assert delay_ms == 0
        self.dispatch(order_ids)

    def publish(self, events: list[Any]) -> None:
        self.published += events

    def change(self, *changes: Any) -> None:
        raise AssertionError("no resting order is taken over")

    def announce(self, dead_letter: int, order_id: UUID, reason: str) -> None:
        self.send()
        self.announced.append(dead_letter)


def reconciler(sent: Sent, watch: Watch | None = None, waiting: int = 0) -> Reconciler:
    return factories.reconciler(
        watch=watch or Watch(gap_s=3),
        dead_after_s=DEAD_AFTER_S,
        dispatch=sent.dispatch,
        waiting=lambda: waiting,
        announce=sent.announce,
        carry_out=AfterCommit(sent, sent, sent.wake).carry_out,
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


def test_an_empty_queue_holds_no_doorsent() -> None:
    """kombu knows no empty Redis list; taken for an absent broker, lost doorsents were never dispatched for again."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.delete("orders")
    assert dispatches_waiting() == 0
    dispatch([uuid4()])
    assert dispatches_waiting() == 1
    client.delete("orders")


def test_lost_doorsents_are_dispatched_for_again(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    sent = Sent()
    assert reconciler(sent).run(database)["dispatched"] == 1
    assert sent.dispatched == [order.id]


@pytest.mark.parametrize(("age_s", "again"), [(0.5, True), (10, False), (21, True)])
def test_behind_a_backlog_orders_are_dispatched_once_more_and_then_left_alone(
    database: Connection, account: int, age_s: float, again: bool
) -> None:
    order = accepted(database, new_order(account))
    database.execute(
        "UPDATE orders_order SET run_at = now() - %s * interval '1 second' WHERE id = %s", (age_s, order.id)
    )
    sent = Sent()
    reconciler(sent, waiting=5).run(database)
    assert sent.dispatched == [order.id] * again


@pytest.mark.parametrize(("age_s", "again"), [(0.5, False), (10, False), (21, True)])
def test_what_waits_in_overloaded_executors_is_not_dispatched_again(
    database: Connection, account: int, age_s: float, again: bool
) -> None:
    """The broker's queue is empty then: their threads have taken the messages."""
    order = accepted(database, new_order(account))
    database.execute(
        "UPDATE orders_order SET run_at = now() - %s * interval '1 second' WHERE id = %s", (age_s, order.id)
    )
    sent = Sent()
    replace(reconciler(sent), overloaded=lambda: True).run(database)
    assert sent.dispatched == [order.id] * again


def test_overload_is_over_soon_after_it_is_said_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "SAID_MS", 200)
    said = overload.Overload(settings.REDIS_URL)
    assert not said.is_said()
    said.say()
    assert said.is_said()
    until(lambda: not said.is_said(), 30)
    said.close()


def test_no_redis_means_no_overload() -> None:
    away = overload.Overload("redis://127.0.0.1:1/0")
    away.say()
    assert not away.is_said()


def test_an_expired_order_whose_transaction_may_land_is_still_looked_after(database: Connection, account: int) -> None:
    by = executor(database)
    taken = order_at(database, account, by, Status.SUBMITTED, expires_at=datetime.now(UTC) + timedelta(hours=1))
    database.execute("UPDATE orders_order SET expires_at = now() - interval '1 minute' WHERE id = %s", (taken.id,))
    statements.disown(database, executor=by, order_ids=[taken.id])
    sent = Sent()
    reconciler(sent).run(database)
    assert sent.dispatched == [taken.id]


@pytest.mark.parametrize("status", [Status.ROUTING, Status.BUILDING, Status.SUBMITTED])
def test_crashed_executors_are_taken_over_though_the_broker_is_away(
    database: Connection, account: int, status: Status
) -> None:
    by = executor(database, silent_s=DEAD_AFTER_S + 1)
    taken = order_at(database, account, by, status)
    before = row(database, taken.id)
    until_old_heartbeats_count(database)
    sent, watch = Sent(carries=0), Watch(gap_s=3)
    done = reconciler(sent, watch).run(database)
    assert (done["dead"], done["taken_over"]) == (1, 1)
    after = row(database, taken.id)
    assert after["executor"] is None
    if status is Status.SUBMITTED:
        # Nothing happened to the order, so there is no event; its previous owner is fenced off.
        assert (after["status"], after["seq"], after["epoch"]) == (status, before["seq"], before["epoch"] + 1)
    else:
        assert (after["status"], after["seq"]) == (Status.PENDING, before["seq"] + 1)
    sent.carries = 1
    assert reconciler(sent, watch).run(database)["dispatched"] == 1


def test_old_heartbeats_do_not_count_after_an_absence_of_ones_own(database: Connection) -> None:
    """A process that was away cannot tell whether the executors were, and gives them time to beat again."""
    clock = Clock()
    watch = Watch(gap_s=3, now=clock)
    executor(database)
    for clock.now in (0.0, 1.0):
        reconciler(Sent(), watch).run(database)
    database.execute("UPDATE orders_executor SET heartbeat_at = now() - interval '30 seconds'")
    until_old_heartbeats_count(database)
    dead = []
    for clock.now in (31.0, 33.0, 35.5):
        dead.append(reconciler(Sent(), watch).run(database)["dead"])
    assert dead == [0, 0, 1]


def test_reconcilers_at_the_same_time_do_everything_once(database: Connection, account: int) -> None:
    by = executor(database)
    for _ in range(20):
        taken = order_at(database, account, by, Status.ROUTING)
        assert statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])[0]
    sent, together = Sent(), threading.Barrier(4)

    def passes() -> None:
        with connect() as connection:
            together.wait(60)
            for _ in range(5):
                reconciler(sent).run(connection)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(passes) for _ in range(4)]:
            done.result()
    assert len(sent.announced) == len(set(sent.announced)) == 20


def test_a_frozen_reconciler_does_not_hold_the_others_up(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    sent = Sent()
    with connect() as frozen, pytest.raises(psycopg.OperationalError), exclusive(frozen, LOCK) as ours:
        assert ours and reconciler(sent).run(database) == {}
        until(lambda: reconciler(sent).run(database), MAX_SILENT_S + 10)
        frozen.execute("SELECT 1")
    assert sent.dispatched == [order.id]


def test_where_nothing_is_to_be_done_neither_the_lock_nor_the_broker_is_asked(
    database: Connection, account: int
) -> None:
    by = executor(database)
    for status in (Status.ROUTING, Status.BUILDING, Status.SUBMITTED):
        order_at(database, account, by, status)

    def waiting() -> int:
        raise AssertionError("the broker was asked")

    with connect() as other, exclusive(other, LOCK):
        done = replace(reconciler(Sent()), waiting=waiting).run(database)
    assert done == {"dead": 0, "taken_over": 0, "dispatched": 0, "announced": 0}


def test_a_pass_leaves_no_limit_behind(database: Connection, account: int) -> None:
    """Else a session that waits for its next pass, as long as Redis is away, would end."""
    accepted(database, new_order(account))
    assert reconciler(Sent()).run(database)["dispatched"] == 1
    assert database.execute("SHOW idle_session_timeout").fetchone() == ("0",)


def test_dead_letters_are_announced_once(database: Connection, account: int) -> None:
    by = executor(database)
    for _ in range(3):
        taken = order_at(database, account, by, Status.ROUTING)
        assert statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])[0]
    sent = Sent(carries=2)
    passes = []
    for _ in range(3):
        passes.append(reconciler(sent).run(database)["announced"])
        sent.carries = 10
    assert passes == [2, 1, 0]
    assert len(set(sent.announced)) == len(sent.announced) == 3


def test_an_event_of_the_reconciler_is_not_mistaken_for_ones_own(database: Connection, account: int) -> None:
    """Asked after a broken commit: same order, seq, epoch and status, but another writer's data."""
    taken = order_at(database, account, executor(database), Status.ROUTING)
    theirs = change(taken, Event.RELEASE, data=TAKEOVER, delay_ms=0)
    ours: Change = change(taken, Event.RETRY, data={"retryInMs": 5}, delay_ms=5)
    assert statements.record(database, [theirs])[0]
    assert statements.already_written(database, [ours]) == [None]
    assert statements.already_written(database, [theirs])[0] is not None
