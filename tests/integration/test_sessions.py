"""Database sessions that have become unusable: after a schema change, and on a server that is read-only."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.test import Client

from accounts.models import ApiKey, digest
from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.statements import Connection
from orders.ledger.values import Accepted
from orders.ledger.writers import Acceptor, Claimer, Recorder
from orders.lifecycle import Event
from orders.models import Order
from orders.streams.snapshots import Reader
from tests.engine import BASE_DIR
from tests.factories import Committed, accepted, change, claimed, connect, executor, limit_order, new_order, reconciler
from tests.waiting import until

COLUMNS = {
    "venue": ("varchar(40)", "varchar(16)"),
    "type": ("varchar(12)", "varchar(8)"),
    "status": ("text", "varchar(9)"),
}
"""Column: the type that a migration gives it while the engine runs, and the type that it has."""


def altered(database: Connection, which: int) -> None:
    for column, types in COLUMNS.items():
        database.execute(f"ALTER TABLE orders_order ALTER COLUMN {column} TYPE {types[which]}")


@pytest.fixture
def migrate(database: Connection) -> Iterator[Any]:
    """Changes the types of the columns of a table whose statements are prepared already."""
    yield lambda: altered(database, 0)
    database.execute("TRUNCATE orders_order")
    altered(database, 1)


async def test_accepting_goes_on_after_a_schema_change(
    database: Connection, account: int, database_url: str, migrate: Any
) -> None:
    committed = Committed()
    acceptor = Acceptor(database_url, window_ms=1, max_batch=10, capacity=10, timeout_ms=5_000, written=committed)
    first = new_order(account, client_order_id="again")
    await acceptor.submit(first)
    # Answered by the statement that finds earlier orders, which is prepared by that.
    await acceptor.submit(new_order(account, client_order_id="again"))
    migrate()

    new, again = new_order(account), new_order(account, client_order_id="again")
    answers = [await acceptor.submit(again), await acceptor.submit(new)]
    await acceptor.close()

    assert [(answer.order_id, answer.replayed) for answer in answers if isinstance(answer, Accepted)] == [
        (first.id, True),
        (new.id, False),
    ]
    assert [order.id for order, _ in committed] == [first.id, new.id]


def test_an_order_whose_acceptance_is_tried_again_is_found_by_its_id(database: Connection, account: int) -> None:
    """The insert was committed, the look-up of another order of the batch failed: the batch is written once more."""
    order = accepted(database, new_order(account))

    [answer] = statements.accept(database, [order])

    assert isinstance(answer, Accepted) and (answer.order_id, answer.replayed) == (order.id, False)
    assert Order.objects.count() == 1


async def test_claiming_goes_on_after_a_schema_change(
    database: Connection, account: int, database_url: str, migrate: Any
) -> None:
    orders = [accepted(database, new_order(account)) for _ in range(2)]
    claimer = Claimer(database_url, executor(database), window_ms=1, max_batch=9, capacity=9, written=Committed())
    assert await claimer.submit((orders[0].id, None))
    migrate()

    taken = await claimer.submit((orders[1].id, None))
    await claimer.close()

    assert taken is not None and taken.id == orders[1].id


async def test_recording_goes_on_after_a_schema_change(
    database: Connection, account: int, database_url: str, migrate: Any
) -> None:
    taken = [claimed(database, accepted(database, new_order(account))) for _ in range(2)]
    recorder = Recorder(database_url, window_ms=1, max_batch=10, capacity=10, written=Committed())
    assert await recorder.submit(change(taken[0], Event.BUILD, data={"venue": "RAYDIUM"}))
    migrate()

    at = await recorder.submit(change(taken[1], Event.BUILD, data={"venue": "RAYDIUM"}))
    await recorder.close()

    assert at is not None
    assert database.execute("SELECT seq FROM orders_order WHERE id = %s", (taken[1].id,)).fetchone() == (3,)


async def test_snapshots_are_read_after_a_schema_change(database: Connection, account: int, migrate: Any) -> None:
    order = accepted(database, new_order(account))
    reader = Reader()
    assert await reader.submit((order.id, 0))
    assert await reader.since.submit((order.id, 0))
    migrate()

    snapshot, since = await reader.submit((order.id, 0)), await reader.since.submit((order.id, 0))
    await reader.close()

    assert snapshot is not None and snapshot.order.order_id == str(order.id) and len(since) == 1


def test_reconciling_goes_on_after_a_schema_change(
    database: Connection, account: int, database_url: str, migrate: Any
) -> None:
    order = accepted(database, new_order(account))
    dispatched: list[Any] = []
    reconciling = reconciler(dispatch=dispatched.extend)
    session = Session(database_url, name="dbsync", statement_timeout_ms=10_000)

    def one_pass(connection: Connection) -> None:
        connection.prepare_threshold = 0  # As after five passes.
        reconciling.run(connection)
        connection.execute("SELECT * FROM orders_order").fetchall()

    session.run(one_pass)
    migrate()
    session.run(one_pass)
    session.close()

    assert set(dispatched) == {order.id}


def test_django_reads_after_a_schema_change(database: Connection, account: int, migrate: Any) -> None:
    order = accepted(database, new_order(account))
    for _ in range(7):  # Beyond psycopg's threshold for preparing by itself.
        assert Order.objects.get(pk=order.id).type == "market"
    migrate()

    assert Order.objects.get(pk=order.id).type == "market"


def test_an_error_of_the_data_keeps_the_session(database: Connection, database_url: str) -> None:
    session = Session(database_url, name="test", statement_timeout_ms=5_000)

    def backend(connection: Connection) -> int:
        return connection.info.backend_pid

    before = session.run(backend)
    with pytest.raises(psycopg.DataError):
        session.run(lambda connection: connection.execute("SELECT 'x'::int"))
    assert session.run(backend) == before
    with pytest.raises(psycopg.ProgrammingError):
        session.run(lambda connection: connection.execute("SELECT nonsense"))
    assert session.run(backend) != before
    session.close()


NO_STATIC_FILES = pytest.mark.filterwarnings("ignore:No directory at")
READ_ONLY = "default_transaction_read_only"
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'orderengine:%'"


@pytest.fixture
def server(database: Connection) -> Iterator[Connection]:
    """A session that stays writable and that can make the role's next sessions read-only."""
    with connect() as connection:
        connection.execute(f"SET {READ_ONLY} = off")
        yield connection
        promote(connection)


