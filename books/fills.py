"""Fills: what confirmed orders traded. They are read from the orders themselves, so there is one of each and none is missing.

A listing takes a page; an export and the books read all of a range through a cursor of the server, in constant memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import django.db
import msgspec
import psycopg
from django.conf import settings

from orders.ledger.queries import query
from orders.mints import mint_of, stored_as
from orders.representation import FeeOut, Moment, Out, PartOut, Uuid
from orders.wire import text, timestamp
from routing.values import Pair, Token
from routing.world import tokens
from runtime.postgres import CONNECT, set_up

SQL = Path(__file__).parent / "sql"
BATCH = 1_000
"""Rows that are held at a time."""
TIMEOUT_MS = 600_000
"""For all of a range. Whoever takes longer asks for a shorter one: an old snapshot keeps dead rows from being cleared away."""
ANSWER_MS = 10_000
"""For what is answered at once."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
ORDER = {True: " ORDER BY at DESC, id DESC", False: " ORDER BY at, id"}


class Fill(NamedTuple):
    """A row of `fills.sql`."""

    id: UUID
    seq: int
    at: datetime
    type: str
    client_order_id: str | None
    token_in: str
    token_out: str
    amount_in: Decimal
    amount_out: Decimal
    executed_price: Decimal
    venue: str
    fee: Decimal | None
    fees: str | None
    parts: str | None
    tx_hash: str
    slot: int | None
    wallet: str | None
    mode: str
    plan_id: UUID | None
    leg: str | None


class FillOut(Out):
    order_id: Uuid
    seq: Annotated[int, msgspec.Meta(description="Of the order's event `confirmed`.")]
    at: Annotated[Moment, msgspec.Meta(description="When the ledger recorded it.")]
    type: Annotated[str, msgspec.Meta(description="Of the order.")]
    client_order_id: str | None
    token_in: Annotated[str, msgspec.Meta(description="Sold: its symbol, if that is verified, else its mint.")]
    token_out: str
    mint_in: str
    mint_out: str
    amount_in: str
    amount_out: str
    price: Annotated[str, msgspec.Meta(description="tokenOut per tokenIn.")]
    venue: str
    fees: Annotated[list[FeeOut], msgspec.Meta(description="The venue's is taken out of what it pays: in amountOut.")]
    parts: Annotated[list[PartOut], msgspec.Meta(description="Of a split: what each pool took and paid.")] | None
    tx_hash: str
    slot: int | None
    wallet: str | None
    mode: str
    plan_id: Uuid | None
    leg: str | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which fills of an account."""

    account_id: int
    since: datetime = EARLIEST
    until: datetime = LATEST
    mode: str | None = None
    venue: str | None = None
    token: Token | None = None
    pair: Pair | None = None

    def parameters(
        self, *, cursor: UUID | None = None, at: datetime | None = None, newest: bool = False
    ) -> dict[str, Any]:
        """`cursor`: the order of the fill before, whose time is `at`, if that is known."""
        return {
            "account": self.account_id,
            "since": self.since,
            "until": self.until,
            "mode": self.mode,
            "venue": self.venue,
            "token": None if self.token is None else stored_as(self.token.mint),
            "sold": None if self.pair is None else stored_as(self.pair.token_in.mint),
            "bought": None if self.pair is None else stored_as(self.pair.token_out.mint),
            "cursor": cursor,
            "at": at,
            "newest": newest,
        }


def statement(*, newest: bool) -> str:
    return query("fills", SQL) + ORDER[newest]


@contextmanager
def connected(*, timeout_ms: int = TIMEOUT_MS) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own, that only reads: Django's are for short questions. Raises `psycopg.OperationalError`."""
    name = "orderengine:books"
    with psycopg.connect(settings.DATABASE_URL, application_name=name, **CONNECT) as connection:
        set_up(connection, statement_timeout_ms=timeout_ms, default_transaction_read_only="on")
        connection.commit()
        yield connection


def page(wanted: Wanted, *, limit: int, newest: bool, cursor: UUID | None) -> list[Fill]:
    """At most so many fills after the one of order `cursor`. Raises `django.db.OperationalError`."""
    with django.db.transaction.atomic(), django.db.connection.cursor() as rows:
        rows.execute("SELECT set_config('statement_timeout', %s, true)", [str(ANSWER_MS)])
        rows.execute(
            statement(newest=newest) + " LIMIT %(limit)s",
            wanted.parameters(cursor=cursor, newest=newest) | {"limit": limit},
        )
        return [Fill(*row) for row in rows.fetchall()]


def batches(
    connection: psycopg.Connection[Any], wanted: Wanted, *, after: tuple[datetime, UUID] | None = None
) -> Iterator[list[Fill]]:
    """All fills, the oldest first, of one snapshot of the database; those after the fill of that time and order."""
    at, cursor = after or (None, None)
    with connection.transaction(), connection.cursor("fills") as rows:
        rows.execute(statement(newest=False), wanted.parameters(cursor=cursor, at=at))
        while found := rows.fetchmany(BATCH):
            yield [Fill(*row) for row in found]


def some(
    connection: psycopg.Connection[Any], wanted: Wanted, *, after: tuple[datetime, UUID] | None, most: int
) -> list[Fill]:
    """The oldest ones of these."""
    at, cursor = after or (None, None)
    rows = connection.execute(
        statement(newest=False) + " LIMIT %(limit)s", wanted.parameters(cursor=cursor, at=at) | {"limit": most}
    )
    return [Fill(*row) for row in rows]


FEES, PARTS = msgspec.json.Decoder(list[FeeOut]), msgspec.json.Decoder(list[PartOut])


def fees_of(fill: Fill) -> list[FeeOut]:
    """By kind and token. Older rows, and the mock's, name the venue's alone."""
    if fill.fees is not None:
        return FEES.decode(fill.fees)
    return [FeeOut("venue", mint_of(fill.token_out), text(fill.fee))] if fill.fee else []


def fill_out(fill: Fill) -> FillOut:
    known, mint_in, mint_out = tokens(), mint_of(fill.token_in), mint_of(fill.token_out)
    return FillOut(
        order_id=str(fill.id),
        seq=fill.seq,
        at=timestamp(fill.at),
        type=fill.type,
        client_order_id=fill.client_order_id,
        token_in=known.label(mint_in),
        token_out=known.label(mint_out),
        mint_in=mint_in,
        mint_out=mint_out,
        amount_in=text(fill.amount_in),
        amount_out=text(fill.amount_out),
        price=text(fill.executed_price),
        venue=fill.venue,
        fees=fees_of(fill),
        parts=None if fill.parts is None else PARTS.decode(fill.parts),
        tx_hash=fill.tx_hash,
        slot=fill.slot,
        wallet=fill.wallet,
        mode=fill.mode,
        plan_id=None if fill.plan_id is None else str(fill.plan_id),
        leg=fill.leg,
    )
