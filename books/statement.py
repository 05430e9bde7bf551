"""An account's books: its fills in the order of time, folded into positions and into the lines of a statement. Pure.

A line is what one position did in one period, of a UTC day or hour; a period without fills has none.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from books.positions import ZERO, Position, Precedence, Trade, added, trade_of, traded

PERIODS = ("day", "hour")


class Entry(NamedTuple):
    """Of a fill what books need; tokens are mints."""

    at: datetime
    mint_in: str
    mint_out: str
    amount_in: Decimal
    amount_out: Decimal
    fees: tuple[tuple[str, str, Decimal], ...]
    """(kind, mint, amount)."""


class Line:
    """What a position did in a period."""

    __slots__ = ("bought", "closing", "fees", "fills", "opening", "paid", "received", "sold")

    def __init__(self, opening: Position) -> None:
        self.opening = self.closing = opening
        self.fills = 0
        self.bought = self.sold = self.paid = self.received = ZERO
        """Of base, and of quote."""
        self.fees: dict[tuple[str, str], Decimal] = {}

    @property
    def realised(self) -> Decimal:
        return added(self.closing.realised, self.opening.realised.copy_negate())

    def take(self, trade: Trade, fees: Iterable[tuple[str, str, Decimal]]) -> None:
        self.closing = traded(self.closing, trade.amount, trade.paid)
        self.fills += 1
        if trade.amount > 0:
            self.bought, self.paid = added(self.bought, trade.amount), added(self.paid, trade.paid)
        else:
            self.sold, self.received = (
                added(self.sold, trade.amount.copy_negate()),
                added(self.received, trade.paid.copy_negate()),
            )
        for kind, token, amount in fees:
            self.fees[(kind, token)] = added(self.fees.get((kind, token), ZERO), amount)


Key = tuple[str, str]
"""(base, quote), mints."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A position with its line of all time: what a fold goes on from."""

    base: str
    quote: str
    position: Position
    bought: Decimal
    sold: Decimal
    paid: Decimal
    received: Decimal
    fills: int
    fees: list[tuple[str, str, Decimal]]

    def line(self) -> Line:
        line = Line(Position())
        line.closing, line.fills = self.position, self.fills
        line.bought, line.sold, line.paid, line.received = self.bought, self.sold, self.paid, self.received
        line.fees = {(kind, token): amount for kind, token, amount in self.fees}
        return line


class Books:
    """Positions since the first fill, and a statement's lines from `since` on; without `period` one line of each position, of
    all time. `held`: what the fills before those that it takes come to."""

    def __init__(
        self,
        precedence: Precedence,
        *,
        period: str | None = None,
        since: datetime | None = None,
        held: Iterable[Held] = (),
    ) -> None:
        self._precedence = precedence
        self._period = period
        self._since = since
        self.positions: dict[Key, Position] = {}
        self.lines: dict[tuple[datetime | None, Key], Line] = {}
        for each in held:
            key = each.base, each.quote
            self.positions[key] = each.position
            if period is None and since is None:
                self.lines[(None, key)] = each.line()

    def held(self) -> list[Held]:
        """Of books without a period."""
        return [
            Held(
                *key,
                line.closing,
                line.bought,
                line.sold,
                line.paid,
                line.received,
                line.fills,
                [(*fee, amount) for fee, amount in line.fees.items()],
            )
            for (_, key), line in self.lines.items()
        ]

    def take(self, entry: Entry) -> None:
        """Fills are given in the order of time."""
        trade = trade_of(entry.mint_in, entry.mint_out, entry.amount_in, entry.amount_out, self._precedence)
        key = trade.base, trade.quote
        before = self.positions.get(key, Position())
        if self._since is not None and entry.at < self._since:
            self.positions[key] = traded(before, trade.amount, trade.paid)
            return
        place = self._begin(entry.at), key
        line = self.lines.get(place)
        if line is None:
            line = self.lines[place] = Line(before)
        line.take(trade, entry.fees)
        self.positions[key] = line.closing

    def _begin(self, at: datetime) -> datetime | None:
        if self._period is None:
            return None
        hour = at.replace(minute=0, second=0, microsecond=0)
        return hour if self._period == "hour" else hour.replace(hour=0)
