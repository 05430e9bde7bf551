"""Which sockets of this process subscribe to which Channels group.

One channel of the layer serves every socket of the process: a group is joined with its first subscriber and left with its
last. Joining happens in the background and is tried again for as long as somebody subscribes, because a Redis that is away
must not keep a socket from opening: its reader looks into the database meanwhile.

Whoever can publish to Redis can write to every group. So a message is checked here, once for all sockets of the process,
and dropped and counted unless it is what the engine publishes.
"""

import asyncio
import hmac
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from channels.layers import get_channel_layer

from orders import metrics
from orders.signatures import signature
from orders.streams.connection import Published
from triggers.ticker import quotes_group

log = logging.getLogger(__name__)

JOIN_WAIT_S = 0.25
"""How long a new subscriber waits to be sure that it misses nothing; beyond it the periodic re-read makes good."""
JOIN_RETRY_S = 1.0


class Subscriber(Protocol):
    def offer(self, published: Sequence[Published]) -> None:
        """Takes what was published to the group; returns at once."""


class Subscriptions:
    """Made and used on one event loop."""

    def __init__(self) -> None:
        self._layer = get_channel_layer()
        self._subscribers: dict[str, set[Subscriber]] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._channel: str | None = None
        self._opening = asyncio.Lock()
        self._dispatcher: asyncio.Task[None] | None = None
        self.refused = 0

    def __len__(self) -> int:
        return sum(len(subscribers) for subscribers in self._subscribers.values())

    async def join(self, group: str, subscriber: Subscriber) -> None:
        """Subscribes; returns when the group is joined, or after a moment when Redis does not answer."""
        subscribers = self._subscribers.setdefault(group, set())
        subscribers.add(subscriber)
        if group not in self._joining:
            self._joining[group] = asyncio.create_task(self._join(group))
        await asyncio.wait([self._joining[group]], timeout=JOIN_WAIT_S)

    def leave(self, group: str, subscriber: Subscriber) -> None:
        subscribers = self._subscribers.get(group, set())
        subscribers.discard(subscriber)
        if subscribers:
            return
        self._subscribers.pop(group, None)
        joining = self._joining.pop(group, None)
        if joining is not None:
            joining.cancel()
            leaving = asyncio.create_task(self._leave(group))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _join(self, group: str) -> None:
        while True:
            try:
                await self._layer.group_add(group, await self._open())
                return
            except Exception as error:
                log.warning("group %s not joined: %s", group, error)
                await asyncio.sleep(JOIN_RETRY_S)

    async def _leave(self, group: str) -> None:
        try:
            if self._channel is not None and group not in self._subscribers:
                await self._layer.group_discard(group, self._channel)
            if group in self._subscribers and group not in self._joining:
                self._joining[group] = asyncio.create_task(self._join(group))
        except Exception as error:
            log.warning("group %s not left: %s", group, error)

    async def _open(self) -> str:
        async with self._opening:
            if self._channel is None:
                self._channel = await self._layer.new_channel()
                self._dispatcher = asyncio.create_task(self._dispatch(self._channel))
        return self._channel

    async def _dispatch(self, channel: str) -> None:
        while True:
            try:
                message = await self._layer.receive(channel)
                group = message["group"]
                published = checked(group, message)
            except Exception:  # msgpack and the look-ups raise whatever fits what was sent.
                published = None
            if published is None:
                self._refuse()
                continue
            for subscriber in tuple(self._subscribers.get(group, ())):
                try:
                    subscriber.offer(published)
                except Exception:  # One subscriber must not end the passing on to all others.
                    log.exception("a subscriber of %s failed", group)

    def _refuse(self) -> None:
        metrics.MESSAGES_REFUSED.inc()
        self.refused += 1
        if self.refused.bit_count() == 1:  # The first, second, fourth … one: whoever sends many fills no log.
            log.warning("%d messages on Redis were not published by the engine, and dropped", self.refused)


def checked(group: str, message: dict[str, Any]) -> list[Published] | None:
    """What was published, if a process of ours has: orders' events are signed, prices have to have the form of prices.

    None, or any exception, where it is anything else.
    """
    texts = message["texts"] if "texts" in message else message["news"]
    published = [(str(subject), int(seq), str(text)) for subject, seq, text in texts]
    if group.startswith(ORDERS):
        return published if hmac.compare_digest(signature(group, published), message["signature"]) else None
    for pair, _, text in published:
        prices = msgspec.json.decode(text, type=Prices)
        if quotes_group(prices.pair) != group or prices.type != "quotes" or pair != prices.pair:
            return None
    return published


ORDERS = ("order.", "account.")
"""How the groups begin whose messages are signed."""


class Prices(msgspec.Struct):
    type: str
    pair: str
