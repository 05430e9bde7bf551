"""Brings one order's events to a socket, each once and in the order of its seq.

A socket joins its group first and reads the database after that, so whatever is committed in between arrives twice and is
sent once. A gap, a full inbox or a few quiet seconds are answered by reading the database again. So the stream is complete
whatever Redis loses, and no buffer grows.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from django.db import Error as DatabaseError

from orders.events import order_group
from orders.lifecycle import FINAL
from orders.representation import OrderOut
from orders.streams.connection import DONE, NOT_FOUND, Closed, Socket
from orders.streams.snapshots import Reader, Snapshot
from orders.streams.subscriptions import Subscriptions

Found = TypeVar("Found")

encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode

REREAD_S = 3.0
"""How late events can be while Redis is away."""
RETRY_S = 1.0


class Following:
    def __init__(self, subscriptions: Subscriptions, reader: Reader) -> None:
        self.subscriptions = subscriptions
        self._reader = reader
        self.repaired = 0
        """Events that were read from the database because Redis had not brought them."""

    async def order(self, socket: Socket, order_id: UUID, after: int) -> None:
        group = order_group(order_id)
        await self.subscriptions.join(group, socket)
        try:
            await self._follow(socket, order_id, after)
        finally:
            self.subscriptions.leave(group, socket)

    async def read(self, order_id: UUID, after: int) -> Snapshot | None:
        return await until_answered(lambda: self._reader.submit((order_id, after)))

    async def catch_up(self, socket: Socket, order_id: UUID, seq: int, status: str) -> tuple[int, str]:
        """Sends what the database has after seq; returns seq and status of the last event."""
        known = (order_id, seq)
        for event in await until_answered(lambda: self._reader.since.submit(known)):
            self.repaired += 1
            await socket.send(encode({"type": "event", "orderId": order_id, **event.fields()}).decode())
            seq, status = event.seq, event.status
        return seq, status

    async def _follow(self, socket: Socket, order_id: UUID, after: int) -> None:
        snapshot = await self.read(order_id, after)
        caller = socket.caller
        if snapshot is None or snapshot.account_id != caller.account_id and not caller.is_staff:
            raise Closed(NOT_FOUND)
        seq, status = snapshot.order.seq, snapshot.order.status
        await socket.send(encode(SnapshotOut(str(order_id), seq, status, snapshot.order, snapshot.events)).decode())
        while status not in FINAL:
            await socket.wait(REREAD_S)
            look, socket.overflowed = not socket.inbox or socket.overflowed, False
            while socket.inbox and not look:
                _, next_seq, text = socket.inbox.popleft()
                if next_seq == seq + 1:
                    await socket.send(text)
                    seq, status = next_seq, head_of(text).status
                elif next_seq > seq:
                    look = True
            if look and status not in FINAL:
                socket.inbox.clear()
                seq, status = await self.catch_up(socket, order_id, seq, status)
        raise Closed(DONE)


class SnapshotOut(msgspec.Struct, rename="camel", tag_field="type", tag="snapshot"):
    """The first message of an order's socket."""

    order_id: str
    seq: int
    status: str
    order: OrderOut
    events: list[Any]


async def until_answered(ask: Callable[[], Coroutine[Any, Any, Found] | asyncio.Future[Found]]) -> Found:
    """Asks until Postgres answers, for as long as the socket lasts."""
    while True:
        try:
            return await ask()
        except (psycopg.Error, DatabaseError):
            await asyncio.sleep(RETRY_S)


class Head(msgspec.Struct):
    status: str
    at: datetime


def head_of(text: str) -> Head:
    """What stands in an event's message beside its data."""
    return msgspec.json.decode(text, type=Head)
