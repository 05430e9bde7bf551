"""`python -m orderengine.host.server`: uvicorn as the web process wants it, with answers in one piece.

uvicorn writes the head of an answer and then its body, and uvloop sends each at once: two system calls, two packets and two
turns of the client, a tenth of what accepting an order costs.
"""

import argparse
import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_GATHERED = 64 * 1024
"""Bytes. Beyond that a long answer is written at once, so that a client that reads slowly slows its sender down."""


class Gathering:
    """A transport that sends in one go what is written to it in a turn of the loop."""

    __slots__ = ("_flush_soon", "_pieces", "_size", "_transport", "get_extra_info", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._flush_soon = loop.call_soon
        self._pieces: list[bytes] = []
        self._size = 0
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._flush_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_GATHERED:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self.is_closing():
            self._transport.write(b"".join(pieces))


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, and by way of it its WebSockets, on a gathering transport."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="orderengine.asgi:application")
    parser.add_argument("--fd", type=int, help="a listening socket")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--lifespan", default="on", choices=["on", "off"])
    options = parser.parse_args()
    address = {name: value for name in ("fd", "host", "port") if (value := getattr(options, name)) is not None}
    uvicorn.run(
        options.app,
        **address,
        lifespan=options.lifespan,
        loop="uvloop",
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=65536,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=4,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
