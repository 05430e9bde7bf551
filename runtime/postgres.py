"""How every process connects to Postgres: with bounded waits, and never to a server that cannot write."""

from typing import Any

import psycopg

CONNECT: dict[str, Any] = {
    "connect_timeout": 2,
    # Without these a connection whose other end has vanished is waited on for a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # During a failover the old server may still accept connections as a standby. With several hosts in the URL libpq goes
    # on to the next one. The server reports what this asks for when a session starts, so it costs no round trip.
    "target_session_attrs": "read-write",
}


SET_UP = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS given (name, value)"


def set_up(connection: psycopg.Connection[Any], *, statement_timeout_ms: int, **settings: str) -> None:
    """The settings of a new session. A statement says them, since PgBouncer refuses a start with `options`."""
    given = {"statement_timeout": str(statement_timeout_ms), "timezone": "UTC"} | settings
    connection.execute(SET_UP, (list(given), list(given.values())))


class ReadOnlySession(Exception):
    """The session cannot write any more: the server became a standby, or its configuration makes sessions read-only."""


def discard_read_only(connection: psycopg.Connection[Any]) -> None:
    """A pool's `reset` callback: what it raises makes the pool close the connection and open another.

    Postgres reports both parameters by itself whenever they change (version 14 and later), so nothing is sent.
    """
    status = connection.info.parameter_status
    if "on" in (status("default_transaction_read_only"), status("in_hot_standby")):
        raise ReadOnlySession


POOL: dict[str, Any] = {
    "min_size": 0,
    # Below the 1.8 s after which a client gets its 503 from the event loop.
    "timeout": 1.5,
    # A pool tries again after 1, 2, 4, 8 … s and meanwhile for nobody else: after a minute's outage it would give no
    # connection for half a minute more. Given up at once, the next who asks tries anew.
    "reconnect_timeout": 0.5,
    "reset": discard_read_only,
}
