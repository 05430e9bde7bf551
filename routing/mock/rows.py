"""Rows of the mock chain's store, to and from values. Times are microseconds since 1970."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from routing.mock.calls import Sighting
from routing.values import Fate, Fill, Swap, SwapStatus

Row = tuple[str, str, int, int | None, str | None, str | None, str | None, str | None, str | None]

INSERT_TRANSACTION = (
    "INSERT INTO transactions (signature, reference, payload, valid_until, lands_at, fate) VALUES (?, ?, ?, ?, ?, ?)"
)
_SELECT = (
    "SELECT signature, fate, valid_until, lands_at, amount_in, amount_out, executed_price, fee, error FROM transactions"
)


class Due(msgspec.Struct, frozen=True):
    """A transaction whose time to land has come."""

    signature: str
    payload: bytes
    lands_at: datetime


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def by_signature(db: sqlite3.Connection, swaps: Iterable[Swap]) -> dict[str, Row]:
    """The rows of those that the chain has seen."""
    signatures = msgspec.json.encode([swap.signature for swap in swaps]).decode()
    found = db.execute(f"{_SELECT} WHERE signature IN (SELECT value FROM json_each(?))", (signatures,))  # nosec B608
    return {row[0]: row for row in found}


def due(db: sqlite3.Connection, now: int) -> list[Due]:
    found = db.execute(
        "SELECT signature, payload, lands_at FROM transactions"
        " WHERE fate = 'pending' AND lands_at IS NOT NULL AND lands_at <= ?",
        (now,),
    )
    return [Due(signature, payload, moment(lands_at)) for signature, payload, lands_at in found]


def transaction(swap: Swap, lands_at: datetime | None, fate: Fate) -> tuple[str, str, bytes, int, int | None, Fate]:
    """The parameters of `INSERT_TRANSACTION`."""
    lands_us = None if lands_at is None else micros(lands_at)
    return swap.signature, swap.reference, swap.payload, swap.validity, lands_us, fate


def unseen(swap: Swap) -> Row:
    """What would be read of a transaction that never arrived."""
    return swap.signature, Fate.PENDING, swap.validity, None, None, None, None, None, None


def sightings(rows: Sequence[Row], now: int) -> list[Sighting]:
    """What the rows say at `now`."""
    return [_sighting(row, now) for row in rows]


def _sighting(row: Row, now: int) -> Sighting:
    signature, stored, valid_until, lands_us, amount_in, amount_out, executed_price, fee, error = row
    fate = Fate(stored)
    lands_at = None if lands_us is None else moment(lands_us)
    if fate is Fate.PENDING and lands_at is None and now > valid_until:
        fate = Fate.EXPIRED
    fill = None
    if fate is Fate.LANDED:
        assert lands_at is not None and amount_out is not None and executed_price is not None
        assert fee is not None
        taken = None if amount_in is None else Decimal(amount_in)
        fill = Fill(signature, Decimal(amount_out), Decimal(executed_price), Decimal(fee), lands_at, taken)
    return Sighting(SwapStatus(signature, fate, fill, error), lands_at)
