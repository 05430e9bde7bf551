"""HTTP/1.1 within bounds, on uvicorn's httptools protocol.

httptools parses all it is given, so it is given small pieces: between two of them the bounds are checked, and what need
not be parsed yet waits as bytes while reading is paused.
"""

from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orderengine.host.server import refusals
from orderengine.host.server.bounds import LINGER_S, Connections, address_of
from orderengine.host.server.refusals import Refused
from orderengine.host.server.transport import Gathering

PIECE = 4096
"""Bytes. The usual request is shorter; the shortest pipelined requests are 18 bytes each."""
NOTHING, HEAD, BODY, LINGERING = range(4)
"""What is being received; the last: nothing any more, the connection has been refused."""


class Flow(FlowControl):
    """uvicorn resumes reading whenever an application asks for a body. While requests wait it must not."""

    held = False

    def hold(self) -> None:
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    flow: Flow

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        self._bounds = connections.bounds
        self._receiving = NOTHING
        self._since = connections.now
        self._idle_s = connections.idle_s()
        self._stuck_since = self._closing_since = 0.0
        self._fed = self._body = 0
        self._backlog = b""
        self._is_socket = False
        self._refused: int | None = None

    # --- Of the transport ---

    def connection_made(self, transport: Any) -> None:
        gathering: Any = Gathering(transport, self.loop)
        super().connection_made(gathering)
        self.flow = Flow(gathering)
        if not self._all.admit(self, address_of(transport), self.loop):
            if self._all.linger(self):
                self._refuse(refusals.BUSY)
            else:
                transport.abort()
        self._since = self._all.now

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.release(self)
        self._backlog = b""
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused is None:
            if self._backlog:
                self._backlog += data
            else:
                self._parse(data)

    def pause_writing(self) -> None:
        self._stuck_since = self._all.now
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def check_deadlines(self, now: float) -> None:
        bounds = self._bounds
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > bounds.write_s:
                self.transport.abort()
        elif self._receiving == LINGERING:
            if now - self._since > LINGER_S:
                self.transport.abort()
        elif self.flow.write_paused:
            if now - self._stuck_since > bounds.write_s:
                self.transport.abort()
        elif self._receiving in (HEAD, BODY):
            if self.flow.read_paused:
                self._since = now  # The application is slow, not the client.
            elif now - self._since > (bounds.head_s if self._receiving == HEAD else bounds.body_s):
                self._refuse(refusals.TOO_LATE)
        elif not self._busy and now - self._since > self._idle_s:
            self.transport.close()

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # --- Parsing ---

    def _full(self) -> bool:
        waiting = self.pipeline
        return self.flow.write_paused or bool(
            waiting and (len(waiting) >= self._bounds.max_pipelined or len(self.cycle.body) > HIGH_WATER_LIMIT)
        )

    def _go_on(self) -> None:
        """Parse what waited, if it need not wait any longer."""
        if self._backlog and self._refused is None and not self.transport.is_closing() and not self._full():
            data, self._backlog = self._backlog, b""
            self._parse(data)
            if not self._backlog:
                self.flow.release()

    def _parse(self, data: bytes) -> None:
        position = 0
        while position < len(data) and self._refused is None:
            if self._full():
                self._backlog = data[position:]
                return self.flow.hold()
            piece = data[position : position + PIECE]
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                position += upgrade.args[0]
                if self._is_socket:
                    return self._become_socket(data[position:])
                data, position = self._head_without_upgrade() + data[position:], 0
                self._new_parser()
                continue
            except httptools.HttpParserError as error:
                cause = error.__context__
                return self._refuse(cause.status if isinstance(cause, Refused) else refusals.INVALID)
            position += len(piece)
            if self._receiving in (HEAD, BODY):
                self._fed += len(piece)
                self._check_unfinished()

    def _check_unfinished(self) -> None:
        """The parser keeps an unfinished header to itself, so that what it was given is counted."""
        bounds = self._bounds
        if self._receiving == BODY:
            # Chunks, their extensions and trailers count, too.
            if self._fed > bounds.max_head + 2 * bounds.max_body:
                self._refuse(refusals.TOO_LARGE)
        elif len(self.url) > bounds.max_request_line:
            self._refuse(refusals.URL_TOO_LONG)
        elif self._fed > bounds.max_head:
            self._refuse(refusals.HEADERS_TOO_LARGE)

    def _new_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving, self._since = HEAD, self._all.now
        self._fed = self._body = 0

    def on_headers_complete(self) -> None:
        bounds = self._bounds
        if len(self.url) > bounds.max_request_line:
            raise Refused(refusals.URL_TOO_LONG)
        if len(self.headers) > bounds.max_headers:
            raise Refused(refusals.HEADERS_TOO_LARGE)
        for name, value in self.headers:
            if name == b"content-length" and int(value) > bounds.max_body:
                raise Refused(refusals.TOO_LARGE)
        if self.parser.should_upgrade():
            return self._on_upgrade()
        super().on_headers_complete()
        self._receiving, self._since = BODY, self._all.now

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self._bounds.max_body:
            raise Refused(refusals.TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._receiving, self._since = NOTHING, self._all.now
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._since = self._all.now if self._receiving == NOTHING else self._since
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refused is not None:
            return self._answer_refusal()
        if self._backlog:
            self._go_on()
        elif self._refused is None:
            self.flow.release()

    # --- Upgrades ---

    def _on_upgrade(self) -> None:
        """Only GET with `Upgrade: websocket` becomes something else. Clients that offer HTTP/2 (`h2c`: the JDK's by
        default) are answered in HTTP/1.1, as RFC 9110 7.8 allows; the parser would drop the body of such a request."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise Refused(refusals.INVALID)
        self._is_socket = method == b"GET" and self._should_upgrade()
        if self._is_socket and self._busy:
            raise Refused(refusals.INVALID)
        if any(b"\r" in value or b"\n" in value for _, value in self.headers):
            raise Refused(refusals.INVALID)
        self.scope["method"] = method.decode()
        self.scope["http_version"] = self.parser.get_http_version()

    def _head(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The head again, for another parser."""
        lines = [f"{self.scope['method']} ".encode() + self.url + f" HTTP/{self.scope['http_version']}".encode()]
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"", b""])

    def _head_without_upgrade(self) -> bytes:
        headers = []
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                value = b", ".join(token for token in tokens if token.lower() not in (b"upgrade", b"http2-settings"))
            if name not in (b"upgrade", b"http2-settings"):
                headers.append((name, value))
        return self._head(headers)

    def _become_socket(self, rest: bytes) -> None:
        assert self.ws_protocol_class is not None
        protocol: Any = self.ws_protocol_class(
            config=self.config,  # type: ignore[call-arg]
            server_state=self.server_state,
            app_state=self.app_state,
        )
        protocol.connection_made(self.transport)
        try:
            protocol.data_received(self._head(self.headers))
        except AssertionError:
            self.logger.debug("The WebSocket library refuses a head.", exc_info=True)
        if not protocol.handshake_initiated:
            self.connections.discard(protocol)
            return self._refuse(refusals.INVALID)
        self.connections.discard(self)
        self._all.replace(self, protocol)
        self.transport.set_protocol(protocol)
        if rest:
            protocol.data_received(rest)

    # --- Refusals ---

    def _refuse(self, status: int) -> None:
        """Nothing more is parsed. Requests before this one are answered first."""
        self._refused = status
        self._backlog = b""
        answered = self.cycle
        if self._receiving == BODY and self._busy:
            if self.pipeline:
                self.pipeline.popleft()
                return self.flow.hold()
            answered.disconnected = True
            answered.message_event.set()
            if answered.response_started:
                return self.transport.close()
        elif self._busy:
            return self.flow.hold()
        elif self._receiving == BODY:
            return self._linger()  # It has been answered already.
        self._answer_refusal()

    def _answer_refusal(self) -> None:
        assert self._refused is not None
        self.transport.write(refusals.answer(self._refused))
        self._linger()

    def _linger(self) -> None:
        self._receiving, self._since = LINGERING, self._all.now
        self.transport.write_eof()
        self.flow.release()

    def shutdown(self) -> None:
        if self._receiving == LINGERING:
            self.transport.close()
        else:
            super().shutdown()
