"""A database connection of one of our threads, apart from Django's pool."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from runtime.postgres import CONNECT, set_up

log = logging.getLogger(__name__)
Result = TypeVar("Result")

ABOUT_THE_DATA = (psycopg.DataError, psycopg.IntegrityError)
"""The statement's values are at fault: the session is sound, and the same statement fails again."""


class ServerReadOnly(psycopg.OperationalError):
    """The server accepts no writes, as during a failover. To callers it is away like one that does not answer."""


class Session:
    """A connection that is opened when it is needed and dropped after every error that is not about the data.

    A session can be unusable though its connection is open: after a schema change its prepared statements fail ("cached plan
    must not change result type"), after a failover it is read-only. Only a new session helps in both cases.
    """

    def __init__(self, url: str, *, name: str, statement_timeout_ms: int) -> None:
        self._url = url
        self._application_name = f"orderengine:{name}"
        self._statement_timeout_ms = statement_timeout_ms
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls `function(connection, *arguments)`, at most twice, and returns its result.

        `function` is called again, on a new connection, after an error that the server reported for a statement: such a
        statement had no effect. It is not called again after an `OperationalError`, where the statement may have been
        committed; what that means only the caller knows. What `function` commits in its earlier statements must be safe
        to do again.

        Raises `psycopg.OperationalError` while Postgres is away or read-only, `psycopg.DataError` and
        `psycopg.IntegrityError` where the values are at fault, any other `psycopg.Error` at the second failure.
        """
        try:
            return self._run_once(function, arguments)
        except (psycopg.OperationalError, *ABOUT_THE_DATA):
            raise
        except psycopg.Error as error:
            if error.sqlstate is None:
                # The client's own failure, not the server's word: the statement may have been committed.
                raise psycopg.OperationalError(str(error)) from error
            log.warning("a database session is replaced: %s", str(error).strip())
        try:
            return self._run_once(function, arguments)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise ServerReadOnly(str(error)) from error

    def _run_once(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        try:
            return function(self._connection, *arguments)
        except ABOUT_THE_DATA:
            raise
        except psycopg.Error:
            self.close()
            raise

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True, application_name=self._application_name, **CONNECT)
        try:
            # Every statement goes by keys. A prepared one keeps the plan it got while the tables were small, and that scanned
            # them: claims cost five times as much until the next analyze.
            set_up(connection, statement_timeout_ms=self._statement_timeout_ms, enable_seqscan="off")
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Closes the connection, if there is one; the next `run` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
