"""What an account has realised today, by average cost. Pure; all sums are exact."""

from collections.abc import Mapping
from datetime import UTC, date
from decimal import Decimal

from books.positions import CALCULATED, ZERO, Position, Precedence, added, rounded, trade_of, traded
from books.statement import Entry, Key


class Today:
    """An account's positions, and what they were when their day (UTC) began. It goes over to the next day by itself."""

    def __init__(self, precedence: Precedence, day: date, began: Mapping[Key, Position]) -> None:
        """`began`: all positions at the day's beginning."""
        self._precedence = precedence
        self.day = day
        self._began = dict(began)
        self._positions = dict(began)

    def take(self, entry: Entry) -> None:
        """Fills of the day and later, in the order of time."""
        if (day := entry.at.astimezone(UTC).date()) > self.day:
            self.day, self._began = day, dict(self._positions)
        trade = trade_of(entry.mint_in, entry.mint_out, entry.amount_in, entry.amount_out, self._precedence)
        key = trade.base, trade.quote
        self._positions[key] = traded(self._positions.get(key, Position()), trade.amount, trade.paid)

    def copy(self) -> "Today":
        other = Today(self._precedence, self.day, self._began)
        other._positions = dict(self._positions)
        return other

    def realised(self, day: date) -> dict[str, Decimal]:
        """By quote token (mint): received on the day beyond the cost of what was closed; negative: lost."""
        found: dict[str, Decimal] = {}
        if day != self.day:
            return found  # Nothing was traded on it.
        for key, position in self._positions.items():
            before = self._began.get(key, Position()).realised
            if gained := CALCULATED.subtract(position.realised, before):
                found[key[1]] = added(found.get(key[1], ZERO), gained)
        return found


def loss(realised: Mapping[str, Decimal], worth: Mapping[str, Decimal]) -> tuple[Decimal, list[str]]:
    """(What is lost in the currency of limits, quote tokens that nobody knows the worth of): gains make up for losses, and what
    is not known is neither. `worth`: of one of a mint."""
    total, unpriced = ZERO, []
    for mint, gained in realised.items():
        if not gained:
            continue
        if (price := worth.get(mint)) is None:
            unpriced.append(mint)
        else:
            total = added(total, CALCULATED.multiply(gained, price))
    return max(ZERO, rounded(total.copy_negate())), sorted(unpriced)
