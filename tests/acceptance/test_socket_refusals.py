"""A socket that cannot be served now is told so by its close code; before the handshake a client would see HTTP 403 alone."""

import contextlib
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.engine import Engine


def closed_with(url: str, **headers: str) -> int:
    with connect(url, additional_headers=headers, open_timeout=20) as socket, contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=20)
    return socket.protocol.close_code or 0


def test_a_full_process_says_1013(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(MAX_SOCKETS="1")
    with connect(f"{engine.ws_url}/ws/orders"):
        assert closed_with(f"{engine.ws_url}/ws/orders") == 1013
