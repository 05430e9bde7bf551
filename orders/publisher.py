"""Publishes committed events to Channels groups over Redis pub/sub.

The database is the truth of a stream; a message only says "look now". So publishing is best effort: no order waits for it,
and what it loses the sockets read from the database (`orders.http.sockets`).
"""

import logging
import queue
import threading
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orders.events import AnyEvent, audience
from orders.signatures import signature
from runtime.groups import group_channel, group_message

log = logging.getLogger(__name__)

PUBLISH_TIMEOUT_S = 1.0
MAX_PUBLISHED_AT_ONCE = 500
MAX_PUBLISHED_UNASKED = 4
"""Events: for so few a second trip to Redis takes longer than encoding them."""
MAX_BATCHES_WAITING = 2_000
"""While Redis is away older events are dropped: nobody receives them, and sockets catch up from the database."""


class Publisher:
    """Sends events in a thread of its own. A batch is one Redis command, or two: which groups have subscribers, and the events.

    Most orders have no subscriber, and encoding the events of a large batch would cost more than asking. Whoever subscribes
    after the question misses nothing: events are committed before they are published, and sockets read the database after
    they subscribed.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=PUBLISH_TIMEOUT_S,
            socket_connect_timeout=PUBLISH_TIMEOUT_S,
            # Publishing again after a lost answer would be publishing twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script((Path(__file__).parent / "lua" / "publish.lua").read_text())
        self._queue: queue.Queue[list[AnyEvent] | None] = queue.Queue(MAX_BATCHES_WAITING)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()
        self.dropped = 0
        """Events that were not published."""

    def publish(self, events: list[AnyEvent]) -> None:
        """Takes events over; returns at once, from any thread."""
        if not events:
            return
        try:
            self._queue.put_nowait(events)
        except queue.Full:
            self.dropped += len(events)

    def close(self) -> None:
        """Sends what waits, then ends the thread and closes the connection."""
        try:
            self._queue.put(None, timeout=PUBLISH_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(timeout=2 * PUBLISH_TIMEOUT_S)
        self._redis.close()

    def _next(self) -> list[AnyEvent] | None:
        """All the events that wait, up to a bound; None at the end."""
        batch = self._queue.get()
        while batch is not None and len(batch) < MAX_PUBLISHED_AT_ONCE and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._queue.put(None)
                break
            batch = batch + more
        return batch

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._send(audience(batch))
            except redis.RedisError as error:
                self.dropped += len(batch)
                log.warning("events not published: %s", error)

    def _send(self, groups: Mapping[str, list[AnyEvent]]) -> None:
        names = list(groups)
        if sum(map(len, groups.values())) > MAX_PUBLISHED_UNASKED:
            counts = self._redis.pubsub_numsub(*map(group_channel, names))
            names = [name for name, (_, subscribers) in zip(names, counts, strict=True) if subscribers]
        events = {(event.subject, event.seq): event for name in names for event in groups[name]}
        # Each is encoded once, though it goes to its order's group and to its account's.
        texts = {key: (str(event.subject), event.seq, event.text()) for key, event in events.items()}
        parts: list[str | bytes] = []
        for name in names:
            of_group = [texts[event.subject, event.seq] for event in groups[name]]
            parts += (group_channel(name), group_message(name, of_group, signature(name, of_group)))
        if parts:
            self._script(args=parts)
