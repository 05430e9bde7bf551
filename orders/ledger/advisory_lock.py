"""One process at a time does something: a session-level advisory lock of Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager

from orders.ledger.statements import Connection

MAX_SILENT_S = 5
"""A holder that sends Postgres nothing for so long is frozen or cut off: its session ends, and the lock with it."""

TAKE = "SELECT pg_try_advisory_lock(%s), set_config('idle_session_timeout', %s, false)"
GIVE_BACK = "SELECT CASE WHEN %s THEN pg_advisory_unlock(%s) END, set_config('idle_session_timeout', '0', false)"


@contextmanager
def exclusive(connection: Connection, lock: int) -> Iterator[bool]:
    """Yields whether the lock was taken. It is held inside, for as long as the connection is used every MAX_SILENT_S."""
    [ours, _] = connection.execute(TAKE, (lock, f"{MAX_SILENT_S}s")).fetchone() or (False, None)
    try:
        yield bool(ours)
    finally:
        if not connection.closed:
            connection.execute(GIVE_BACK, (ours, lock))
