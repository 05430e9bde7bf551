"""What clients are told of an order, and how it gets to them: Channels groups over Redis pub/sub.

The database is the truth of a stream; Redis only says "look now". So publishing is best effort: it never holds an order
up, and what it loses the sockets read from the database (`orders.streams.sockets`).
"""

import logging
import queue
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orders.ledger.statements import Change
from orders.lifecycle import Status
from orders.signatures import signature
from runtime.groups import group_channel, group_message

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode

PUBLISH_TIMEOUT_S = 1.0
MAX_PUBLISHED_AT_ONCE = 500
MAX_PUBLISHED_UNASKED = 4
"""News: for so few a second trip to Redis takes longer than writing them out."""
MAX_BATCHES_WAITING = 2_000
"""While Redis is away older news is dropped: nobody hears it, and sockets catch up from the database."""


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`: one form everywhere, so that texts compare."""
    return f"{at.isoformat(timespec='microseconds')[:26]}Z"


def order_group(order_id: UUID | str) -> str:
    return f"order.{order_id}"


def account_group(account_id: int) -> str:
    return f"account.{account_id}"


class CommittedEvent(msgspec.Struct, frozen=True):
    """One committed event of an order, as clients get it."""

    order_id: UUID
    account_id: int
    seq: int
    status: Status
    at: datetime
    data: Mapping[str, Any]

    @classmethod
    def of(cls, change: Change, at: datetime) -> "CommittedEvent":
        return cls(change.order_id, change.account_id, change.seq, change.status, at, change.data)

    def text(self) -> str:
        """The WebSocket message."""
        message = {
            "type": "event",
            "orderId": self.order_id,
            "seq": self.seq,
            "status": self.status,
            "at": timestamp(self.at),
            "data": self.data,
        }
        return encode(message).decode()


def audience(news: Iterable[CommittedEvent]) -> dict[str, list[CommittedEvent]]:
    """Whom each piece of news is for: the order's group and its account's."""
    groups: dict[str, list[CommittedEvent]] = {}
    for item in news:
        if item.seq > 1:  # Nobody can watch an order before its id is known.
            groups.setdefault(order_group(item.order_id), []).append(item)
        groups.setdefault(account_group(item.account_id), []).append(item)
    return groups


class Publisher:
    """Sends news in a thread of its own, one Redis command a batch, or two: who listens, and what they are told.

    Most orders nobody watches, and writing the news of a large batch out would cost more than asking. Whoever subscribes
    after the question misses nothing: news is committed before it is published, and sockets read the database after they
    subscribed.
    """

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=PUBLISH_TIMEOUT_S,
            socket_connect_timeout=PUBLISH_TIMEOUT_S,
            # Publishing again after a lost answer would be publishing twice.
            retry=Retry(NoBackoff(), 0),
        )
        self._publish = self._redis.register_script((Path(__file__).parent / "lua" / "publish.lua").read_text())
        self._queue: queue.Queue[list[CommittedEvent] | None] = queue.Queue(MAX_BATCHES_WAITING)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()
        self.dropped = 0

    def publish(self, news: list[CommittedEvent]) -> None:
        """Hands news over; returns at once, from any thread."""
        if not news:
            return
        try:
            self._queue.put_nowait(news)
        except queue.Full:
            self.dropped += len(news)

    def close(self) -> None:
        """Sends what waits, then ends the thread."""
        self._queue.put(None)
        self._thread.join(timeout=2 * PUBLISH_TIMEOUT_S)

    def _next(self) -> list[CommittedEvent] | None:
        """All the news that wait; None at the end."""
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
                self._tell(audience(batch))
            except redis.RedisError as error:
                self.dropped += len(batch)
                log.warning("news not published: %s", error)

    def _tell(self, groups: Mapping[str, list[CommittedEvent]]) -> None:
        told = list(groups)
        if sum(map(len, groups.values())) > MAX_PUBLISHED_UNASKED:
            heard = self._redis.pubsub_numsub(*map(group_channel, told))
            told = [group for group, (_, listeners) in zip(told, heard, strict=True) if listeners]
        items = {(item.order_id, item.seq): item for group in told for item in groups[group]}
        # Once each, though the order's group and its account's both hear of it.
        texts = {key: (str(item.order_id), item.seq, item.text()) for key, item in items.items()}
        parts: list[str | bytes] = []
        for group in told:
            news = [texts[item.order_id, item.seq] for item in groups[group]]
            parts += (group_channel(group), group_message(group, news, signature(group, news)))
        if parts:
            self._publish(args=parts)
