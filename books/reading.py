"""The books of an account, folded from its fills: those after its newest checkpoint, so that an answer takes no longer for an
account that has traded for years."""

from datetime import datetime
from typing import Any

import psycopg

from books.checkpoints import entry_of, newest, rank, well_quoted
from books.fills import EARLIEST, LATEST, Wanted, batches
from books.statement import Books


def books(
    connection: psycopg.Connection[Any],
    account_id: int,
    mode: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime = LATEST,
) -> Books:
    """`since` and `until` bound a statement; positions are of all fills before `until`."""
    begun = newest(connection, account_id, mode, until if since is None else since)
    held = [] if begun is None else begun.held
    if not well_quoted(held):
        begun, held = None, []
    found = Books(rank, period=period, since=since, held=held)
    wanted = Wanted(account_id=account_id, mode=mode, since=EARLIEST if begun is None else begun.at, until=until)
    for batch in batches(connection, wanted, after=None if begun is None else begun.last):
        for fill in batch:
            found.take(entry_of(fill))
    return found
