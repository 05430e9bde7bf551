"""Accepting: rows and events together, and what a key that was used before means."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from accounts.models import Account
from orders.effects import accept_data
from orders.ledger import statements
from orders.ledger.statements import Accepted, Answer, Connection, KeyConflict, NewOrder, Unknown
from orders.ledger.writers import Acceptor
from routing.mock.tokens import USDC
from tests.factories import Committed, accepted, claimed, connect, limit_order, new_order

OTHER = bytes([1]) * 32


def count(database: Connection, table: str = "orders_order") -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # type: ignore[index]


def test_an_order_is_a_row_and_its_first_event(database: Connection, account: int) -> None:
    market, limit = accepted(database, new_order(account)), accepted(database, limit_order(account))

    rows = database.execute(
        "SELECT o.id, o.status, o.seq, o.epoch, o.attempts, o.resting, o.run_at IS NULL, e.seq, e.status, e.data,"
        " e.at = o.created_at FROM orders_order o JOIN orders_orderevent e ON e.order_id = o.id ORDER BY o.id"
    ).fetchall()
    assert rows == [
        (market.id, "pending", 1, 0, 0, False, False, 1, "pending", {}, True),
        (limit.id, "pending", 1, 0, 0, True, True, 1, "pending", {"resting": True}, True),
    ]


def test_what_was_asked_for_is_what_is_stored(database: Connection, account: int) -> None:
    asked = limit_order(
        account,
        client_order_id="mine",
        idempotency_key="key",
        amount=Decimal("18446744073.709551615"),
        limit_price=Decimal("0.000000000000000001"),
        trigger_condition="lte",
        slippage_bps=5000,
        max_price_impact_bps=10_000,
        request_id="desk/7",
    )
    accepted(database, asked)

    names = [
        name
        for name in (name for name in NewOrder.__struct_fields__ if name != "lookup_only")
        if name != "request_hash"
    ]
    row = database.execute(f"SELECT {', '.join(names)} FROM orders_order").fetchone()
    assert row == tuple(getattr(asked, name) for name in names)


@pytest.mark.parametrize("make", [new_order, limit_order])
@pytest.mark.parametrize("request_id", [None, "desk/7"])
def test_a_request_s_id_is_in_the_first_event_and_in_the_claim(
    database: Connection, account: int, make: Callable[..., NewOrder], request_id: str | None
) -> None:
    order = accepted(database, make(account, request_id=request_id))

    data = msgspec.to_builtins(accept_data(order))
    assert database.execute("SELECT data FROM orders_orderevent").fetchone() == (data,)
    assert data.get("requestId") == claimed(database, order).request_id == request_id


@pytest.mark.parametrize("key", ["client_order_id", "idempotency_key"])
def test_the_same_key_and_request_is_the_first_order_again(database: Connection, account: int, key: str) -> None:
    first = accepted(database, new_order(account, **{key: "k"}))

    [again] = statements.accept(database, [new_order(account, **{key: "k"})])

    assert isinstance(again, Accepted)
    assert (again.order_id, again.replayed, again.status) == (first.id, True, "pending")
    assert count(database) == count(database, "orders_orderevent") == 1


@pytest.mark.parametrize("key", ["client_order_id", "idempotency_key"])
def test_the_same_key_for_something_else_is_a_conflict(database: Connection, account: int, key: str) -> None:
    first = accepted(database, new_order(account, **{key: "k"}))

    [refused] = statements.accept(database, [new_order(account, request_hash=OTHER, **{key: "k"})])

    assert refused == KeyConflict(first.id)
    assert count(database) == 1


@pytest.mark.parametrize("key", ["client_order_id", "idempotency_key"])
def test_what_comes_too_late_is_recalled_and_never_written(database: Connection, account: int, key: str) -> None:
    first = accepted(database, new_order(account, **{key: "k"}))
    late: list[dict[str, Any]] = [{key: "k"}, {key: "k", "request_hash": OTHER}, {key: "none"}]
    beside = new_order(account)

    *results, taken = statements.accept(
        database, [*(new_order(account, lookup_only=True, **fields) for fields in late), beside]
    )

    assert isinstance(results[0], Accepted) and (results[0].order_id, results[0].replayed) == (first.id, True)
    assert results[1:] == [KeyConflict(first.id), Unknown()]
    assert isinstance(taken, Accepted) and taken.order_id == beside.id
    assert count(database) == count(database, "orders_orderevent") == 2


def test_two_keys_of_two_orders_are_a_conflict(database: Connection, account: int) -> None:
    accepted(database, new_order(account, client_order_id="a"))
    accepted(database, new_order(account, idempotency_key="b"))

    [refused] = statements.accept(database, [new_order(account, client_order_id="a", idempotency_key="b")])

    assert isinstance(refused, KeyConflict)


def test_a_key_belongs_to_its_account(database: Connection, account: int) -> None:
    other = Account.objects.get_or_create(name="other")[0].pk
    accepted(database, new_order(account, client_order_id="k", idempotency_key="k"))

    accepted(database, new_order(other, client_order_id="k", idempotency_key="k", request_hash=OTHER))

    assert count(database) == 2


def test_one_batch_may_hold_a_key_several_times(database: Connection, account: int) -> None:
    first, second = new_order(account, client_order_id="k"), new_order(account, client_order_id="k")
    other = new_order(account, client_order_id="k", request_hash=OTHER)
    new = new_order(account)

    results = statements.accept(database, [first, second, other, new])

    taken = [result for result in results if isinstance(result, Accepted)]
    assert [(one.order_id, one.replayed) for one in taken] == [
        (first.id, False),
        (first.id, True),
        (new.id, False),
    ]
    assert isinstance(results[2], KeyConflict)


@pytest.mark.parametrize("key", ["client_order_id", "idempotency_key"])
def test_the_same_key_from_ten_threads_makes_one_order(database: Connection, account: int, key: str) -> None:
    together = threading.Barrier(10)

    def post(n: int) -> Answer:
        order = new_order(account, request_hash=OTHER if n % 2 else bytes(32), **{key: "k"})
        with connect() as connection:
            together.wait(60)
            return statements.accept(connection, [order])[0]

    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(post, range(10)))

    [new] = [one for one in results if isinstance(one, Accepted) and not one.replayed]
    assert {one.order_id for one in results if isinstance(one, Accepted | KeyConflict)} == {new.order_id}
    assert sum(isinstance(one, KeyConflict) for one in results) == 5
    assert count(database) == count(database, "orders_orderevent") == 1


async def test_an_acceptor_writes_orders_together(database: Connection, account: int, database_url: str) -> None:
    acceptor = Acceptor(database_url, window_ms=500, max_batch=100, capacity=100, timeout_ms=5_000, written=Committed())

    results = await asyncio.gather(*(acceptor.submit(new_order(account)) for _ in range(60)))

    assert all(isinstance(result, Accepted) for result in results)
    assert (acceptor.writes, count(database)) == (1, 60)
    await acceptor.close()


async def test_one_bad_order_does_not_take_its_batch_along(
    database: Connection, account: int, database_url: str
) -> None:
    """The checks let none pass; should one, the database refuses it alone."""
    acceptor = Acceptor(database_url, window_ms=20, max_batch=100, capacity=100, timeout_ms=5_000, written=Committed())
    bad: list[dict[str, Any]] = [{"amount": Decimal(-1)}, {"token_in": USDC.mint}, {"client_order_id": "a\0b"}]

    results = await asyncio.gather(*(acceptor.submit(new_order(account, **fields)) for fields in ({}, *bad, {})))

    assert [isinstance(result, Accepted) for result in results] == [True, False, False, False, True]
    assert all(isinstance(result, psycopg.Error) for result in results[1:4])
    assert count(database) == 2
    await acceptor.close()


async def test_an_acceptor_fails_while_postgres_is_away_and_goes_on_after(
    database: Connection, account: int, database_url: str, unused_tcp_port: int
) -> None:
    away = psycopg.conninfo.make_conninfo(database_url, host="127.0.0.1", port=str(unused_tcp_port))
    acceptor = Acceptor(away, window_ms=1, max_batch=100, capacity=100, timeout_ms=10_000, written=Committed())
    async with asyncio.timeout(30):
        results = await asyncio.gather(*(acceptor.submit(new_order(account)) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, psycopg.OperationalError) for result in results)

    acceptor._session._url = database_url
    assert isinstance(await acceptor.submit(new_order(account)), Accepted)
    await acceptor.close()


async def test_an_acceptor_survives_the_loss_of_its_connection(
    database: Connection, account: int, database_url: str
) -> None:
    # The two that lose their connection are to be in one batch.
    acceptor = Acceptor(
        database_url, window_ms=200, max_batch=100, capacity=100, timeout_ms=10_000, written=Committed()
    )
    await acceptor.submit(new_order(account))
    database.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'orderengine:accept'"
    )

    results = await asyncio.gather(*(acceptor.submit(new_order(account)) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(result, psycopg.OperationalError) for result in results)
    assert isinstance(await acceptor.submit(new_order(account)), Accepted)
    await acceptor.close()
