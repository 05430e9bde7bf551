"""What the web server bounds before a key is looked up, on an engine with short deadlines.

Each figure is a setting; the deadlines are shorter here than by default, so that they can be awaited.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.engine import Engine

ORDER = b'{"tokenIn":"SOL","tokenOut":"USDC","amount":"1"}'
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MAX_PER_ADDRESS = 60
KEEP_ALIVE_S = 3.0
MB = 1024 * 1024


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    deadlines = {
        "HEAD_TIMEOUT_S": "2",
        "BODY_TIMEOUT_S": "2",
        "WRITE_TIMEOUT_S": "3",
        "KEEP_ALIVE_S": str(KEEP_ALIVE_S),
    }
    with Engine(MOCK_LATENCY="0", MAX_CONNECTIONS_PER_ADDRESS=str(MAX_PER_ADDRESS), **deadlines).running() as engine:
        yield engine


class Wire:
    """A connection that sends bytes as they are given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, within_s: float = 15) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, body."""
        async with asyncio.timeout(within_s):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def ended(self, within_s: float) -> float:
        """Seconds until the server closes; what it sends until then is discarded."""
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        return time.monotonic() - start


@contextlib.asynccontextmanager
async def wire(engine: Engine) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def rss(engine: Engine) -> int:
    return int(psutil.Process(engine.pid("web")).memory_info().rss)


def assert_refused(answer: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    got, headers, body = answer
    error = json.loads(body)["error"]
    assert (got, error["code"], headers["connection"]) == (status, code, "close")
    assert error["requestId"] == headers["x-request-id"]


# --- Upgrades that are not WebSocket ---------------------------------------------------------------------------------
JAVA = """
import java.net.URI;
import java.net.http.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int n = 0; n < 3; n++) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on this machine")
def test_the_jdk_client_as_it_comes_can_trade(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "Client.java"
    source.write_text(JAVA)
    command = ["java", str(source), f"{engine.url}/api/orders/execute", ORDER.decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["200", "200", "200"], done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_curl_that_offers_http2_is_answered(engine: Engine) -> None:
    url = f"{engine.url}/api/orders/execute"
    command = ["curl", "-sS", "--http2", "-H", "Content-Type: application/json", "-d", ORDER.decode(), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["status"] == "pending", done.stderr


@pytest.mark.parametrize("upgrade", [b"h2c", b"TLS/1.0", b"h2c, websocket", b"websocket"])
async def test_an_unknown_upgrade_of_a_post_is_ignored(engine: Engine, upgrade: bytes) -> None:
    head = b"POST /api/orders/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMA\r\n" % upgrade
    request = head + b"Content-Length: %d\r\n\r\n" % len(ORDER) + ORDER
    async with wire(engine) as client:
        await client.send(request + GET)  # Pipelined, too.
        status, _, body = await client.answer()
        assert (status, json.loads(body)["status"]) == (200, "pending")
        assert (await client.answer())[0] == 200
        for n in range(0, len(request), 7):  # In small pieces.
            await client.send(request[n : n + 7])
        assert (await client.answer())[0] == 200


async def test_a_connect_request_is_refused(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert_refused(await client.answer(), 400, "INVALID_HTTP")


# --- Heads -----------------------------------------------------------------------------------------------------------
async def test_a_long_request_line_is_refused(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(b"GET /healthz?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert_refused(await client.answer(), 414, "URL_TOO_LONG")


async def test_a_request_line_without_an_end_is_refused(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(b"GET /" + b"a" * 20_000)
        assert_refused(await client.answer(), 414, "URL_TOO_LONG")


async def test_too_many_headers_are_refused(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(101)) + b"\r\n")
        assert_refused(await client.answer(), 431, "HEADERS_TOO_LARGE")


@pytest.mark.parametrize("header", [b"Authorization: ", b"X" * 100_000], ids=["value", "name"])
async def test_an_endless_header_is_refused_and_not_kept(engine: Engine, header: bytes) -> None:
    before = rss(engine)
    async with wire(engine) as client:
        with contextlib.suppress(ConnectionError):
            await client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + header)
            for _ in range(40):
                await client.send(b"x" * MB)
        assert_refused(await client.answer(), 431, "HEADERS_TOO_LARGE")
    assert rss(engine) - before < 10 * MB


@pytest.mark.parametrize("start", [b"G", b"GET /healthz HTTP/1.1\r\nHost: local", GET + b"POST "], ids=str)
async def test_an_unfinished_head_ends_at_its_deadline(engine: Engine, start: bytes) -> None:
    async with wire(engine) as client:
        await client.send(start)
        if start.startswith(GET):
            assert (await client.answer())[0] == 200
        assert_refused(await client.answer(within_s=8), 408, "REQUEST_TIMEOUT")
        assert await client.ended(10) < 8


async def test_a_head_that_trickles_in_ends_at_its_deadline(engine: Engine) -> None:
    start = time.monotonic()
    async with wire(engine) as client:
        with contextlib.suppress(ConnectionError):
            await client.send(b"GET /healthz HTTP/1.1\r\n")
            while time.monotonic() - start < 15 and not client.reader.at_eof() and not client.reader._buffer:  # type: ignore[attr-defined]
                await client.send(b"A: b\r\n")
                await asyncio.sleep(0.2)
        assert_refused(await client.answer(), 408, "REQUEST_TIMEOUT")
    assert time.monotonic() - start < 10


# --- Bodies ----------------------------------------------------------------------------------------------------------
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"
ANSWERED_BEFORE_THE_BODY = (200, 405)
"""`/metrics` does not look at a body. Its length is not known before, so that the answer may come first."""
ROUTES = ["/healthz", "/api/orders/execute", "/api/orders/batch", "/admin/login/", "/metrics", "/nothing"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_large_body_is_refused_and_not_kept_on_any_route(engine: Engine, route: str, chunked: bool) -> None:
    before = rss(engine)
    size = 30 * MB
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    async with wire(engine) as client:
        with contextlib.suppress(ConnectionError):
            await client.send(b"POST %b HTTP/1.1\r\n%b%b\r\n\r\n" % (route.encode(), JSON, length))
            if chunked:
                await client.send(b"%x\r\n" % size)
            for _ in range(size // MB):
                await client.send(b" " * MB)
        answer = await client.answer()
        if not chunked or answer[0] not in ANSWERED_BEFORE_THE_BODY:
            assert_refused(answer, 413, "BODY_TOO_LARGE")
        assert await client.reader.read() == b"", "one request, one answer"
    assert rss(engine) - before < 10 * MB


@pytest.mark.parametrize("kind", ["tiny chunks", "extension", "trailer"])
async def test_what_surrounds_a_chunked_body_is_bounded(engine: Engine, kind: str) -> None:
    before = rss(engine)
    start = {"tiny chunks": b"", "extension": b"1;a=", "trailer": b"0\r\nA: "}[kind]
    filler = b"1\r\nx\r\n" * 10_000 if kind == "tiny chunks" else b"x" * 60_000
    async with wire(engine) as client:
        with contextlib.suppress(ConnectionError):
            await client.send(
                b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + start
            )
            for _ in range(300):
                await client.send(filler)
                if client.reader._buffer:  # type: ignore[attr-defined]
                    break
        status, _, _ = await client.answer()
        assert status in (200, 413)  # A route that reads no body may answer first.
        assert await client.ended(10) < 8
    assert rss(engine) - before < 10 * MB


async def test_a_body_at_the_limit_is_accepted(engine: Engine) -> None:
    body = ORDER[:-1] + b" " * (256 * 1024 - len(ORDER)) + b"}"
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{engine.url}/api/orders/execute", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 200, answer.text


async def test_a_body_that_does_not_arrive_ends_at_its_deadline(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(b"POST /api/orders/execute HTTP/1.1\r\n" + JSON + b"Content-Length: 100\r\n\r\n{")
        assert_refused(await client.answer(within_s=8), 408, "REQUEST_TIMEOUT")


async def test_what_is_no_http_is_refused_after_the_answers_before_it(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(GET * 3 + b"\x16\x03\x01 broken\r\n\r\n")
        assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 200]
        assert_refused(await client.answer(), 400, "INVALID_HTTP")


# --- Pipelines and clients that do not read --------------------------------------------------------------------------
async def test_pipelined_requests_are_answered_in_order(engine: Engine) -> None:
    paths = [f"/api/orders/{n:032x}" for n in range(100)] + ["/healthz"] * 100
    async with wire(engine) as client:
        await client.send(b"".join(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode() for path in paths))
        statuses = [(await client.answer(60))[0] for _ in paths]
    assert statuses == [404] * 100 + [200] * 100


async def test_requests_that_wait_for_slow_answers_are_not_late(engine: Engine) -> None:
    """The last head arrives in part with the first ones; the rest of it is not read before there is room for it."""
    request = b"GET /api/schema HTTP/1.1\r\nHost: localhost\r\nX-Fill: " + b"x" * 400 + b"\r\n\r\n"
    count = 240
    async with wire(engine) as client:
        await client.send(request * count)
        began = time.monotonic()
        statuses = [(await client.answer(60))[0] for _ in range(count)]
        assert time.monotonic() - began > 3, "the answers are slower than the deadline of a head, or nothing is tried"
    assert statuses == [200] * count


def test_pipelined_requests_whose_answers_are_not_read_are_bounded_and_dropped(engine: Engine) -> None:
    """Fifteen megabytes of GETs are offered; the server takes what its buffers hold and cuts the client off."""
    before, peak, sent = rss(engine), 0, 0
    with socket.create_connection(("127.0.0.1", engine.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        burst = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1500
        start, cut = time.monotonic(), False
        while sent < 15 * MB and time.monotonic() - start < 90 and not cut:
            try:
                sent += client.send(burst[sent % len(burst) :])
            except BlockingIOError:
                peak = max(peak, rss(engine))
                time.sleep(0.1)
            except ConnectionError:
                cut = True
        peak = max(peak, rss(engine))
    assert peak - before < 10 * MB
    assert cut, f"the client went on for {time.monotonic() - start:.0f} s"


# --- Connections -----------------------------------------------------------------------------------------------------
async def test_an_idle_connection_outlives_its_figure_and_ends(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(GET)
        _, headers, _ = await client.answer()
        assert headers["keep-alive"] == f"timeout={KEEP_ALIVE_S:.0f}"
        await asyncio.sleep(KEEP_ALIVE_S - 1.5)
        await client.send(GET)
        assert (await client.answer())[0] == 200
        lasted = await client.ended(30)
    assert KEEP_ALIVE_S - 1 <= lasted < KEEP_ALIVE_S * 1.1 + 3


async def test_connections_of_an_address_are_bounded(engine: Engine) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(engine)) for _ in range(MAX_PER_ADDRESS + 10)]
        await asyncio.gather(*(client.send(GET) for client in clients), return_exceptions=True)
        answers = await asyncio.gather(*(client.answer() for client in clients))
        refused = [answer for answer in answers if answer[0] == 503]
        assert len(refused) >= 10
        assert_refused(refused[0], 503, "UNAVAILABLE")
        assert refused[0][1]["retry-after"] == "1"
    async with asyncio.timeout(10):
        while True:  # The places become free.
            async with wire(engine) as client:
                await client.send(GET)
                if (await client.answer())[0] == 200:
                    return


# --- WebSocket frames ------------------------------------------------------------------------------------------------
def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Masked with zeros, at most 125 bytes."""
    return struct.pack("!BB", opcode | (0x80 if final else 0), 0x80 | len(payload)) + bytes(4) + payload


TEXT, BINARY, PING, PONG = 1, 2, 9, 10
FLOODS = {
    "text": frame(TEXT, b"x"),
    "binary": frame(BINARY, b"x"),
    "pings": frame(PING, b"x" * 125),
    "pongs": frame(PONG),
    "continuations": frame(0, final=False),
}


async def open_socket(client: Wire, path: str, *headers: str) -> None:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *headers]
    await client.send("\r\n".join([*lines, "", ""]).encode())
    assert (await client.answer())[0] == 101


async def flood(client: Wire, data: bytes, *, seconds: float, read: bool) -> tuple[float, bytes]:
    """Sends until the server ends the connection. Returns after how long, and what was received."""
    start, received = time.monotonic(), bytearray()

    async def consume() -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await client.reader.read(65536):
                received.extend(piece)

    consuming = asyncio.create_task(consume()) if read else None
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(seconds):
            while not (consuming and consuming.done()):
                await client.send(data)
                await asyncio.sleep(0)
    if consuming:
        consuming.cancel()
    return time.monotonic() - start, bytes(received)


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("path", ["/ws/orders", "/ws/" + "0" * 32], ids=["open", "refused"])
async def test_a_flood_of_frames_is_cut_off(engine: Engine, kind: str, path: str) -> None:
    start = frame(TEXT, final=False) if kind == "continuations" else b""
    async with wire(engine) as client, httpx.AsyncClient() as other:
        await open_socket(client, path)
        flooding = asyncio.create_task(flood(client, start + FLOODS[kind] * 8000, seconds=20, read=True))
        slowest = 0.0
        while not flooding.done():
            began = time.monotonic()
            assert (await other.get(f"{engine.url}/healthz")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.05)
        lasted, received = await flooding
    assert lasted < 10
    assert slowest < 1.0
    if path == "/ws/orders":
        assert struct.pack("!H", 4429) in received


async def test_unread_pongs_do_not_grow_memory(engine: Engine) -> None:
    before = rss(engine)
    async with wire(engine) as client:
        await open_socket(client, "/ws/orders")
        lasted, _ = await flood(client, FLOODS["pings"] * 500, seconds=20, read=False)
    assert lasted < 15
    assert rss(engine) - before < 10 * MB


async def test_a_client_within_the_bounds_goes_on(engine: Engine) -> None:
    async with wire(engine) as client:
        await open_socket(client, "/ws/quotes/SOL-USDC")
        for _ in range(50):
            await client.send(FLOODS["pings"])
        received = b""
        async with asyncio.timeout(20):
            while received.count(b"\x8a\x7d") < 50 or b'"type"' not in received:
                received += await client.reader.read(65536)


@pytest.mark.parametrize("path", ["/ws/orders", "/nothing"])
async def test_frames_before_the_answer_to_the_handshake_end_the_connection(engine: Engine, path: str) -> None:
    """The errors that they led to are looked for by the last test."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    for early in (frame(PING, b"early"), b"\xff\xff" * 20):
        async with wire(engine) as client:
            await client.send("\r\n".join(lines).encode() + early)
            assert await client.ended(10) < 5


@pytest.mark.parametrize("header", ["X-A: é", "X-A: " + "a" * 9000], ids=["not ascii", "long"])
async def test_a_handshake_that_the_socket_library_refuses_is_answered(engine: Engine, header: str) -> None:
    lines = ["GET /ws/orders HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", header]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    async with wire(engine) as client:
        await client.send("\r\n".join(lines).encode())
        assert (await client.answer())[0] in (101, 400)


def test_nothing_of_it_is_an_error_of_ours(engine: Engine) -> None:
    errors: list[Any] = [line for line in engine.log("web").splitlines() if "Traceback" in line]
    assert errors == [], engine.report("web")


async def test_a_refused_handshake_is_answered_and_logs_no_fault(engine: Engine) -> None:
    async with wire(engine) as client:
        await client.send(
            b"GET /ws/orders HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"
        )
        status, _, body = await client.answer()
    assert (status, json.loads(body)["error"]["code"]) == (400, "VALIDATION_FAILED")
    async with wire(engine) as client:
        await client.send(GET)
        assert (await client.answer())[0] == 200, "what the handshake's task had to log is logged by now"
    assert "without completing handshake" not in engine.log("web")
