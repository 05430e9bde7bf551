"""Checkpoints: what an account's fills come to, up to one of them, so that nobody has to fold a million fills again.

A checkpoint stands at a fill before which no other can appear any more (`orders/ledger/horizon.sql`). It is derived from the
fills, says the same as folding them, and may be deleted at any time.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from books.fills import SQL, Fill, fees_of
from books.statement import Entry, Held
from orders.ledger import queries
from orders.mints import mint_of
from routing.values import UNRANKED, precedence
from routing.world import tokens

query = partial(queries.query, folder=SQL)
NEWEST, WRITE = query("checkpoint"), query("checkpoint_write")
HELD = msgspec.json.Decoder(list[Held])
encode = msgspec.json.Encoder().encode


class Checkpoint(NamedTuple):
    """A row of `checkpoint.sql`."""

    at: datetime
    order_id: UUID
    fills: int
    positions: str

    @property
    def last(self) -> tuple[datetime, UUID]:
        """The fill that it ends with."""
        return self.at, self.order_id

    @property
    def held(self) -> list[Held]:
        return HELD.decode(self.positions)


def newest(connection: psycopg.Connection[Any], account_id: int, mode: str, before: datetime) -> Checkpoint | None:
    """The newest checkpoint before a time."""
    row = connection.execute(NEWEST, {"account": account_id, "mode": mode, "before": before}).fetchone()
    return None if row is None else Checkpoint(*row)


def well_quoted(held: Iterable[Held]) -> bool:
    """Whether the quote token of each position is the one that it is by today's precedence of tokens."""
    return all(rank(each.quote) < rank(each.base) for each in held)


def write(connection: psycopg.Connection[Any], account_id: int, mode: str, of: Checkpoint) -> None:
    connection.execute(WRITE, {"account": account_id, "mode": mode, **of._asdict()})


def rank(mint: str) -> tuple[int, str]:
    token = tokens().resolve(mint)
    return (UNRANKED, mint) if token is None else precedence(token)


def entry_of(fill: Fill) -> Entry:
    fees = tuple((fee.kind, fee.token, Decimal(fee.amount)) for fee in fees_of(fill))
    return Entry(fill.at, mint_of(fill.token_in), mint_of(fill.token_out), fill.amount_in, fill.amount_out, fees)
