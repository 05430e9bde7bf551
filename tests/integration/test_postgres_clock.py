"""Postgres' clock alone is stepped by a day: no order waits for the clock, no executor is taken for crashed, none for alive."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from orders.execution.worker import BEAT
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event, Status
from orders.recovery.reconcile import Watch
from tests import template
from tests.clocks import Clocks
from tests.factories import accepted, change, claimed, executor, new_order, reconciler, submitted
from tests.waiting import until

DAY_S = 86_400
DEAD_AFTER_S = 2.0
GRACE_S = 0.1
RETRY_MS = 1_000
pytestmark = pytest.mark.skipif(
    not Clocks.available(), reason="stepping the clock of a process needs Linux and a C compiler"
)


class Server:
    """A Postgres with the engine's schema, whose clock this test alone steps."""

    def __init__(self, directory: Path) -> None:
        self._clocks = Clocks(directory)
        data = directory / "data"
        data.mkdir()
        template.lay(data)
        self._postgres = embedded.postgres(data)
        self._postgres.prepare()
        environment = {"PATH": os.environ["PATH"], PARENT: str(os.getpid())} | self._clocks.environment
        self._process = subprocess.Popen(self._postgres.command(), env=environment, process_group=0)
        until(self._postgres.answers, 60, pause_s=0.02)

    def connect(self) -> Connection:
        return psycopg.connect(self._postgres.url, autocommit=True, options="-c timezone=UTC")

    def step(self, ahead_s: float) -> None:
        self._clocks.step(self._process.pid, ahead_s)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("stepped"))
    yield made
    made.stop()


@pytest.fixture
def stepped(server: Server) -> Iterator[Connection]:
    """A session with that Postgres, whose clock is right, without orders in it."""
    server.step(0)
    with server.connect() as connection:
        connection.execute(
            "TRUNCATE orders_order, orders_orderevent, orders_transaction, orders_deadletter, orders_executor"
        )
        yield connection
    server.step(0)


@pytest.fixture
def owner_account(stepped: Connection) -> int:
    [found] = stepped.execute("SELECT id FROM accounts_account ORDER BY id LIMIT 1").fetchone() or [None]
    assert isinstance(found, int)
    return found


class Passes:
    """A reconciler, and what it dispatched."""

    def __init__(self) -> None:
        self.dispatched: list[UUID] = []
        self.reconciler = reconciler(
            watch=Watch(gap_s=1),
            dead_after_s=DEAD_AFTER_S,
            settle_s=1.0,
            grace_s=GRACE_S,
            dispatch=self.dispatched.extend,
        )

    def run(self, connection: Connection) -> dict[str, int]:
        return self.reconciler.run(connection)


def retried(connection: Connection, account: int) -> UUID:
    """An order whose next attempt is due in `RETRY_MS`."""
    taken = claimed(connection, accepted(connection, new_order(account)))
    assert statements.record(connection, [change(taken, Event.RETRY, delay_ms=RETRY_MS)])[0]
    return taken.id


@pytest.mark.parametrize("ahead_s", [-DAY_S, -600])
def test_an_order_that_waits_for_its_next_attempt_is_found_and_claimed(
    server: Server, stepped: Connection, owner_account: int, ahead_s: int
) -> None:
    order_id = retried(stepped, owner_account)
    by, passes = executor(stepped), Passes()
    assert statements.claim(stepped, by, [order_id], {}) == []
    server.step(ahead_s)
    passes.run(stepped)
    assert passes.dispatched == [order_id]
    [taken] = statements.claim(stepped, by, [order_id], {})
    assert taken.status is Status.ROUTING and taken.attempts == 2


def test_an_order_accepted_just_before_is_claimed(server: Server, stepped: Connection, owner_account: int) -> None:
    order, by = accepted(stepped, new_order(owner_account)), executor(stepped)
    server.step(-DAY_S)
    assert [taken.id for taken in statements.claim(stepped, by, [order.id], {})] == [order.id]


def test_a_delay_within_the_longest_backoff_is_kept(stepped: Connection, owner_account: int) -> None:
    order_id = retried(stepped, owner_account)
    passes = Passes()
    passes.run(stepped)
    assert passes.dispatched == []
    assert statements.claim(stepped, executor(stepped), [order_id], {}) == []


def test_no_delay_of_ours_is_taken_for_a_step() -> None:
    assert settings.RETRY_CAP_MS / 1000 < statements.MAX_AHEAD_S


def test_a_submitted_order_without_an_owner_is_found(server: Server, stepped: Connection, owner_account: int) -> None:
    by = executor(stepped)
    taken = claimed(stepped, accepted(stepped, new_order(owner_account)), by)
    submitted(stepped, taken)
    assert statements.disown(stepped, executor=by, order_ids=[taken.id]) == [taken.id]
    server.step(-DAY_S)
    passes = Passes()
    passes.run(stepped)
    assert passes.dispatched == [taken.id]


def beat(connection: Connection, by: UUID) -> None:
    assert connection.execute(BEAT, (0, by)).fetchone() is not None


def passing(connection: Connection, passes: Passes, seconds: float, beating: tuple[UUID, ...] = ()) -> int:
    """Passes for some seconds while the executors beat, as they do each HEARTBEAT_S; executors that were declared crashed."""
    ends, dead = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        dead += passes.run(connection).get("dead", 0)
        for by in beating:
            beat(connection, by)
        time.sleep(0.1)
    return dead


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S])
def test_no_living_executor_is_declared_crashed(server: Server, stepped: Connection, ahead_s: int) -> None:
    """The first pass after the step comes before their next heartbeats."""
    living, passes = tuple(executor(stepped) for _ in range(3)), Passes()
    assert passing(stepped, passes, DEAD_AFTER_S + 1, living) == 0
    server.step(ahead_s)
    assert passing(stepped, passes, DEAD_AFTER_S + 1, living) == 0
    assert stepped.execute("SELECT DISTINCT state FROM orders_executor").fetchall() == [("alive",)]


def test_a_reconciler_that_starts_after_a_step_back_declares_nobody_crashed(
    server: Server, stepped: Connection
) -> None:
    living = executor(stepped)
    server.step(-DAY_S)
    assert Passes().run(stepped)["dead"] == 0
    assert passing(stepped, Passes(), 3, (living,)) == 0


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S])
def test_a_crashed_executor_is_found_while_the_clock_is_off(server: Server, stepped: Connection, ahead_s: int) -> None:
    """With the clock set back its last heartbeat lies in the future, and so does the start of Postgres itself."""
    living, passes = executor(stepped), Passes()
    passing(stepped, passes, 0.3, (living,))
    crashed = executor(stepped)
    server.step(ahead_s)
    assert passing(stepped, passes, DEAD_AFTER_S + 3, (living,)) == 1
    states: dict[Any, str] = dict(stepped.execute("SELECT id, state FROM orders_executor").fetchall())
    assert states == {living: "alive", crashed: "dead"}
