"""What has happened to an account's orders since a time, read in parts of bounded size."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import close_old_connections, connection
from psycopg.rows import namedtuple_row

from orders.ledger.queries import query
from orders.representation import EventOut
from orders.streams.following import until_answered
from orders.streams.snapshots import events_of

PAGE = 500
"""Orders read at once."""
MARGIN_S = 20
"""An event is dated when its transaction begins, so one that a client has not seen may be older than one that it has: by
15 s at most, the longest that a statement of the ledger may take."""

Changed = dict[UUID, list[EventOut]]
"""Orders, and of each its events since the time in the order of seq."""


async def changed_since(account_id: int, since: datetime) -> AsyncIterator[Changed]:
    """The orders in pages, by id. Waits for as long as Postgres is away."""
    margin, after = since - timedelta(seconds=MARGIN_S), UUID(int=0)
    while page := await until_answered(partial(asyncio.to_thread, read_page, account_id, margin, after)):
        yield page
        after = max(page)


def read_page(account_id: int, since: datetime, after: UUID) -> Changed:
    close_old_connections()
    try:
        connection.ensure_connection()
        with connection.connection.cursor(row_factory=namedtuple_row) as cursor:
            given = {"account": account_id, "since": since, "after": after, "page": PAGE}
            return events_of(cursor.execute(query("changed", Path(__file__).parent), given).fetchall())
    finally:
        close_old_connections()
