"""What has happened to an account's orders since a time, read in parts of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.db import close_old_connections, connection
from django.db.models import QuerySet
from psycopg.rows import namedtuple_row

from orders.ledger.queries import query
from orders.models import Order
from orders.representation import EventOut
from orders.streams.following import until_answered
from orders.streams.snapshots import events_of

Found = TypeVar("Found")

PAGE = 5_000
"""Orders of which the seq is read at once."""
MARGIN = timedelta(seconds=20)
"""An event is dated when its transaction begins, so one that is not to be seen yet may be older than one that is: by 15 s at
most, the longest that a statement of the ledger may take."""

Seqs = dict[UUID, int]
"""Orders, and the last seq of each."""


async def now() -> datetime:
    """Postgres's: all that it has committed by then is found by what is read afterwards."""
    [row] = await read("SELECT now() AS at", {})
    at: datetime = row.at
    return at


async def changed_since(account_id: int, since: datetime) -> AsyncIterator[Seqs]:
    """The account's orders that have changed since, in parts. What changes meanwhile may be left out."""
    statement, ended_since, after = query("ended", Path(__file__).parent), since, UUID(int=0)
    while page := await read(statement, {"account": account_id, "since": ended_since, "after": after, "page": PAGE}):
        yield {row.id: row.seq for row in page}
        ended_since, after = page[-1].finished_at, page[-1].id
    # Last: one that ends in between is found the next time, and not twice.
    changed = Order.objects.filter(account_id=account_id, finished_at=None, updated_at__gte=since)
    yield await answer(lambda: seqs_of(changed.order_by("id")))


async def newest(account_id: int, most: int) -> Seqs:
    """The account's newest orders, the newest first."""
    mine = Order.objects.filter(account_id=account_id)
    return await answer(lambda: seqs_of(mine.order_by("-id")[:most]))


def seqs_of(orders: QuerySet[Order]) -> Seqs:
    return dict(orders.values_list("id", "seq"))


async def events_after(sent: Mapping[UUID, int], since: datetime) -> dict[UUID, list[EventOut]]:
    """The events of orders after the last seq that was sent; of those with 0, the events since a time."""
    given = {"ids": list(sent), "seqs": list(sent.values()), "since": since}
    return events_of(await read(query("behind", Path(__file__).parent), given))


async def read(statement: str, given: Mapping[str, Any]) -> list[Any]:
    def rows() -> list[Any]:
        connection.ensure_connection()
        with connection.connection.cursor(row_factory=namedtuple_row) as cursor:
            return list(cursor.execute(statement, given).fetchall())

    return await answer(rows)


async def answer(ask: Callable[[], Found]) -> Found:
    """In a thread. Waits for as long as Postgres is away."""

    def asked() -> Found:
        close_old_connections()
        try:
            return ask()
        finally:
            close_old_connections()

    return await until_answered(lambda: asyncio.to_thread(asked))
