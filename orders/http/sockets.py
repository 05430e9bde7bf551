"""WebSockets: `/ws/{orderId}`, `/ws/orders`, `/ws/plans/{planId}`, `/ws/quotes/{pair}`: who is let in, what is served, how it
ends."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import parse_qs
from uuid import UUID

import psycopg
from django.db import Error as DatabaseError
from django.http import QueryDict

from accounts.auth import Caller, KeyRing, redeem
from accounts.callers import caller_of
from accounts.limits import Limiter
from accounts.models import Scope as Right
from accounts.origin import is_secure
from orders import metrics
from orders.asgi_types import Receive, Scope, Send
from orders.errors import ApiError
from orders.http.errors import rate_limited
from orders.http.parameters import Parameters
from orders.http.protocol import check_single, respond_error
from orders.prices import Quotes
from orders.streams.connection import (
    BUSY,
    NOT_FOUND,
    RESTART,
    TOO_MANY,
    UNAUTHENTICATED,
    Closed,
    Socket,
)
from orders.streams.credentials import CredentialCheck
from orders.streams.feed import Feed
from orders.streams.following import REREAD_S, Following, encode
from orders.streams.plans import follow_plan
from orders.streams.snapshots import Reader
from orders.streams.subscriptions import Subscriptions
from routing.prices import WATCHED_S
from routing.world import tokens
from triggers.ticker import quotes_group

log = logging.getLogger(__name__)

MAX_SEQ = 2**31 - 1

Handler = Callable[[Socket], Awaitable[None]]


class Sockets:
    """The ASGI endpoints of a web process."""

    def __init__(
        self,
        subscriptions: Callable[[], Subscriptions],
        reader: Callable[[], Reader],
        keys: KeyRing,
        *,
        max_open: int,
        max_account: int,
        prices: Callable[[], Quotes],
        limiter: Limiter,
    ) -> None:
        """`max_open` sockets of this process, `max_account` of one account in it."""
        self._subscriptions = subscriptions
        self._reader = reader
        self._keys = keys
        self._prices = prices
        self._limiter = limiter
        self._max_open = max_open
        self._max_account = max_account
        self._of_account: Counter[int] = Counter()
        self._following: Following | None = None
        self.open: set[Socket] = set()
        self._credentials = CredentialCheck(keys, self.open)

    @property
    def repaired(self) -> int:
        return self._following.repaired if self._following else 0

    @property
    def following(self) -> Following:
        """Made with the first socket: what it uses is made when the process starts."""
        if self._following is None:
            self._following = Following(self._subscriptions(), self._reader())
        return self._following

    async def order(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._order)

    async def plan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._plan)

    async def account(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._account, check=since_of)

    async def quotes(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._quotes)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, handle: Handler, *, check: Callable[[Scope], object] = id
    ) -> None:
        """A refusal that has a close code is sent right after the handshake, for browsers show scripts no HTTP status; all
        that can be asked is asked before it, so that nothing is taken from a client in between. `check` refuses a query by
        `ApiError`."""
        if (await receive())["type"] != "websocket.connect":
            return
        if len(self.open) >= self._max_open:
            return await refuse(send, BUSY)
        try:
            check_single(scope["headers"])
            check(scope)
            await self._charge(scope)
            caller = await self._caller(scope)
        except ApiError as error:
            return await respond_error(scope, send, error)
        except (DatabaseError, psycopg.Error):
            return await refuse(send, RESTART)
        await send({"type": "websocket.accept"})
        if caller is None or not caller.may(Right.READ):
            return await send({"type": "websocket.close", "code": UNAUTHENTICATED})
        if self._of_account[caller.account_id] >= self._max_account:
            return await send({"type": "websocket.close", "code": TOO_MANY})
        await self._hold(Socket(scope, receive, send, caller), handle)

    async def _hold(self, socket: Socket, handle: Handler) -> None:
        account_id = socket.caller.account_id
        self.open.add(socket)
        self._of_account[account_id] += 1
        self._credentials.start()
        reading = asyncio.create_task(socket.read())
        try:
            try:
                async with asyncio.timeout(None) as socket.serving:
                    await handle(socket)
            finally:
                socket.serving = None  # What is finished cannot be interrupted any more.
        except Closed as closed:
            if closed.code is not None:
                await socket.close(closed.code)
        except Exception as error:
            if socket.ended is None:
                log.error("a socket failed", exc_info=error)
            await socket.close(socket.ended or RESTART)
        finally:
            self.open.discard(socket)
            self._of_account[account_id] -= 1
            if not self._of_account[account_id]:
                del self._of_account[account_id]
            reading.cancel()

    async def _charge(self, scope: Scope) -> None:
        """Before a key is looked up, so that guesses are paid for."""
        client = scope.get("client")
        ask = self._limiter.ask(None, client[0]) if client and self._limiter.on else None
        decision = await self._limiter.take(ask) if ask else None
        if decision is not None and not decision.through:
            metrics.RATE_LIMITED.inc()
            raise rate_limited(decision)

    async def _caller(self, scope: Scope) -> Caller | None:
        """A ticket was made for one socket, wherever its page is."""
        headers = dict(scope["headers"])
        if (ticket := query_of(scope, blank=True).get("ticket")) is not None:
            return await asyncio.to_thread(redeem, ticket[0]) if len(ticket) == 1 else None
        return await caller_of(self._keys, headers, secure=is_secure(scope.get("scheme", "ws"), headers))

    async def _order(self, socket: Socket) -> None:
        try:
            order_id = UUID(socket.scope["url_route"]["kwargs"]["order_id"])
        except ValueError:
            raise Closed(NOT_FOUND) from None
        await self.following.order(socket, order_id, after_of(socket.scope))

    async def _plan(self, socket: Socket) -> None:
        try:
            plan_id = UUID(socket.scope["url_route"]["kwargs"]["plan_id"])
        except ValueError:
            raise Closed(NOT_FOUND) from None
        await follow_plan(self._subscriptions(), socket, plan_id, after_of(socket.scope))

    async def _account(self, socket: Socket) -> None:
        await Feed(self.following, socket, socket.caller.account_id, since_of(socket.scope)).run()

    async def _quotes(self, socket: Socket) -> None:
        """The present prices, then every tick's. Whoever looks keeps a pair polled."""
        pair = tokens().pair_named(socket.scope["url_route"]["kwargs"]["pair"])
        if pair is None:
            raise Closed(NOT_FOUND)
        group, subscriptions = quotes_group(pair.name), self._subscriptions()
        await subscriptions.join(group, socket)
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
            subscriptions.leave(group, socket)


def after_of(scope: Scope) -> int:
    """`?after=SEQ`; what is no number means from the start."""
    text = query_of(scope).get("after", ["0"])[0]
    return min(int(text), MAX_SEQ) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def since_of(scope: Scope) -> datetime | None:
    """`?since=TIME` of the account's stream. Raises `ApiError`: a time that was misread would leave events out unseen."""
    query = QueryDict(scope.get("query_string", b""))
    return Parameters(query, ("since", "ticket")).moment("since")


def query_of(scope: Scope, *, blank: bool = False) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=blank)


async def refuse(send: Send, code: int) -> None:
    """After the handshake: a close before it is HTTP 403 to the client, whatever its code."""
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": code})
