"""Crash points: named places in the code path where a test may have the process killed as if by `kill -9`.

`CRASH_AT=name` (or `name:N` for the Nth passage) is set by tests alone; unset, `crash_point` costs one comparison.
"""

import itertools
import os
import signal

POINTS = frozenset(
    {
        "before_accept_commit",
        "after_accept_commit",
        "after_claim",
        "before_intent",
        "after_intent",
        "after_submit",
        "before_confirm_commit",
        "after_confirm_commit",
        "after_takeover",
        "after_fire",
    }
)

_wanted, _, _count = os.environ.get("CRASH_AT", "").partition(":")
_passages = itertools.count(1)
if _wanted and _wanted not in POINTS:
    raise ValueError(f"CRASH_AT names no crash point: {_wanted!r}")


def crash_point(name: str) -> None:
    if _wanted == name and next(_passages) == int(_count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
