"""Writes checkpoints of the books beside the work, and goes on comparing those that stand with the fills."""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg

from books import checkpoints
from books.checkpoints import HELD, Checkpoint, encode, entry_of, newest, query, rank, well_quoted
from books.fills import EARLIEST, LATEST, Wanted, some
from books.statement import Books

log = logging.getLogger(__name__)

COUNT, TO_CHECK = query("count_fills"), query("checkpoints_to_check")
REACHED = "SELECT account_id, max(at) FROM books_checkpoint WHERE mode = %s GROUP BY account_id"
ACCOUNTS = "SELECT id FROM accounts_account"
FORGET = "DELETE FROM books_checkpoint WHERE account_id = %s AND mode = %s AND fills >= %s"
FORGET_SINCE = "DELETE FROM books_checkpoint WHERE mode = %s AND at >= %s"
BEHIND = timedelta(seconds=60)
"""Checkpoints stand so far behind: a clock that is set back by less puts no fill before one."""
LOOK_EVERY_S = 10.0
CHECKED_AT_ONCE = 2
"""Of each look: counting the fills of one takes some 20 ms."""
WORK_S = 1.0
"""Of one call: the process has other tasks, which share its interpreter."""


class Keeper:
    """Its calls are given the horizon, before which no fill can appear any more; one at a time."""

    def __init__(self, mode: str, every: int) -> None:
        """`every`: so many fills of an account a checkpoint."""
        self._mode, self._every = mode, every
        self._counted: dict[int, tuple[datetime, int]] = {}
        """Of each account: until when its fills since the newest checkpoint are counted, and how many there are."""
        self._look_at = float("-inf")
        self._checked = 0

    def keep(
        self, connection: psycopg.Connection[Any], now: datetime, horizon: datetime, back: timedelta = timedelta()
    ) -> int:
        """Returns how many checkpoints are new. Safe to repeat and to do in several processes.

        `back`: how long ago Postgres' clock was set back: since then fills may have appeared that no checkpoint knows.
        """
        settled = horizon - BEHIND
        if back or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            # Also those that a process wrote before the clock was set back and nobody looked.
            if connection.execute(FORGET_SINCE, (self._mode, now - BEHIND - back)).rowcount:
                self._counted.clear()
            self._check(connection)
            self._count(connection, settled)
        ends, written = time.monotonic() + WORK_S, 0
        for account_id in [each for each, (_, fills) in self._counted.items() if fills >= self._every]:
            while time.monotonic() < ends:
                if not self._extend(connection, account_id, settled):
                    del self._counted[account_id]
                    break
                written += 1
        return written

    def _check(self, connection: psycopg.Connection[Any]) -> None:
        """Holds the next few checkpoints against the fills; one that differs goes, with those of its account that follow."""
        asked = {"mode": self._mode, "after": self._checked, "most": CHECKED_AT_ONCE}
        rows = connection.execute(TO_CHECK, asked).fetchall()
        self._checked = rows[-1][0] if len(rows) == CHECKED_AT_ONCE else 0
        for _, account_id, fills, positions, expected, found in rows:
            if expected != found or not well_quoted(HELD.decode(positions)):
                log.warning("the books of account %d are folded again from fill %d on", account_id, fills - expected)
                connection.execute(FORGET, (account_id, self._mode, fills - expected + 1))
                self._counted.pop(account_id, None)

    def _count(self, connection: psycopg.Connection[Any], until: datetime) -> None:
        reached: dict[int, datetime] = dict(connection.execute(REACHED, (self._mode,)).fetchall())
        accounts = [row[0] for row in connection.execute(ACCOUNTS)]
        since = [self._counted.get(each, (reached.get(each, EARLIEST), 0))[0] for each in accounts]
        asked = {"account": accounts, "since": since, "until": until, "mode": self._mode, "most": self._every}
        found = dict(connection.execute(COUNT, asked).fetchall())
        for account_id in accounts:
            _, fills = self._counted.get(account_id, (until, 0))
            self._counted[account_id] = until, fills + found.get(account_id, 0)

    def _extend(self, connection: psycopg.Connection[Any], account_id: int, settled: datetime) -> bool:
        """Writes the account's next checkpoint; whether there may be another one to write."""
        begun = newest(connection, account_id, self._mode, LATEST)
        held = [] if begun is None else begun.held
        if begun is not None and not well_quoted(held):
            connection.execute(FORGET, (account_id, self._mode, begun.fills))
            return True
        wanted = Wanted(
            account_id=account_id, mode=self._mode, since=EARLIEST if begun is None else begun.at, until=settled
        )
        fills = some(connection, wanted, after=None if begun is None else begun.last, most=self._every)
        if len(fills) < self._every:
            return False
        books = Books(rank, held=held)
        for fill in fills:
            books.take(entry_of(fill))
        last, before = fills[-1], 0 if begun is None else begun.fills
        made = Checkpoint(last.at, last.id, before + len(fills), encode(books.held()).decode())
        checkpoints.write(connection, account_id, self._mode, made)
        return True
