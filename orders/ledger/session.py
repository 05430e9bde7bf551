"""A database connection of a thread of ours, apart from Django's pool."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from runtime.postgres import CONNECT

Result = TypeVar("Result")


class Session:
    """A connection that is opened when needed and dropped when it breaks."""

    def __init__(self, url: str, *, name: str, statement_timeout_ms: int) -> None:
        self._url = url
        # Every statement goes by keys. A prepared one keeps the plan it got while the tables were small, and that read
        # them whole: claims cost five times as much until the next analyze.
        self._options = (
            f"-c statement_timeout={statement_timeout_ms} -c application_name=orderengine:{name} -c timezone=UTC"
            " -c enable_seqscan=off"
        )
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls `function(connection, *arguments)`. Raises `psycopg.OperationalError` while Postgres is away."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, options=self._options, **CONNECT)
        try:
            return function(self._connection, *arguments)
        except psycopg.OperationalError:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
