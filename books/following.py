"""Follows the fills in a worker process of the queue `dbsync`."""

import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg

from books.keeper import Keeper
from books.losses import Losses
from books.stepping import Stepping
from orders.ledger.horizon import GRACE_S, HORIZON
from orders.ledger.session import Session
from risk.worth import valuation
from routing.cluster import mode

STATEMENT_TIMEOUT_MS = 10_000


class Following:
    """Made by the first task, closed when the worker stops. Its calls come from the threads of Celery's pool."""

    def __init__(self, settings: Any) -> None:
        self._session = Session(settings.DATABASE_URL, name="books", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
        self._keeper = Keeper(mode(), settings.CHECKPOINT_FILLS)
        self._losses = Losses(mode())
        self._stepping = Stepping()
        self._running = threading.Lock()

    def close(self) -> None:
        self._session.close()

    def run(self) -> None:
        """Nothing while another call of this process is at it."""
        if self._running.acquire(blocking=False):
            try:
                self._session.run(self._follow)
            finally:
                self._running.release()

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        horizon, now = horizon_of(connection)
        back = self._stepping.back(now)
        if back is not None:
            self._losses.forget()
        self._losses.note(connection, now, horizon, valuation.prices)
        self._keeper.keep(connection, now, horizon, back or timedelta())


def horizon_of(connection: psycopg.Connection[Any]) -> tuple[datetime, datetime]:
    """(Before which no fill can appear any more, now): by Postgres' clock."""
    row = connection.execute(HORIZON, {"grace_s": GRACE_S}).fetchone()
    assert row is not None
    return row[0], row[1]
