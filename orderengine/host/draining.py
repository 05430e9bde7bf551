"""A web process that is asked to stop says so to the balancer first, and goes on serving until the balancer has seen it.

A balancer learns from the next health check that a process stops. A process that closes its port at once refuses what is sent
to it until then, and resets the connections that it has not accepted yet.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
import time
from types import FrameType
from typing import Any, cast

import uvicorn

from orderengine.host.launch import PARENT

SO_ATTACH_FILTER = 26
HANDSHAKE_S = 0.3
"""For who has had our half of the handshake to send the last part, once more if it was lost."""


class Instruction(ctypes.Structure):
    """Of a classic BPF program: `struct sock_filter` of linux/filter.h."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


DROP_NEW = (Instruction * 5)(
    Instruction(0x30, 0, 0, 13),  # The flags of the TCP header,
    Instruction(0x54, 0, 0, 0x12),  # of which SYN and ACK:
    Instruction(0x15, 0, 1, 0x02),  # a SYN alone asks for a new connection
    Instruction(0x06, 0, 0, 0),  # and is dropped,
    Instruction(0x06, 0, 0, 0xFFFFFFFF),  # all else is taken whole.
)

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
            ports = [listening.fileno() for server in self.servers for listening in server.sockets]
            for port in ports:
                take_no_more(port)
            await asyncio.sleep(HANDSHAKE_S)  # The loop accepts meanwhile.
            for port in ports:
                await self._serve_also(waiting(port))
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


def take_no_more(port: int) -> None:
    """Nobody new connects to a listening socket from here on, while whoever has begun to gets through.

    Closing it would reset who is connected and not yet accepted, though the request may have been sent. Who asks now gets no
    answer, tries again after a second, is refused then, and a proxy goes to the next process. (A backlog of 0 does not do: the
    kernel then drops the last part of handshakes that are under way, and their clients send all the same.)
    """
    program = struct.pack("HL", len(DROP_NEW), ctypes.addressof(DROP_NEW))
    with socket.socket(fileno=os.dup(port)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def waiting(port: int) -> list[socket.socket]:
    """All connections that wait at a listening socket."""
    clients: list[socket.socket] = []
    with socket.socket(fileno=os.dup(port)) as listening, contextlib.suppress(BlockingIOError):
        listening.setblocking(False)
        while True:
            clients.append(listening.accept()[0])
    return clients
