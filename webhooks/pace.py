"""When what failed is tried again, and how much an endpoint is given to do. Pure."""

from dataclasses import dataclass
from random import Random

MAX_WAIT_S = 4 * 3600.0
FACTOR = 4
MAX_RETRY_AFTER_S = 3600.0
FAILURES_TO_REST = 10
"""In a row. One in three requests may fail by chance without that ever happening."""
MAX_REST_S = 60.0


def wait_s(attempts: int, base_s: float, random: Random, *, asked_s: float | None = None) -> float:
    """Seconds until the next attempt after `attempts` (1, 2, …) have failed: with a base of 5 s some twelve in a day.

    Half of it is jitter, so that what failed together is not sent together. `asked_s`: what the answer's Retry-After says.
    """
    longest = min(MAX_WAIT_S, base_s * FACTOR ** min(attempts - 1, 20))
    return max(random.uniform(longest / 2, longest), min(asked_s or 0.0, MAX_RETRY_AFTER_S))


@dataclass(slots=True)
class Health:
    """What an endpoint is given: many requests at once while it answers; while it does not, one now and then."""

    most: int
    """Requests at once."""
    failures: int = 0
    """In a row."""
    resting_until_s: float = float("-inf")
    allowed: int = 2
    """Requests at once for now. Where no answer comes each holds a connection until its time is over, so it gets few."""

    @property
    def failing(self) -> bool:
        return self.failures >= FAILURES_TO_REST

    def free(self, in_flight: int, now_s: float) -> int:
        """How many more requests it may get now."""
        if self.failing:
            return 1 if in_flight == 0 and now_s >= self.resting_until_s else 0
        return max(0, self.allowed - in_flight)

    def answered(self) -> None:
        self.allowed = min(self.most, self.allowed * 2)

    def delivered(self) -> None:
        self.failures = 0
        self.answered()

    def failed(self, now_s: float, *, answered: bool) -> None:
        self.failures += 1
        if answered:
            self.answered()
        else:
            self.allowed = max(1, self.allowed // 2)
        if self.failing:
            beyond = min(self.failures - FAILURES_TO_REST, 6)
            self.resting_until_s = now_s + min(MAX_REST_S, 2.0**beyond)
