"""Whether a failed attempt is followed by another, and when. Pure."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    max_attempts: int
    base_ms: int
    cap_ms: int

    def delay_ms(self, attempt: int, *, permanent: bool, rng: random.Random) -> int | None:
        """Milliseconds until the next attempt, None when there is none.

        `attempt` counts from 1. Exponential backoff with full jitter: uniform between 0 and base × 2^(attempt − 1), at most
        the cap, so that orders that failed together do not come back together
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        if permanent or attempt >= self.max_attempts:
            return None
        ceiling = min(self.cap_ms, self.base_ms * 2 ** (attempt - 1))
        return rng.randint(0, ceiling)
