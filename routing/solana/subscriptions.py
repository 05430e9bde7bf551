"""What a node tells by itself, in the block that makes it so: that a transaction is final, that an account has changed, that
a program has one more.

Only a hint. What is missed, for whatever reason, the next look finds.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from routing.solana.blockhash import COMMITMENT

log = logging.getLogger(__name__)
PAUSE_S, MAX_PAUSE_S = 0.5, 10.0
HEARTBEAT_S = 10.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What is subscribed to, by `{name}Subscribe` with these parameters. `once`: a notification ends the subscription."""

    name: str
    parameters: Callable[[str], list[Any]]
    once: bool


def _accounts_of(what: str) -> list[Any]:
    """`what`: JSON of a program and of filters of its accounts."""
    program, filters = msgspec.json.decode(what)
    return [program, {"commitment": COMMITMENT, "encoding": "base64", "filters": filters}]


SIGNATURES = Kind("signature", lambda what: [what, {"commitment": "finalized"}], once=True)
ACCOUNTS = Kind("account", lambda what: [what, {"commitment": COMMITMENT, "encoding": "base64"}], once=False)
PROGRAMS = Kind("program", _accounts_of, once=False)


class _Message(msgspec.Struct):
    id: int | None = None
    result: Any = None
    method: str | None = None
    params: Any = None


class Subscriptions:
    """One socket to one node. `told` is called with what was watched and the notification's result; `urls` are tried in turn."""

    def __init__(self, urls: list[str], kind: Kind, told: Callable[[str, Any], None]) -> None:
        self._urls, self._kind, self._told = urls, kind, told
        self._wanted: set[str] = set()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._running: asyncio.Task[None] | None = None
        self._unsent: asyncio.Queue[str] = asyncio.Queue()
        """What is to be subscribed to, or no more, by whether it is wanted."""
        self._asked: dict[int, str] = {}
        self._numbers: dict[int, str] = {}
        self._known: dict[str, int | None] = {}
        """What is subscribed to by this socket, with its number as soon as the node has said it."""
        self._next = 0
        self._pause_s = PAUSE_S

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    def watch(self, what: str) -> None:
        """From the event loop that all of it runs on."""
        self._wanted.add(what)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())
        elif self.connected:
            self._unsent.put_nowait(what)

    def forget(self, what: str) -> None:
        """It is settled, or nobody waits for it any more."""
        self._wanted.discard(what)
        if not self._kind.once and self.connected:
            self._unsent.put_nowait(what)

    def only(self, wanted: Collection[str]) -> None:
        """Watches these and nothing else; without any the socket is closed."""
        for what in self._wanted.difference(wanted):
            self.forget(what)
        for what in set(wanted) - self._wanted:
            self.watch(what)
        if not wanted and self._running is not None:
            self._running.cancel()
            self._running = None

    def tells(self, what: str) -> bool:
        """Whether the node has said that it will."""
        return self.connected and self._known.get(what) is not None

    def give_up(self) -> None:
        """The node at hand does not tell: the next one is tried."""
        if self._socket is not None:
            closing = asyncio.get_running_loop().create_task(self._socket.close())
            closing.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def close(self) -> None:
        """From any event loop."""
        running, self._running = self._running, None
        if running is None or not running.get_loop().is_running():
            return
        loop = running.get_loop()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_ended(running), loop))

    async def _run(self) -> None:
        place = 0
        while True:
            try:
                async with aiohttp.ClientSession() as session:
                    url = self._urls[place % len(self._urls)]
                    async with session.ws_connect(url, heartbeat=HEARTBEAT_S, max_msg_size=1 << 20) as socket:
                        await self._serve(socket)
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError, LookupError, TypeError) as error:
                log.info("%ss are asked for, not subscribed to: %s", self._kind.name, error or type(error).__name__)
            await asyncio.sleep(self._pause_s)
            self._pause_s, place = min(MAX_PAUSE_S, 2 * self._pause_s), place + 1

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._asked, self._numbers, self._known, self._unsent = {}, {}, {}, asyncio.Queue()
        self._socket = socket
        for what in self._wanted:
            self._unsent.put_nowait(what)
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._receive(msgspec.json.decode(message.data, type=_Message))
        finally:
            sending.cancel()
            if self._socket is socket:  # Not that of a task which began while this one ended.
                self._socket = None

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            what = await self._unsent.get()
            self._next += 1
            if what in self._wanted and what not in self._known:
                self._asked[self._next], self._known[what] = what, None
                await self._call(socket, "Subscribe", self._kind.parameters(what))
            elif what not in self._wanted and (number := self._known.get(what)) is not None:
                del self._known[what], self._numbers[number]
                await self._call(socket, "Unsubscribe", [number])

    async def _call(self, socket: aiohttp.ClientWebSocketResponse, verb: str, params: list[Any]) -> None:
        request = {"jsonrpc": "2.0", "id": self._next, "method": f"{self._kind.name}{verb}", "params": params}
        await socket.send_str(msgspec.json.encode(request).decode())

    def _receive(self, message: _Message) -> None:
        if message.id is not None:
            what = self._asked.pop(message.id, None)
            if what is not None and isinstance(message.result, int):
                self._numbers[message.result], self._known[what] = what, message.result
                if what not in self._wanted and not self._kind.once:
                    self._unsent.put_nowait(what)  # It was forgotten while it was asked for.
        elif message.method == f"{self._kind.name}Notification":
            self._pause_s = PAUSE_S  # It tells: the next loss of it is a new one.
            number = message.params["subscription"]
            found = self._numbers.get(number)
            if found is not None and self._kind.once:
                del self._numbers[number], self._known[found]
            if found is not None and found in self._wanted:
                self._told(found, message.params["result"])


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
