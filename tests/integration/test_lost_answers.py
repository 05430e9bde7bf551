"""The recorder against the real ledger: it writes, it waits for Postgres, and it knows its own after a lost answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from orders import commit, ledger
from orders.commit import Recorder
from orders.ledger import Change, Connection
from orders.lifecycle import Status
from tests.factories import accepted, executor, new_order


@asynccontextmanager
async def recorder(url: str, told: list[tuple[Change, datetime]]) -> AsyncIterator[Recorder]:
    records = Recorder(url, window_ms=1, most=10, capacity=100, written=told.extend)
    yield records
    await records.close()
    records._session.close()


def claimed(database: Connection, account: int) -> ledger.Claimed:
    order = accepted(database, new_order(account))
    [found] = ledger.claim(database, executor(database), [order.id], {})
    return found


def built(order: ledger.Claimed) -> Change:
    return Change(
        order_id=order.id,
        account_id=order.account_id,
        epoch=order.epoch,
        seq=order.seq + 1,
        was=Status.ROUTING,
        status=Status.BUILDING,
        data={"venue": "RAYDIUM"},
    )


def events(database: Connection, order_id: UUID) -> list[str]:
    rows = database.execute("SELECT status FROM orders_orderevent WHERE order_id = %s ORDER BY seq", (order_id,))
    return [row[0] for row in rows]


async def test_it_writes_and_tells(database: Connection, account: int, database_url: str) -> None:
    order, told = claimed(database, account), []
    async with recorder(database_url, told) as records:
        at = await records.submit(built(order))
        assert told == [(built(order), at)]
        assert await records.submit(built(order)) is None
    assert events(database, order.id) == ["pending", "routing", "building"]


@pytest.mark.parametrize("lost", ["the request", "the answer"])
async def test_a_connection_that_breaks_at_the_commit(
    database: Connection, account: int, database_url: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    order, told = claimed(database, account), []
    real, broken = ledger.record, []

    def breaks_once(connection: Connection, changes: list[Change]) -> list[datetime | None]:
        if broken:
            return real(connection, changes)
        if lost == "the answer":
            real(connection, changes)
        broken.append(True)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(commit.ledger, "record", breaks_once)
    async with recorder(database_url, told) as records, asyncio.timeout(10):
        assert await records.submit(built(order)) is not None
    assert len(told) == 1 and broken
    assert events(database, order.id) == ["pending", "routing", "building"]


async def test_one_change_that_cannot_be_written_fails_alone(
    database: Connection, account: int, database_url: str
) -> None:
    good, bad = claimed(database, account), claimed(database, account)
    spoilt = built(bad)
    object.__setattr__(spoilt, "data", {"venue": "\x00"})
    async with recorder(database_url, []) as records:
        results = await asyncio.gather(records.submit(built(good)), records.submit(spoilt))
    assert results[0] is not None and results[1] is None
