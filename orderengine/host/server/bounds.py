"""What one connection and all connections of a process may take, and the clock that ends what takes too long."""

import asyncio
import ipaddress
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.addresses import client_network

CHECK_EVERY_S = 1.0
"""One timer looks at all connections. A timer for each request would cost more than its bounds; deadlines are a second coarse."""
LINGER_S = 3.0
"""After a refusal what the client still sends is read and discarded for so long: closing at once would reset the
connection, and the client would see the reset in place of the answer."""
MAX_LINGERING = 256
"""Of connections beyond the caps. Further ones are closed without an answer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes in bytes, times in seconds. The defaults and their reasons are in `orderengine.settings`."""

    max_request_line: int = 8 * 1024
    max_head: int = 32 * 1024
    max_headers: int = 100
    max_body: int = 256 * 1024
    head_s: float = 10.0
    body_s: float = 15.0
    write_s: float = 30.0
    keep_alive_s: float = 130.0
    max_pipelined: int = 8
    max_connections: int = 25_000
    max_connections_per_address: int = 1_000
    max_frames: int = 200
    max_frame_bytes: int = 1024 * 1024
    frames_window_s: float = 10.0
    proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies, which the cap per address does not hold for; `*` is everybody."""

    def is_proxy(self, address: str) -> bool:
        if "*" in self.proxies or address in self.proxies:
            return True
        try:
            peer = ipaddress.ip_network(address)
        except ValueError:
            return False
        networks = (ipaddress.ip_network(proxy, strict=False) for proxy in self.proxies)
        return any(peer.version == network.version and peer.network_address in network for network in networks)


class Bounded(Protocol):
    """A connection that is looked at once a second."""

    def check_deadlines(self, now: float) -> None: ...


def address_of(transport: Any) -> str:
    """The peer's address as it is counted; "" of a Unix socket."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple) or not peer:
        return ""
    return client_network(str(peer[0])) or str(peer[0])


class Connections:
    """The open connections of a process, HTTP and WebSocket alike."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.now = 0.0
        """The loop's time at the last check."""
        self._addresses: dict[Bounded, str] = {}
        self._of_address: Counter[str] = Counter()
        self._refused: set[Bounded] = set()
        self._checking = False

    def __len__(self) -> int:
        return len(self._addresses)

    def admit(self, connection: Bounded, address: str, loop: asyncio.AbstractEventLoop) -> bool:
        if not self._checking:
            self._checking = True
            self.now = loop.time()
            loop.call_later(CHECK_EVERY_S, self._check_all, loop)
        bounds = self.bounds
        if len(self._addresses) >= bounds.max_connections:
            return False
        if self._of_address[address] >= bounds.max_connections_per_address and not bounds.is_proxy(address):
            return False
        self._addresses[connection] = address
        self._of_address[address] += 1
        return True

    def linger(self, connection: Bounded) -> bool:
        """Whether a connection beyond the caps may stay to read its answer."""
        if len(self._refused) >= MAX_LINGERING:
            return False
        self._refused.add(connection)
        return True

    def replace(self, former: Bounded, present: Bounded) -> None:
        """The same connection under another protocol."""
        self._addresses[present] = self._addresses.pop(former)

    def release(self, connection: Bounded) -> None:
        self._refused.discard(connection)
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def idle_s(self) -> float:
        """Up to a tenth longer than asked for: the connections of a pool do not end at the same moment."""
        return self.bounds.keep_alive_s * random.uniform(1.0, 1.1)

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = now = loop.time()
        for connection in (*self._addresses, *self._refused):
            connection.check_deadlines(now)
        if self._addresses or self._refused:
            loop.call_later(CHECK_EVERY_S, self._check_all, loop)
        else:
            self._checking = False
