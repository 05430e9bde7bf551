"""The books of an account, from its fills. They are folded anew each time, so that they cannot differ from the fills."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from books.fills import Fill, Wanted, batches, fees_of
from books.statement import Books, Entry
from orders.mints import mint_of
from routing.values import UNRANKED, precedence
from routing.world import tokens


def books(
    connection: psycopg.Connection[Any],
    account_id: int,
    mode: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Books:
    """`since` and `until` bound a statement; positions are of all fills before `until`."""
    found = Books(rank, period=period, since=since)
    wanted = Wanted(account_id=account_id, mode=mode)
    if until is not None:
        wanted = msgspec.structs.replace(wanted, until=until)
    for batch in batches(connection, wanted):
        for fill in batch:
            found.take(entry_of(fill))
    return found


def rank(mint: str) -> tuple[int, str]:
    token = tokens().resolve(mint)
    return (UNRANKED, mint) if token is None else precedence(token)


def entry_of(fill: Fill) -> Entry:
    fees = tuple((fee.kind, fee.token, Decimal(fee.amount)) for fee in fees_of(fill))
    return Entry(fill.at, mint_of(fill.token_in), mint_of(fill.token_out), fill.amount_in, fill.amount_out, fees)
