"""An account's feed: every event of every order of the account, each order's own in the order of seq."""

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from heapq import heappop, heappush
from uuid import UUID

from orders.events import account_group
from orders.lifecycle import FINAL
from orders.streams.connection import Socket
from orders.streams.following import REREAD_S, Following, encode, status_of, until_answered
from orders.streams.replay import changed_since
from orders.streams.snapshots import newest_seqs, open_seqs

SNAPSHOTS_IN_FEED = 50
MAX_TRACKED = 5_000
"""More than open ones and the newest together: what a look finds is never one that was dropped."""
MAX_OPEN = 4_000
"""Open orders that are known from the start, however long they have rested."""


class Feed:
    """One socket's. `since`: the time from which on its client has missed events; None where it asks for none."""

    def __init__(self, following: Following, socket: Socket, account_id: int, since: datetime | None) -> None:
        self._following = following
        self._socket = socket
        self._account_id = account_id
        self._since = since
        self._looked = time.monotonic()
        self._seqs: dict[UUID, int] = {}
        """The last seq of each order that was sent."""
        self._over: list[UUID] = []
        """Orders that have ended, as a heap: the one placed first comes first."""

    async def run(self) -> None:
        group = account_group(self._account_id)
        await self._following.subscriptions.join(group, self._socket)
        try:
            await (self._snapshot() if self._since is None else self._replay(self._since))
            while True:
                await self._socket.wait(REREAD_S)
                await self._send_what_came()
        finally:
            self._following.subscriptions.leave(group, self._socket)

    async def _snapshot(self) -> None:
        self._seqs = seqs = await self._known_from_the_start()
        newest = sorted(seqs, reverse=True)[:SNAPSHOTS_IN_FEED]
        found = [await self._following.read(order_id, seqs[order_id]) for order_id in newest]
        orders = [snapshot.order for snapshot in found if snapshot]
        await self._socket.send(encode({"type": "snapshot", "orders": orders}).decode())
        for order in orders:
            seqs[UUID(order.order_id)] = order.seq

    async def _replay(self, since: datetime) -> None:
        """What the client has missed. What was not changed since then it has seen up to its seq."""
        self._seqs = await self._known_from_the_start()
        await self._socket.send(encode({"type": "snapshot", "orders": []}).decode())
        async for changed in changed_since(self._account_id, since):
            for order_id, events in changed.items():
                for event in events:
                    await self._socket.send(encode({"type": "event", "orderId": order_id, **event.fields()}).decode())
                self._sent(order_id, events[-1].seq, events[-1].status)
            self._drop_the_oldest()

    async def _send_what_came(self) -> None:
        socket, seqs = self._socket, self._seqs
        behind: set[UUID] = set()
        # By the clock: an account whose orders never rest would not be looked at in a quiet moment.
        look, socket.overflowed = socket.overflowed or time.monotonic() - self._looked >= REREAD_S, False
        while socket.inbox:
            name, seq, text = socket.inbox.popleft()
            order_id = UUID(name)
            if seq == seqs.get(order_id, 0) + 1:
                await socket.send(text)
                self._sent(order_id, seq, status_of(text))
            elif seq > seqs.get(order_id, 0):
                behind.add(order_id)
        if look:
            self._looked = time.monotonic()
            latest = await self._newest(tuple(seqs))
            behind |= {order_id for order_id, seq in latest.items() if seq > seqs.get(order_id, 0)}
        for order_id in sorted(behind):
            self._sent(order_id, *await self._following.catch_up(socket, order_id, seqs.get(order_id, 0), ""))
        self._drop_the_oldest()

    def _sent(self, order_id: UUID, seq: int, status: str) -> None:
        self._seqs[order_id] = seq
        if status in FINAL:
            heappush(self._over, order_id)

    def _drop_the_oldest(self) -> None:
        """Ended ones first: of an order that is dropped while it runs all events would be sent again. Of those the oldest,
        for a look asks for the newest."""
        while len(self._seqs) > MAX_TRACKED:
            self._seqs.pop(heappop(self._over) if self._over else next(iter(self._seqs)), None)

    async def _known_from_the_start(self) -> dict[UUID, int]:
        known = await until_answered(lambda: asyncio.to_thread(open_seqs, self._account_id, MAX_OPEN))
        known |= await self._newest(())
        return dict(sorted(known.items()))

    async def _newest(self, known: Iterable[UUID]) -> dict[UUID, int]:
        wanted = tuple(known)
        return await until_answered(lambda: asyncio.to_thread(newest_seqs, self._account_id, wanted))
