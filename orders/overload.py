"""What order workers say while more is dispatched to them than they let in: those wake-ups wait, and are not lost.

The broker's queue is empty then, as their threads have taken the messages. It is said in Redis, for a few seconds: a worker that
dies says it no more, and while Redis is away nobody does.
"""

from contextlib import suppress

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

KEY = "orders:overloaded"
SAID_MS = 5_000
"""Two heartbeats and some, so that it is said again in time."""
LATE_S = 1.0
"""A dispatch that has waited so long for an executor's admission shows that it is overloaded; else it waits for milliseconds."""
TIMEOUT_S = 1.0


class Overload:
    """Safe from any thread. Never raises."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )

    def say(self) -> None:
        with suppress(redis.RedisError):
            self._redis.set(KEY, 1, px=SAID_MS)

    def is_said(self) -> bool:
        """False while Redis does not answer."""
        try:
            return bool(self._redis.exists(KEY))
        except redis.RedisError:
            return False

    def close(self) -> None:
        self._redis.close()
