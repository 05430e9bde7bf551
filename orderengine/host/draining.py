"""A web process that is asked to stop says so to the balancer first, and goes on serving until the balancer has seen it.

A balancer learns from the next health check that a process stops. A process that closes its port at once refuses what is sent
to it until then, and resets the connections that it has not accepted yet.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any, cast

import uvicorn

from orderengine.host.launch import PARENT

MAX_TURNS = 1_000
"""Of accepting what came meanwhile, before a port is closed all the same."""

REQUEST_S = 0.5
"""For the request of whoever had just connected when the port was closed."""

_began: float | None = None


def began() -> bool:
    """Whether this process is stopping. `/healthz` and `/readyz` answer 503 from then on."""
    return _began is not None


def stop_delay_s() -> float:
    """Seconds from STOP_DELAY_S between SIGTERM and the end of accepting; 0 where no balancer asks. Raises `ValueError`."""
    text = os.environ.get("STOP_DELAY_S") or "0"
    try:
        delay = float(text)
    except ValueError:
        delay = -1.0
    if not 0 <= delay <= 60:
        raise ValueError(f"STOP_DELAY_S must be a number from 0 to 60, not {text!r}")
    return delay


class Server(uvicorn.Server):
    """uvicorn's server; SIGTERM takes effect after the delay, a second one and SIGINT at once."""

    def __init__(self, config: uvicorn.Config, delay_s: float) -> None:
        super().__init__(config)
        self._delay_s = delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        global _began
        if sig != signal.SIGTERM or self._delay_s == 0 or began():
            return super().handle_exit(sig, frame)
        _began = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        if _began is not None and not self.should_exit and time.monotonic() - _began >= self._delay_s:
            super().handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A port that came from a parent is others' as well, and stays open.
        if _began is not None and PARENT not in os.environ and sys.platform == "linux":
            with contextlib.ExitStack() as held:
                clients: list[socket.socket] = []
                for listening in [listening for server in self.servers for listening in server.sockets]:
                    port = held.enter_context(socket.socket(fileno=os.dup(listening.fileno())))
                    clients += taken(port, held.enter_context(socket.socket(port.family)))
                # Before the loop has a turn: it would take the plug, and let somebody else in.
                for server in self.servers:
                    server.close()
                await self._serve_also(clients)
            # A connection without a request is closed at once below, also one whose request is on its way.
            await asyncio.sleep(REQUEST_S)
        await super().shutdown(sockets)

    async def _serve_also(self, clients: list[socket.socket]) -> None:
        def protocol() -> asyncio.Protocol:
            made: Any = self.config.http_protocol_class
            return cast(
                asyncio.Protocol,
                made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state),
            )

        for client in clients:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, client)


def taken(port: socket.socket, plug: socket.socket) -> list[socket.socket]:
    """All connections that wait at a listening socket, which takes no more of them from here on.

    Closing it would reset them, though their requests may have been sent. With a backlog of 0 the kernel keeps one connection
    waiting and drops whoever comes next: that one is `plug`. Who was dropped tries again after a second, is refused then,
    and a proxy goes to the next process.
    """
    port.setblocking(False)
    plug.setblocking(False)
    port.listen(0)
    waiting: list[socket.socket] = []
    for _ in range(MAX_TURNS):
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting.append(port.accept()[0])
        plug.connect_ex(port.getsockname())
        if plug.connect_ex(port.getsockname()) in (0, errno.EISCONN):
            break
    return waiting
