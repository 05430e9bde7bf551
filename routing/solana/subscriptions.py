"""Signatures by subscription: a node says when a transaction is final, in the block that makes it so.

Only a hint. What is missed, for whatever reason, the next look at the statuses finds.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

log = logging.getLogger(__name__)
PAUSE_S, MAX_PAUSE_S = 0.5, 10.0
HEARTBEAT_S = 10.0


class _Message(msgspec.Struct):
    id: int | None = None
    result: Any = None
    method: str | None = None
    params: Any = None


class Subscriptions:
    """One socket to one node. `final` is called with a signature; `urls` are tried in turn."""

    def __init__(self, urls: list[str], final: Callable[[str], None]) -> None:
        self._urls, self._final = urls, final
        self._wanted: set[str] = set()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._running: asyncio.Task[None] | None = None
        self._unsent: asyncio.Queue[str] = asyncio.Queue()
        self._asked: dict[int, str] = {}
        self._numbers: dict[int, str] = {}
        self._next = 0

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    def watch(self, signature: str) -> None:
        """From the event loop that all of it runs on."""
        self._wanted.add(signature)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())
        elif self.connected:
            self._unsent.put_nowait(signature)

    def forget(self, signature: str) -> None:
        """It is settled, or nobody waits for it any more."""
        self._wanted.discard(signature)

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def _run(self) -> None:
        pause, place = PAUSE_S, 0
        while True:
            try:
                async with aiohttp.ClientSession() as session:
                    url = self._urls[place % len(self._urls)]
                    async with session.ws_connect(url, heartbeat=HEARTBEAT_S, max_msg_size=1 << 20) as socket:
                        pause = PAUSE_S
                        await self._serve(socket)
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
                log.info("signatures are not subscribed to, but asked for: %s", error or type(error).__name__)
            self._socket = None
            await asyncio.sleep(pause)
            pause, place = min(MAX_PAUSE_S, 2 * pause), place + 1

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._asked, self._numbers, self._unsent = {}, {}, asyncio.Queue()
        self._socket = socket
        for signature in self._wanted:
            self._unsent.put_nowait(signature)
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._receive(msgspec.json.decode(message.data, type=_Message))
        finally:
            sending.cancel()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            signature = await self._unsent.get()
            if signature not in self._wanted:
                continue
            self._next += 1
            self._asked[self._next] = signature
            parameters = [signature, {"commitment": "finalized"}]
            request = {"jsonrpc": "2.0", "id": self._next, "method": "signatureSubscribe", "params": parameters}
            await socket.send_str(msgspec.json.encode(request).decode())

    def _receive(self, message: _Message) -> None:
        if message.id is not None:
            signature = self._asked.pop(message.id, None)
            if signature is not None and isinstance(message.result, int):
                self._numbers[message.result] = signature
        elif message.method == "signatureNotification":
            # The subscription ends with its notification.
            found = self._numbers.pop(message.params["subscription"], None)
            if found in self._wanted:
                self._final(found)
