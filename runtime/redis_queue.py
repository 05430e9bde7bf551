"""Celery's queues on Redis, read by workers that outlive what stands in them.

Whoever may write to Redis can put something onto a queue that is no message. kombu lets the error that it causes through to
the worker's loop, which ends the process.
"""

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis

log = logging.getLogger(__name__)
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What the decoding of an entry raises when it is no message of kombu's."""


class Channel(redis.Channel):
    """Drops an entry that is no message; kombu has taken it off its queue by then."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except MALFORMED as error:
            log.error("an entry on a queue is no message and is dropped: %s: %s", type(error).__name__, error)
            raise Empty from None


def install() -> None:
    """For every connection of this process."""
    redis.Transport.Channel = Channel