def demote(server: Connection) -> None:
    """New sessions are read-only."""
    server.execute(f"ALTER ROLE CURRENT_USER SET {READ_ONLY} = on")


def promote(server: Connection) -> None:
    server.execute(f"ALTER ROLE CURRENT_USER RESET {READ_ONLY}")


async def demote_with(server: Connection, writer: Any) -> None:
    """New sessions are read-only, and the writer's own one, which stays open."""
    demote(server)
    await asyncio.to_thread(writer._session.run, lambda connection: connection.execute(f"SET {READ_ONLY} = on"))


@pytest.fixture
async def acceptor(database: Connection, database_url: str) -> AsyncIterator[Acceptor]:
    made = Acceptor(database_url, window_ms=1, max_batch=10, capacity=10, timeout_ms=5_000, written=Committed())
    yield made
    await made.close()


async def test_accepting_is_unavailable_on_a_read_only_server_and_recovers_by_itself(
    database: Connection, server: Connection, account: int, acceptor: Acceptor
) -> None:
    assert isinstance(await acceptor.submit(new_order(account)), Accepted)
    demote(server)
    server.execute(OTHERS)
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError):
            await acceptor.submit(new_order(account))
    promote(server)

    assert isinstance(await acceptor.submit(new_order(account)), Accepted)


async def test_an_open_session_that_becomes_read_only_is_dropped(
    database: Connection, server: Connection, account: int, acceptor: Acceptor
) -> None:
    assert isinstance(await acceptor.submit(new_order(account)), Accepted)
    await demote_with(server, acceptor)
    with pytest.raises(psycopg.OperationalError):
        await acceptor.submit(new_order(account))
    promote(server)

    assert isinstance(await acceptor.submit(new_order(account)), Accepted)


