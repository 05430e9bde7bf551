"""Celery's queues on Redis, read by workers that outlive what stands in them, with few commands and one client for all.

Whoever may write to Redis can put something onto a queue that is no message. kombu lets the error that it causes through to
the worker's loop, which ends the process.

A worker notes what it has taken and not begun in its own memory (`OPTIONS`), not in Redis, where kombu would write each message
a second time and delete it again. Nobody read that: what a killed worker had taken would have come back after an hour, and the
reconciler dispatches it within seconds. A worker that stops in order gives back what it holds.
"""

import json
import logging
from queue import Empty
from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu.transport import redis, virtual

log = logging.getLogger(__name__)

OPTIONS = {"ack_emulation": False}
"""Of the transport."""


def is_message(entry: Any) -> bool:
    """Whether kombu can deliver it: an object with a body, headers and the properties that name its delivery."""
    if not isinstance(entry, dict) or "body" not in entry or not isinstance(entry.get("headers", {}), dict):
        return False
    properties = entry.get("properties")
    return (
        isinstance(properties, dict)
        and isinstance(properties.get("delivery_tag"), str)
        and isinstance(properties.get("delivery_info", {}), dict)
    )


class Taken(virtual.QoS):
    """What a worker has taken from its queues and not begun."""

    def restore_unacked(self) -> list[Any]:
        """Gives it back. What Redis does not take is the reconciler's; kombu would write it to a file."""
        if failed := super().restore_unacked():  # type: ignore[no-untyped-call]
            log.warning("%d messages cannot be given back: %s", len(failed), failed[0][0])
        return []


class Channel(redis.Channel):
    """Drops an entry that is no JSON; kombu has taken it off its queue by then. Makes its client once."""

    _shared: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self.QoS = Taken  # type: ignore[assignment]

    def _create_client(self, asynchronous: bool = False) -> Any:
        """kombu makes a client for each command, which costs as much as sending it. The pool has a connection for each thread.

        Raises `RecoverableConnectionError` on a channel that was closed: a producer that kept it gets a new one then.
        """
        if self.connection is None:
            raise RecoverableConnectionError("the channel is closed")
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()  # type: ignore[no-untyped-call]
        return self._shared

    def _has_queue(self, queue: str, **_: Any) -> bool:
        """Redis keeps no empty list. Were that no queue, the question for its length would be an error, and kombu closes a
        connection on which one was raised: two new ones for each question."""
        return True

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            dropped(error)
            raise Empty from None


def deliver(transport: redis.Transport, message: Any, queue: str) -> None:
    """Drops an entry that is JSON and no message, before anybody counts on its parts."""
    if is_message(message):
        KOMBU_DELIVERS(transport, message, queue)  # type: ignore[no-untyped-call]
    else:
        dropped(TypeError(f"{type(message).__name__} without the parts of a message"))


KOMBU_DELIVERS = redis.Transport._deliver


def dropped(error: Exception) -> None:
    log.error("an entry on a queue is no message and is dropped: %s", error)


def install() -> None:
    """For every connection of this process."""
    redis.Transport.Channel = Channel
    redis.Transport._deliver = deliver  # type: ignore[method-assign, assignment]
