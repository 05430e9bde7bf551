"""WebSockets: `/ws/{orderId}`, `/ws/orders`, `/ws/quotes/{pair}`.

A socket joins its group first and reads the database after that, so whatever is committed in between arrives twice and
is sent once. From then on the group's news go out in the order of their seq; a gap, a full inbox or a few quiet seconds
are answered by reading the database again. So the stream is whole whatever Redis loses, and no buffer grows.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import psycopg
from django.db import Error as DatabaseError

from accounts.auth import Caller, KeyRing, is_loopback, redeem
from accounts.models import Scope
from orders.events import account_group, order_group
from orders.ids import uuid_of
from orders.lifecycle import FINAL
from orders.prices import Quotes
from orders.streams.snapshots import Reader, Snapshot, newest_seqs
from orders.streams.subscriptions import Subscriptions
from routing.prices import WATCHED_S
from routing.world import tokens
from triggers.ticker import quotes_group

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode

DONE, RESTART, BUSY, UNAUTHENTICATED, NOT_FOUND, TOO_SLOW, TOO_MANY = 1000, 1012, 1013, 4401, 4404, 4408, 4429
REREAD_S = 3.0
"""How late news can be while Redis is away."""
MAX_INBOX = 64
SEND_TIMEOUT_S = 10.0
MAX_SEQ = 2**31 - 1
SNAPSHOTS_IN_FEED = 50
MAX_TRACKED = 5_000
MAX_FRAMES = 100
"""In ten seconds, from a client, which has nothing to tell us."""

AsgiScope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Closed(Exception):
    """The socket is closed, or has to be with this code."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False, slots=True)
