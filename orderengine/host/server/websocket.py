"""WebSockets within bounds, on uvicorn's sans-I/O protocol.

A client of these sockets has nothing to say, so all frames count: pings, pongs, empty continuations, and those that
arrive after the socket was refused or closed.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from orderengine.host.server.bounds import LINGER_S, Connections

PIECE = 4096
"""Bytes. At most 682 frames of a client are parsed before they are counted."""
TOO_MANY = 4429


class SocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        self._bounds = connections.bounds
        self._window = connections.now
        self._frames = self._bytes = 0
        self._dropped = False
        self._dropped_at = self._stuck_since = self._closing_since = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        bounds = self._bounds
        if not self.handshake_initiated:
            return super().data_received(data)
        if not self.handshake_complete:
            # RFC 6455 4.1: a client waits for the answer to its handshake. The library fails on what comes before it.
            return self.transport.abort()
        if self._all.now - self._window > bounds.frames_window_s:
            self._window, self._frames, self._bytes = self._all.now, 0, 0
        self._bytes += len(data)
        for start in range(0, len(data), PIECE):
            if self._dropped or self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE])
            if self._frames > bounds.max_frames or self._bytes > bounds.max_frame_bytes:
                self._drop()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # It was refused with an answer of its own; uvicorn takes that for an unfinished handshake, a log line each.
            self.handshake_complete = True

    def handle_cont(self, event: Frame) -> None:
        self._count(super().handle_cont, event)

    def handle_text(self, event: Frame) -> None:
        self._count(super().handle_text, event)

    def handle_bytes(self, event: Frame) -> None:
        self._count(super().handle_bytes, event)

    def handle_pong(self, event: Frame) -> None:
        self._count(super().handle_pong, event)

    def handle_ping(self) -> None:
        self._frames += 1
        if self._frames <= self._bounds.max_frames:
            super().handle_ping()

    def _count(self, handle: Callable[[Frame], None], event: Frame) -> None:
        """Frames beyond the bound are not handed on: the rest of a piece would otherwise queue for the application."""
        self._frames += 1
        if self._frames <= self._bounds.max_frames:
            handle(event)

    def _drop(self) -> None:
        if self._dropped or self.transport.is_closing():
            return
        self._dropped, self._dropped_at = True, self._all.now
        self.stop_keepalive()
        if not self.close_sent:
            self.close_sent = True
            self.conn.send_close(TOO_MANY, "too many frames")
            self.queue.put_nowait({"type": "websocket.disconnect", "code": TOO_MANY})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        if self.read_paused:
            # What the client still sends is discarded: closing at once would reset the connection before it reads why.
            self.read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self._stuck_since = self._all.now
        super().pause_writing()

    def check_deadlines(self, now: float) -> None:
        write_s = self._bounds.write_s
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > write_s:
                self.transport.abort()
        elif self._dropped:
            if now - self._dropped_at > LINGER_S:
                self.transport.abort()
        elif not self.writable.is_set() and now - self._stuck_since > write_s:
            self.transport.abort()
