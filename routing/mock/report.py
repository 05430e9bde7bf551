"""What the mock chain shows of itself: `GET /api/mock/chain`."""

import sqlite3
from typing import TypedDict

from routing.mock import rows

MAX_SUBMISSIONS = 1_000
"""The newest ones; a load test makes hundreds of thousands."""


class SubmissionReport(TypedDict):
    signature: str
    orderId: str
    attempt: int
    verdict: str
    at: str
    """RFC 3339."""


class ChainReport(TypedDict):
    landed: int
    """Transactions that traded."""
    ordersLandedTwice: int
    """References with more than one of those."""
    submissions: list[SubmissionReport]
    """Oldest first, at most `MAX_SUBMISSIONS`."""


def read(db: sqlite3.Connection, reference: str | None) -> ChainReport:
    """On one reference, or on all."""
    which, parameters = ("", ()) if reference is None else (" AND reference = ?", (reference,))
    landed, twice = db.execute(
        "SELECT coalesce(sum(n), 0), coalesce(sum(n > 1), 0) FROM"
        " (SELECT count(*) AS n FROM transactions INDEXED BY transactions_landed"
        f" WHERE fate = 'landed'{which} GROUP BY reference)",  # nosec B608
        parameters,
    ).fetchone()
    submissions = db.execute(
        "SELECT signature, reference, attempt, verdict, at FROM submissions"
        f" WHERE true{which} ORDER BY id DESC LIMIT {MAX_SUBMISSIONS}",  # nosec B608
        parameters,
    ).fetchall()
    return {
        "landed": landed,
        "ordersLandedTwice": twice,
        "submissions": [_submission(row) for row in reversed(submissions)],
    }


def _submission(row: tuple[str, str, int, str, int]) -> SubmissionReport:
    signature, reference, attempt, verdict, at = row
    return {
        "signature": signature,
        "orderId": reference,
        "attempt": attempt,
        "verdict": verdict,
        "at": rows.moment(at).isoformat().replace("+00:00", "Z"),
    }
