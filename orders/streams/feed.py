"""An account's feed: every event of every order of the account, each order's own in the order of seq.

What Redis brings is sent as it comes. What it has not brought is found by looking: every few seconds, and soon after the
inbox has overflowed, for all of the account's orders that have changed since the look before.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orders.events import account_group
from orders.streams.connection import Socket
from orders.streams.following import REREAD_S, Following, encode, head_of
from orders.streams.replay import MARGIN, changed_since, events_after, newest, now

SNAPSHOTS_IN_FEED = 50
MAX_TRACKED = 5_000
"""Beyond it only what has changed lately is tracked; of the others the next event is read from the database."""
MAX_INBOX = 1_000
"""An account has more to say than an order."""
OVERFLOWED_S = 0.5
"""How late events are that had no room in the inbox."""
READ_AT_ONCE = 200
"""Orders of which events are read by one statement."""


@dataclass(frozen=True, slots=True)
class Sent:
    seq: int
    at: datetime
    """The latest date of what was sent: an event may be dated before the one that it follows."""


class Feed:
    """One socket's. `since`: the time from which on its client has missed events; None where it asks for none.

    Whatever is dated before `_floor` was sent or is not asked for, and every order of which something later was sent is
    tracked. So of an order that is not tracked exactly the events since `_floor` are left to send.
    """

    def __init__(self, following: Following, socket: Socket, account_id: int, since: datetime | None) -> None:
        self._following = following
        self._socket = socket
        self._account_id = account_id
        self._since = since
        self._looked = time.monotonic()
        self._floor: datetime
        self._tracked: dict[UUID, Sent] = {}
        socket.room = MAX_INBOX

    async def run(self) -> None:
        group = account_group(self._account_id)
        await self._following.subscriptions.join(group, self._socket)
        try:
            await (self._snapshot() if self._since is None else self._replay(self._since))
            while True:
                await self._socket.wait(OVERFLOWED_S if self._socket.overflowed else REREAD_S)
                await self._send_what_came()
        finally:
            self._following.subscriptions.leave(group, self._socket)

    async def _snapshot(self) -> None:
        at = await now()
        self._floor = at - MARGIN
        async for seqs in changed_since(self._account_id, self._floor):
            for order_id, seq in seqs.items():
                self._track(order_id, seq, at)
        shown = await newest(self._account_id, SNAPSHOTS_IN_FEED)
        found = [await self._following.read(order_id, seq) for order_id, seq in shown.items()]
        orders = [snapshot.order for snapshot in found if snapshot]
        await self._socket.send(encode({"type": "snapshot", "orders": orders}).decode())
        for order in orders:
            self._track(UUID(order.order_id), order.seq, datetime.fromisoformat(order.updated_at))

    async def _replay(self, since: datetime) -> None:
        """What the client has missed."""
        self._floor = since - MARGIN
        await self._socket.send(encode({"type": "snapshot", "orders": []}).decode())
        await self._look()

    async def _send_what_came(self) -> None:
        socket, behind = self._socket, set()
        for _ in range(len(socket.inbox)):  # What comes meanwhile must not keep it from looking.
            name, seq, text = socket.inbox.popleft()
            order_id = UUID(name)
            sent = self._seq(order_id)
            if seq == sent + 1:
                await socket.send(text)
                self._track(order_id, seq, head_of(text).at)
            elif seq > sent:
                behind.add(order_id)
        self._following.repaired += await self._catch_up(behind)
        # By the clock: an account whose orders never rest would not be looked at in a quiet moment.
        if time.monotonic() - self._looked >= (OVERFLOWED_S if socket.overflowed else REREAD_S):
            self._following.repaired += await self._look()

    async def _look(self) -> int:
        """Sends what has changed since the look before, or was being committed then. Returns how many events."""
        self._looked, self._socket.overflowed = time.monotonic(), False
        at, events = await now(), 0
        async for seqs in changed_since(self._account_id, self._floor):
            events += await self._catch_up([order_id for order_id, seq in seqs.items() if seq > self._seq(order_id)])
            self._drop_what_is_older_than(at - MARGIN)
        self._floor = at - MARGIN
        return events

    async def _catch_up(self, behind: Collection[UUID]) -> int:
        """Sends what the database has of these orders and the client has not. Returns how many events."""
        ids, count = sorted(behind), 0
        for first in range(0, len(ids), READ_AT_ONCE):
            sent = {order_id: self._seq(order_id) for order_id in ids[first : first + READ_AT_ONCE]}
            for order_id, events in (await events_after(sent, self._floor)).items():
                for event in events:
                    await self._socket.send(encode({"type": "event", "orderId": order_id, **event.fields()}).decode())
                    self._track(order_id, event.seq, datetime.fromisoformat(event.at))
                count += len(events)
        return count

    def _seq(self, order_id: UUID) -> int:
        """The last one that was sent; 0 of an order that is not tracked."""
        sent = self._tracked.get(order_id)
        return sent.seq if sent else 0

    def _track(self, order_id: UUID, seq: int, at: datetime) -> None:
        sent = self._tracked.get(order_id)
        self._tracked[order_id] = Sent(seq, max(at, sent.at) if sent else at)

    def _drop_what_is_older_than(self, floor: datetime) -> None:
        if len(self._tracked) > MAX_TRACKED:
            self._tracked = {order_id: sent for order_id, sent in self._tracked.items() if sent.at >= floor}
