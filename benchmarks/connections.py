"""HTTP and WebSocket clients that cost little: the load generator shares the cores with what it measures.

They speak just enough of both protocols for this engine: keep-alive HTTP/1.1 with Content-Length, and server frames that
are whole and uncompressed. Anything else raises, so that a changed server is noticed.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import cast

TEXT, CLOSE, PING = 0x81, 0x88, 0x89
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: b3JkZXJlbmdpbmViZW5jaA==\r\nSec-WebSocket-Version: 13\r\n{authorization}\r\n"
)


class UnexpectedAnswer(Exception):
    """The server said something that these clients do not speak."""


def authorization(key: str | None) -> str:
    return f"Authorization: Bearer {key}\r\n" if key else ""


def post(path: str, host: str, key: str | None, body: bytes, extra: str = "") -> bytes:
    """A whole POST request of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{authorization(key)}{extra}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection, one request at a time. `answered(connection, status, body)` ends each."""

    def __init__(self, answered: Callable[["HttpConnection", int, bytes], None]) -> None:
        self._answered = answered
        self._received = b""
        self.sent_at = 0.0
        """What the caller counts the latency from, on the monotonic clock."""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def request(self, message: bytes, counted_from: float) -> None:
        self.sent_at = counted_from
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        field = self._received.lower().find(b"content-length:", 0, head)
        if field < 0:
            raise UnexpectedAnswer(self._received[:head].decode("latin-1"))
        length = int(self._received[field + 15 : self._received.find(b"\r", field)])
        if len(self._received) < head + 4 + length:
            return
        status, body = int(self._received[9:12]), self._received[head + 4 :]
        self._received = b""
        self._answered(self, status, body)


class WebSocket(asyncio.Protocol):
    """One client. `said(text, arrived_at)` for each message (Unix time in seconds), `ended(code)` once; 1006: torn."""

    def __init__(
        self,
        request: bytes,
        said: Callable[[bytes, float], None],
        ended: Callable[[int], None],
        opened: Callable[[], None] | None = None,
    ) -> None:
        self._request = request
        self._said = said
        self._ended = ended
        self._opened = opened
        self._received = b""
        self._open = False
        self._code: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(1006 if self._code is None else self._code)

    def data_received(self, data: bytes) -> None:
        arrived_at = time.time()
        self._received += data
        if not self._open and not self._shake_hands():
            return
        while (frame := self._frame()) is not None:
            kind, payload = frame
            if kind == TEXT:
                self._said(payload, arrived_at)
            elif kind == PING:
                self.transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            elif kind == CLOSE:
                self._code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                self.transport.write(bytes([CLOSE, 0x80 | 2, 0, 0, 0, 0]) + payload[:2])
                self.transport.close()
            else:
                raise UnexpectedAnswer(f"frame {kind:#x}")

    def _shake_hands(self) -> bool:
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return False
        if not self._received.startswith(b"HTTP/1.1 101"):
            raise UnexpectedAnswer(self._received[:head].decode("latin-1"))
        self._received = self._received[head + 4 :]
        self._open = True
        if self._opened:
            self._opened()
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        """The next complete frame, None while it is not all there."""
        data = self._received
        if len(data) < 2:
            return None
        start, length = 2, data[1] & 0x7F
        if length == 126:
            start, length = 4, int.from_bytes(data[2:4]) if len(data) >= 4 else 1 << 62
        elif length == 127:
            start, length = 10, int.from_bytes(data[2:10]) if len(data) >= 10 else 1 << 62
        if len(data) < start + length:
            return None
        self._received = data[start + length :]
        return data[0], data[start : start + length]


def upgrade(path: str, host: str, key: str | None) -> bytes:
    return HANDSHAKE.format(path=path, host=host, authorization=authorization(key)).encode()
