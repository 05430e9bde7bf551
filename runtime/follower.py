"""Follows a table of Postgres: a thread of its own looks again and again, so that whoever needs what it says waits for nothing.

For tables that are small, change seldom, and are asked at every order.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from runtime.postgres import CONNECT, set_up

log = logging.getLogger(__name__)

FIRST_S = 5.0
"""How long the first one who asks waits for the first look. Connecting has a shorter limit of its own."""
STATEMENT_TIMEOUT_MS = 2_000

Connection = psycopg.Connection[Any]


class Follower:
    """Calls `look` with a connection in autocommit every `every_s` seconds and whenever `refresh` asks.

    `name` is the thread's and ends the connection's; `what` is what a log line says cannot be read; `url` is asked for when
    reading begins. `look` may raise `psycopg.Error`: the next look has a new connection, and what is known stays.
    """

    def __init__(
        self, name: str, what: str, url: Callable[[], str], look: Callable[[Connection], None], *, every_s: float
    ) -> None:
        self._name, self._what, self._url, self._look, self._every_s = name, what, url, look, every_s
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self._state = threading.Condition()
        self._asked = 0
        """Looks that were asked for; `_looked` of them have been taken, whether Postgres answered or not."""
        self._looked = 0
        self._closing = False

    def start(self) -> None:
        with self._state:
            if self._thread is None:
                self._closing, self._asked, self._looked = False, 1, 0
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def first(self) -> None:
        """Waits until the first look was taken, or for `FIRST_S`."""
        with self._state:
            self.start()
            self._state.wait_for(lambda: self._looked > 0, FIRST_S)

    def refresh(self) -> None:
        """Waits for a look that began after this call, or for `FIRST_S`."""
        with self._state:
            self.start()
            self._asked += 1
            wanted = self._asked
            self._state.notify_all()
            self._state.wait_for(lambda: self._looked >= wanted, FIRST_S)

    def close(self) -> None:
        """Ends the looking; `start`, `first` and `refresh` begin anew."""
        with self._state:
            thread, self._thread, self._closing = self._thread, None, True
            self._state.notify_all()
        if thread is not None:
            thread.join(FIRST_S)

    def _run(self) -> None:
        answered = True
        while not self._closing:
            asked = self._asked
            try:
                self._look(self._connected())
                answered = True
            except psycopg.Error as error:
                if answered:
                    log.warning("%s cannot be read: %s", self._what, str(error).strip())
                answered = False
                self._hang_up()
            with self._state:
                self._looked = asked
                self._state.notify_all()
                self._state.wait_for(lambda: self._closing or self._asked > self._looked, self._every_s)
        self._hang_up()

    def _connected(self) -> Connection:
        if self._connection is None:
            name = f"orderengine:{self._name}"
            self._connection = psycopg.connect(self._url(), autocommit=True, application_name=name, **CONNECT)
            set_up(self._connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
