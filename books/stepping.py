"""Whether Postgres' clock was set back: what follows fills by their times has to look again."""

import time
from datetime import datetime, timedelta

STEPPED_S = 0.5
"""So far between Postgres' clock and this process' own only a step leads."""


class Stepping:
    """Asked again and again; one thread at a time."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        """Postgres' clock and this process' own, when it was asked last."""

    def back(self, now: datetime) -> timedelta | None:
        """If the clock was set back since the last call: how long ago that was at most. `now`: Postgres' time."""
        own, theirs = time.monotonic(), now.timestamp()
        before, self._before = self._before or (theirs, own), (theirs, own)
        passed = own - before[1]
        return timedelta(seconds=passed) if before[0] + passed - theirs > STEPPED_S else None
