"""A TCP proxy that delays, black-holes, resets, or cuts a connection after the request has gone through."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
CHUNK = 65_536


def to_unix(path: str) -> Open:
    return lambda: asyncio.open_unix_connection(path)


class Proxy:
    """Forwards unless an attribute says otherwise. They may be changed at any moment, for connections that exist too."""

    def __init__(self, upstream: Open, rng: random.Random) -> None:
        self._upstream = upstream
        self._rng = rng
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self.delay_s = 0.0
        self.cut = 0.0
        """The part of answers (0..1) that are lost with their connection, after the request has been delivered."""
        self.refuse = False
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.reset()
        if self._server is not None:
            self._server.close()

    def swallow(self) -> None:
        """From now on bytes wait on both ways, as they do when a cable is out."""
        self._open.clear()

    def heal(self, *, reset: bool = False) -> None:
        """What waits goes on its way; with `reset` the connections of the dark time are gone instead."""
        self.delay_s, self.cut, self.refuse = 0.0, 0.0, False
        if reset:
            self.reset()
        self._open.set()

    def reset(self) -> None:
        """RST on every connection, towards both ends."""
        for pair in tuple(self._pairs):
            for writer in pair:
                abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            return abort(writer)
        try:
            up_reader, up_writer = await self._upstream()
        except OSError:
            return abort(writer)
        pair = (writer, up_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, pair, answers=False), self._pump(up_reader, writer, pair, answers=True)
            )
        finally:
            self._pairs.discard(pair)
            for each in pair:
                abort(each)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        answers: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._open.wait()
                if answers and self.cut and self._rng.random() < self.cut:
                    break
                writer.write(data)
                await writer.drain()
        for each in pair:
            abort(each)


def abort(writer: asyncio.StreamWriter) -> None:
    """Ends a connection at once; over TCP the other side sees a reset."""
    found = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        if found.family == socket.AF_INET:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
