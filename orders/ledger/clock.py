"""How far this process' clock is from Postgres'."""

import time

from orders.ledger.statements import Connection
from runtime.skew import skew


def note_skew(connection: Connection) -> float:
    """Seconds by which our clock is ahead of Postgres', to within half the time of the answer; noted as this process' skew."""
    before = time.time()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8", prepare=True).fetchone()
    assert row is not None
    ahead_s: float = (before + time.time()) / 2 - row[0]
    skew.seen("postgres", ahead_s)
    return ahead_s