class Socket:
    """One client: what it is sent, how it is woken, when it is gone."""

    scope: AsgiScope
    receive: Receive
    send_: Send
    inbox: deque[tuple[str, int, str]] = field(default_factory=deque)
    overflowed: bool = False
    gone: bool = False
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, message: dict[str, Any]) -> None:
        """The group's news; what does not fit is read from the database later."""
        for entry in message["texts"] if "texts" in message else message["news"]:
            if len(self.inbox) < MAX_INBOX:
                self.inbox.append(tuple(entry))
            else:
                self.overflowed = True
        self.awake.set()

    async def send(self, text: str) -> None:
        if self.gone:
            raise Closed
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.send_({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise Closed(TOO_SLOW) from None
        except Exception:  # The server's way of saying that the client has left.
            raise Closed from None

    async def wait(self, seconds: float) -> None:
        """Until there is news, the client is gone or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.awake.wait()
        self.awake.clear()
        if self.gone:
            raise Closed

    async def listen(self) -> None:
        """Reads what the client sends, which says nothing to us, until it leaves."""
        frames, since = 0, time.monotonic()
        with suppress(Exception):
            while (await self.receive())["type"] != "websocket.disconnect":
                frames += 1
                if time.monotonic() - since > 10:
                    frames, since = 0, time.monotonic()
                if frames > MAX_FRAMES:
                    await self.send_({"type": "websocket.close", "code": TOO_MANY})
                    break
        self.gone = True
        self.awake.set()


class Sockets:
    """The ASGI endpoints of a web process."""

    def __init__(
        self,
        hub: Callable[[], Subscriptions],
        reader: Callable[[], Reader],
        keys: KeyRing,
        *,
        most: int,
        max_account: int,
        prices: Callable[[], Quotes],
    ) -> None:
        """`most` sockets of this process, `max_account` of one account in it."""
        self._hub = hub
        self._reader = reader
        self._keys = keys
        self._prices = prices
        self._most = most
        self._max_account = max_account
        self._of_account: Counter[int] = Counter()
        self.open: set[Socket] = set()
        self.repaired = 0

    async def order(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._order)

    async def account(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._account)

    async def quotes(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._quotes)

    async def _serve(
        self,
        scope: AsgiScope,
        receive: Receive,
        send: Send,
        handle: Callable[[Socket, Caller], Awaitable[None]],
    ) -> None:
        socket = Socket(scope, receive, send)
        if (await receive())["type"] != "websocket.connect":
            return
        if len(self.open) >= self._most:
            return await send({"type": "websocket.close", "code": BUSY})
        try:
            caller = await self._caller(scope)
        except DatabaseError:
            return await send({"type": "websocket.close", "code": RESTART})
        await send({"type": "websocket.accept"})
        if caller is None or not caller.may(Scope.READ):
            return await send({"type": "websocket.close", "code": UNAUTHENTICATED})
        if self._of_account[caller.account_id] >= self._max_account:
            return await send({"type": "websocket.close", "code": TOO_MANY})
        self.open.add(socket)
        self._of_account[caller.account_id] += 1
        listening = asyncio.create_task(socket.listen())
        try:
            await handle(socket, caller)
        except Closed as closed:
            if closed.code is not None:
                await self._close(socket, closed.code)
        except Exception:
            log.exception("a socket failed")
            await self._close(socket, RESTART)
        finally:
            self.open.discard(socket)
            self._of_account[caller.account_id] -= 1
            if not self._of_account[caller.account_id]:
                del self._of_account[caller.account_id]
            listening.cancel()

    async def _close(self, socket: Socket, code: int) -> None:
        with suppress(Exception):
            async with asyncio.timeout(1):
                await socket.send_({"type": "websocket.close", "code": code})
        socket.gone = True
        socket.awake.set()

    async def _caller(self, scope: AsgiScope) -> Caller | None:
        """Scripts send a key or a ticket. Browsers send cookies to everybody, so there the Origin must be ours."""
        headers = dict(scope["headers"])
        if ticket := parse_qs(scope.get("query_string", b"").decode("latin-1")).get("ticket"):
            return await asyncio.to_thread(redeem, ticket[0])
        if authorization := headers.get(b"authorization"):
            return await self._keys.caller(authorization.decode("latin-1"))
        origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc
        if origin and origin != headers.get(b"host", b"").decode("latin-1"):
            return None
        cookie = headers.get(b"cookie", b"").decode("latin-1") if origin else ""
        session = await asyncio.to_thread(self._keys.session, cookie) if cookie else None
        if session is None and is_loopback(headers.get(b"host", b"").decode("latin-1")):
            return await self._keys.caller(None)
        return session

    async def _read(self, order_id: UUID, after: int) -> Snapshot | None:
        """Reads until Postgres answers, for as long as the socket lasts."""
        while True:
            try:
                return await self._reader().submit((order_id, after))
            except psycopg.Error:
                await asyncio.sleep(1)

    async def _since(self, order_id: UUID, seq: int) -> list[dict[str, Any]]:
        while True:
            try:
                return await self._reader().since.submit((order_id, seq))
            except psycopg.Error:
                await asyncio.sleep(1)

    async def _order(self, socket: Socket, caller: Caller) -> None:
        order_id = uuid_of(socket.scope["url_route"]["kwargs"]["order_id"])
        if order_id is None:
            raise Closed(NOT_FOUND)
        group = order_group(order_id)
        await self._hub().join(group, socket)
        try:
            await self._follow(socket, caller, order_id, after_of(socket.scope))
        finally:
            self._hub().leave(group, socket)

    async def _follow(self, socket: Socket, caller: Caller, order_id: UUID, after: int) -> None:
        snapshot = await self._read(order_id, after)
        if snapshot is None or snapshot.account_id != caller.account_id and not caller.is_staff:
            raise Closed(NOT_FOUND)
        order = snapshot.order
        message = {
            "type": "snapshot",
            "orderId": order["orderId"],
            "seq": order["seq"],
            "status": order["status"],
            "order": order,
            "events": snapshot.events,
        }
        await socket.send(encode(message).decode())
        seq, status = order["seq"], order["status"]
        while status not in FINAL:
            await socket.wait(REREAD_S)
            quiet, socket.overflowed = not socket.inbox or socket.overflowed, False
            while socket.inbox and not quiet:
                _, news_seq, text = socket.inbox.popleft()
                if news_seq == seq + 1:
                    await socket.send(text)
                    seq, status = news_seq, status_of(text)
                elif news_seq > seq:
                    quiet = True
            if quiet and status not in FINAL:
                socket.inbox.clear()
                seq, status = await self._catch_up(socket, order_id, seq, status)
        raise Closed(DONE)

    async def _catch_up(self, socket: Socket, order_id: UUID, seq: int, status: str) -> tuple[int, str]:
        for event in await self._since(order_id, seq):
            self.repaired += 1
            await socket.send(encode({"type": "event", "orderId": order_id, **event}).decode())
            seq, status = event["seq"], event["status"]
        return seq, status

    async def _account(self, socket: Socket, caller: Caller) -> None:
        group = account_group(caller.account_id)
        await self._hub().join(group, socket)
        try:
            await self._feed(socket, caller.account_id)
        finally:
            self._hub().leave(group, socket)

    async def _feed(self, socket: Socket, account_id: int) -> None:
        """Every event of every order of the account; each order's own in the order of seq."""
        seqs = await self._newest(account_id, ())
        newest = sorted(seqs, reverse=True)[:SNAPSHOTS_IN_FEED]
        snapshots = [await self._read(order_id, seqs[order_id]) for order_id in newest]
        await socket.send(encode({"type": "snapshot", "orders": [s.order for s in snapshots if s]}).decode())
        for snapshot in snapshots:
            if snapshot is not None:
                seqs[UUID(snapshot.order["orderId"])] = snapshot.order["seq"]
        over: dict[UUID, None] = {}  # Orders that have ended, the first to end first.
        while True:
            await socket.wait(REREAD_S)
            behind: set[UUID] = set()
            quiet, socket.overflowed = not socket.inbox or socket.overflowed, False
            while socket.inbox:
                name, news_seq, text = socket.inbox.popleft()
                order_id = UUID(name)
                if news_seq == seqs.get(order_id, 0) + 1:
                    await socket.send(text)
                    seqs[order_id] = news_seq
                    if status_of(text) in FINAL:
                        over[order_id] = None
                elif news_seq > seqs.get(order_id, 0):
                    behind.add(order_id)
            if quiet:
                latest = await self._newest(account_id, tuple(seqs))
                behind |= {order_id for order_id, seq in latest.items() if seq > seqs.get(order_id, 0)}
            for order_id in sorted(behind):
                seqs[order_id], status = await self._catch_up(socket, order_id, seqs.get(order_id, 0), "")
                if status in FINAL:
                    over[order_id] = None
            while len(seqs) > MAX_TRACKED:
                # Of an order that is forgotten while it runs all events would be told again.
                forgotten = next(iter(over or seqs))
                seqs.pop(forgotten, None)
                over.pop(forgotten, None)

    async def _newest(self, account_id: int, known: Iterable[UUID]) -> dict[UUID, int]:
        while True:
            try:
                return await asyncio.to_thread(newest_seqs, account_id, tuple(known))
            except DatabaseError:
                await asyncio.sleep(1)

    async def _quotes(self, socket: Socket, caller: Caller) -> None:
        """The present prices, then every tick's. Whoever looks keeps a pair polled."""
        pair = tokens().pair_named(socket.scope["url_route"]["kwargs"]["pair"])
        if pair is None:
            raise Closed(NOT_FOUND)
        group = quotes_group(pair.name)
        await self._hub().join(group, socket)
        try:
            while True:
                await self._prices().watch(pair)
                # Without Redis nothing comes by itself.
                if not socket.inbox:
                    await socket.send(encode(await self._prices().message(pair)).decode())
                watched_until = time.monotonic() + WATCHED_S / 2
                while time.monotonic() < watched_until:
                    await socket.wait(REREAD_S)
                    if not socket.inbox:
                        break
                    while socket.inbox:
                        await socket.send(socket.inbox.popleft()[2])
        finally:
            self._hub().leave(group, socket)


def after_of(scope: AsgiScope) -> int:
    """`?after=SEQ`; what is no number means from the start."""
    text = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("after", ["0"])[0]
    return min(int(text), MAX_SEQ) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def status_of(text: str) -> str:
    return msgspec.json.decode(text, type=EventStatus).status


class EventStatus(msgspec.Struct):
    status: str