async def test_claiming_is_unavailable_on_a_read_only_server_and_recovers_by_itself(
    database: Connection, server: Connection, account: int, database_url: str
) -> None:
    order = accepted(database, new_order(account))
    claimer = Claimer(database_url, executor(database), window_ms=1, max_batch=9, capacity=9, written=Committed())
    assert await claimer.submit((accepted(database, new_order(account)).id, None))
    await demote_with(server, claimer)
    with pytest.raises(psycopg.OperationalError):
        await claimer.submit((order.id, None))
    promote(server)

    taken = await claimer.submit((order.id, None))
    await claimer.close()

    assert taken is not None and taken.id == order.id


async def test_recording_waits_for_a_writable_server_and_loses_nothing(
    database: Connection, server: Connection, account: int, database_url: str
) -> None:
    taken = claimed(database, accepted(database, new_order(account)))
    other = claimed(database, accepted(database, new_order(account)))
    recorder = Recorder(database_url, window_ms=1, max_batch=10, capacity=10, written=Committed())
    assert await recorder.submit(change(other, Event.BUILD))
    await demote_with(server, recorder)
    waiting = recorder.submit(change(taken, Event.BUILD))
    done, _ = await asyncio.wait([waiting], timeout=0.6)
    assert not done
    promote(server)

    async with asyncio.timeout(5):
        assert await waiting
    await recorder.close()


def test_a_pooled_session_that_became_read_only_is_not_given_out_again(database: Connection) -> None:
    """Django's pool keeps sessions for a minute; this one would refuse every write until then."""

    def backend(*statements: str) -> int:
        with django_connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
        django_connection.close()
        return int(pid)

    read_only = backend(f"SET {READ_ONLY} = on")
    # The pool may hold others; it gives the one that was returned first.
    assert read_only not in {backend() for _ in range(20)}


@pytest.fixture
def client(database: Connection, account: int) -> Client:
    scopes = {"account_id": account, "name": "", "scopes": ["trade", "read"]}
    ApiKey.objects.get_or_create(hash=digest("oe_session_tests"), defaults=scopes)
    headers = {"Host": "localhost", "Authorization": "Bearer oe_session_tests"}
    return Client(headers=headers, raise_request_exception=False)


def answered_503(refused: Any) -> None:
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(refused["Retry-After"]) >= 1


@NO_STATIC_FILES
def test_cancelling_on_a_read_only_server_is_answered_503(
    database: Connection, server: Connection, client: Client, account: int
) -> None:
    order = accepted(database, limit_order(account))
    demote(server)
    server.execute(OTHERS)
    answered_503(client.delete(f"/api/orders/{order.id}"))
    promote(server)

    # A pool holds several sessions of before; each is found out by the request that gets it.
    until(lambda: client.delete(f"/api/orders/{order.id}").status_code == 200, 15)
    assert client.get(f"/api/orders/{order.id}").json()["status"] == "cancelled"


@NO_STATIC_FILES
def test_a_write_through_a_read_only_session_of_django_is_answered_503(database: Connection, client: Client) -> None:
    # From here on the key is remembered: looking it up would take another session of the pool.
    assert client.post("/api/ws-ticket").status_code == 200
    with django_connection.cursor() as cursor:
        cursor.execute(f"SET {READ_ONLY} = on")
    answered_503(client.post("/api/ws-ticket"))
    django_connection.close()

    assert client.post("/api/ws-ticket").status_code == 200


def test_a_session_has_its_limits_without_options_of_its_start(database: Connection, database_url: str) -> None:
    """PgBouncer refuses a start with `options`; what they said is set by a statement."""
    packages = ("accounts", "console", "orderengine", "orders", "routing", "runtime", "trade", "triggers", "wallets")
    sources = [file for package in packages for file in (BASE_DIR / package).rglob("*.py")]
    assert [file for file in sources if re.search(r'"-c \w+=|"options":', file.read_text())] == []
    session = Session(database_url, name="limits", statement_timeout_ms=1_234)

    def asked(connection: Connection) -> list[str]:
        names = ("statement_timeout", "timezone", "enable_seqscan", "application_name")
        return [str((connection.execute(f"SHOW {name}").fetchone() or [""])[0]) for name in names]

    try:
        assert session.run(asked) == ["1234ms", "UTC", "off", "orderengine:limits"]
        assert "options" not in session.run(lambda connection: connection.info.get_parameters())
    finally:
        session.close()
