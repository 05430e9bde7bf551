"""An account's feed: every event of every order of the account, each order's own in the order of seq."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from orders.events import account_group
from orders.lifecycle import FINAL
from orders.streams.connection import Socket
from orders.streams.following import REREAD_S, Following, encode, status_of, until_answered
from orders.streams.snapshots import newest_seqs

SNAPSHOTS_IN_FEED = 50
MAX_TRACKED = 5_000


class Feed:
    """One socket's."""

    def __init__(self, following: Following, socket: Socket, account_id: int) -> None:
        self._following = following
        self._socket = socket
        self._account_id = account_id
        self._seqs: dict[UUID, int] = {}
        """The last seq of each order that was sent."""
        self._over: dict[UUID, None] = {}
        """Orders that have ended, the first to end first."""

    async def run(self) -> None:
        group = account_group(self._account_id)
        await self._following.subscriptions.join(group, self._socket)
        try:
            await self._snapshot()
            while True:
                await self._socket.wait(REREAD_S)
                await self._send_what_came()
        finally:
            self._following.subscriptions.leave(group, self._socket)

    async def _snapshot(self) -> None:
        self._seqs = seqs = await self._newest(())
        newest = sorted(seqs, reverse=True)[:SNAPSHOTS_IN_FEED]
        found = [await self._following.read(order_id, seqs[order_id]) for order_id in newest]
        orders = [snapshot.order for snapshot in found if snapshot]
        await self._socket.send(encode({"type": "snapshot", "orders": orders}).decode())
        for order in orders:
            seqs[UUID(order.order_id)] = order.seq

    async def _send_what_came(self) -> None:
        socket, seqs = self._socket, self._seqs
        behind: set[UUID] = set()
        look, socket.overflowed = not socket.inbox or socket.overflowed, False
        while socket.inbox:
            name, seq, text = socket.inbox.popleft()
            order_id = UUID(name)
            if seq == seqs.get(order_id, 0) + 1:
                await socket.send(text)
                self._sent(order_id, seq, status_of(text))
            elif seq > seqs.get(order_id, 0):
                behind.add(order_id)
        if look:
            latest = await self._newest(tuple(seqs))
            behind |= {order_id for order_id, seq in latest.items() if seq > seqs.get(order_id, 0)}
        for order_id in sorted(behind):
            self._sent(order_id, *await self._following.catch_up(socket, order_id, seqs.get(order_id, 0), ""))
        self._drop_the_oldest()

    def _sent(self, order_id: UUID, seq: int, status: str) -> None:
        self._seqs[order_id] = seq
        if status in FINAL:
            self._over[order_id] = None

    def _drop_the_oldest(self) -> None:
        """Ended ones first: of an order that is dropped while it runs all events would be sent again."""
        while len(self._seqs) > MAX_TRACKED:
            dropped = next(iter(self._over or self._seqs))
            self._seqs.pop(dropped, None)
            self._over.pop(dropped, None)

    async def _newest(self, known: Iterable[UUID]) -> dict[UUID, int]:
        wanted = tuple(known)
        return await until_answered(lambda: asyncio.to_thread(newest_seqs, self._account_id, wanted))
