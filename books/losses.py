"""Follows the fills of accounts whose loss of a day is limited, and notes in their budgets what they have lost.

What is known of an account begins at its newest checkpoint and goes on from fill to fill, so a restart finds the same. Fills
behind the horizon are taken once; the few after it are taken anew at each look, as others may still come between them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from books.checkpoints import encode, entry_of, query, rank
from books.fills import LATEST, Wanted, batches
from books.keeper import ACCOUNTS, COUNT
from books.positions import ZERO, added
from books.reading import books
from books.today import Today, loss
from risk.values import EVERYBODY

NOTE = query("note_losses")
LIMITED = "SELECT account_id FROM risk_rule WHERE max_daily_loss IS NOT NULL"
WORK_S = 2.0
"""Of one look, at accounts that are not known yet; the others' losses are noted all the same."""


class Followed:
    """An account."""

    def __init__(self, today: Today, began: datetime) -> None:
        self.settled = self.seen = today
        """Its fills before the horizon of the last look, and all that were seen then."""
        self.looked = began
        """Before then no fill is missing in `settled`."""
        self.last: tuple[datetime, UUID] | None = None
        """The last fill in `settled`."""


class Losses:
    """One call at a time."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._followed: dict[int, Followed] = {}

    def forget(self) -> None:
        """What is known: fills may have appeared before those that were taken."""
        self._followed.clear()

    def note(
        self,
        connection: psycopg.Connection[Any],
        now: datetime,
        horizon: datetime,
        worth: Callable[[], Mapping[str, Decimal]],
    ) -> None:
        """`worth`, asked where some loss is limited: of one of a mint, in the currency of limits.

        Safe to repeat and to do in several processes.
        """
        limited = {row[0] for row in connection.execute(LIMITED)}
        if not limited:
            return self.forget()
        accounts = {row[0] for row in connection.execute(ACCOUNTS)} if EVERYBODY in limited else limited
        day = now.astimezone(UTC).date()
        unknown = self._follow(connection, accounts, day, horizon)
        realised = {each: self._realised(each, day) for each in accounts - unknown}
        if EVERYBODY in limited and not unknown:
            realised[EVERYBODY] = total(realised.values())
        prices = worth()
        rows = sorted((each, *loss(realised[each], prices)) for each in limited & realised.keys())
        asked = {
            "day": day,
            "account": [row[0] for row in rows],
            "lost": [row[1] for row in rows],
            "unpriced": [encode(row[2]).decode() for row in rows],
        }
        connection.execute(NOTE, asked)

    def _follow(
        self, connection: psycopg.Connection[Any], accounts: set[int], day: date, horizon: datetime
    ) -> set[int]:
        """Takes the fills that are new; returns the accounts that are not known yet, for lack of time."""
        began = datetime.combine(day, clock(), UTC)
        known = sorted(accounts)
        since = [self._followed[each].looked if each in self._followed else began for each in known]
        asked = {"account": known, "since": since, "until": LATEST, "mode": self._mode, "most": 1}
        ends, late = time.monotonic() + WORK_S, set()
        for account_id, _ in connection.execute(COUNT, asked).fetchall():
            followed = self._followed.get(account_id)
            if followed is None:
                # What was there when the day began is known once nothing can appear before that.
                if horizon < began or time.monotonic() > ends:
                    late.add(account_id)
                    continue
                before = books(connection, account_id, self._mode, until=began)
                followed = self._followed[account_id] = Followed(Today(rank, day, before.positions), began)
            self._take(connection, account_id, followed, horizon)
        return late

    def _take(
        self, connection: psycopg.Connection[Any], account_id: int, followed: Followed, horizon: datetime
    ) -> None:
        wanted = Wanted(account_id=account_id, mode=self._mode, since=followed.looked)
        settled, last, rest = followed.settled.copy(), followed.last, []
        for batch in batches(connection, wanted, after=followed.last):
            for fill in batch:
                if fill.at < horizon:
                    settled.take(entry_of(fill))
                    last = fill.at, fill.id
                else:
                    rest.append(entry_of(fill))
        seen = settled.copy()
        for entry in rest:
            seen.take(entry)
        # Only now: an error on the way leaves what was known.
        followed.settled, followed.seen, followed.last = settled, seen, last
        followed.looked = max(followed.looked, horizon)

    def _realised(self, account_id: int, day: date) -> dict[str, Decimal]:
        followed = self._followed.get(account_id)
        return {} if followed is None else followed.seen.realised(day)


def total(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in parts:
        for mint, amount in part.items():
            found[mint] = added(found.get(mint, ZERO), amount)
    return found
