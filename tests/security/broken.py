"""Broken HTTP and WebSocket traffic, drawn from a seeded generator. Bounded: at most a megabyte a connection."""

import base64
import random
import struct
from collections.abc import Callable

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/orders/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PATHS = [
    b"/healthz",
    b"/api/orders",
    b"/api/orders/execute",
    b"/api/pairs",
    b"/metrics",
    b"/ws/orders",
    b"/%00",
    b"*",
    b"//",
]
METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"OPTIONS", b"HEAD", b"CONNECT", b"TRACE", b"PRI", b"get", b"\x00"]
HEADERS = [
    b"Host: localhost",
    b"Host: [::",
    b"Host:",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5",
    b"Content-Length: 5, 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Expect: 100-continue",
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: Basic",
    b"Cookie: sessionid=\x00",
    b"Origin: http://[",
    b"X-Forwarded-For: not an address",
    b"X-Request-Id: " + b"\t" * 100,
    b"Content-Type: application/json",
    b" folded",
    b"No-Colon",
    b": no name",
    b"A: b\rC: d",
    b"A: b\nC: d",
]


def garbage(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(1, 4000))


def request(rng: random.Random) -> bytes:
    """Methods, paths and headers that do not fit together, with a body or a part of one."""
    line = b"%b %b HTTP/%b" % (
        rng.choice(METHODS),
        rng.choice(PATHS),
        rng.choice([b"1.1", b"1.0", b"2.0", b"0.9", b"x"]),
    )
    headers = rng.choices(HEADERS, k=rng.randint(0, 12))
    body = rng.choice(
        [b"", b"{}", b"[" * 20_000, b"hello", rng.randbytes(200), b"1\r\nx\r\n" * 50 + b"0\r\n\r\n", b"-1\r\n"]
    )
    return b"\r\n".join([line, *headers, b"", b""]) + body


def mutated(rng: random.Random) -> bytes:
    """A valid request with some bytes changed, removed or repeated."""
    data = bytearray(rng.choice([GET, POST + b'Content-Length: 19\r\n\r\n{"tokenIn": "SOL" }', GET * 3]))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 5)]
                data = data or bytearray(b"\r")
            case _:
                data[at:at] = data[at : at + 20] * rng.randint(1, 50)
    return bytes(data)


def long_head(rng: random.Random) -> bytes:
    size = rng.choice([8_000, 40_000, 300_000])
    return rng.choice(
        [
            b"GET /" + b"a" * size + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: " + b"a" * size,
            b"GET / HTTP/1.1\r\n" + b"A" * size,
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (size // 6) + b"\r\n",
            b"\r\n" * (size // 2),
        ]
    )


def pipeline(rng: random.Random) -> bytes:
    return rng.choice([GET, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"]) * rng.randint(2, 40)


def chunks(rng: random.Random) -> bytes:
    start = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    return start + rng.choice(
        [
            b"1\r\nx\r\n" * rng.randint(1, 50_000),
            b"fffffffffffffffff\r\n",
            b"5;" + b"e" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
            b"0\r\n" + b"T: t\r\n" * 20_000 + b"\r\n",
            b"80000\r\n" + b" " * 0x80000 + b"\r\n0\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
        ]
    )


def preface(rng: random.Random) -> bytes:
    """Other protocols: HTTP/2 with prior knowledge, TLS, PROXY, an offer of h2c with a body."""
    return rng.choice(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + GET,
            POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + GET,
        ]
    )


def handshake(rng: random.Random, path: bytes = b"/ws/orders") -> bytes:
    key = base64.b64encode(rng.randbytes(16))
    lines = [b"GET %b HTTP/1.1" % path, b"Host: localhost", b"Connection: Upgrade", b"Upgrade: websocket"]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + key, b"", b""])


def frame(rng: random.Random) -> bytes:
    """A frame with any opcode, flags and length; most of them break a rule."""
    size = rng.choice([0, 0, 1, 5, 125, 126, 2000])
    stated = rng.choice([size, size, size, 127])
    length = bytes([0x80 | stated]) if stated < 126 else struct.pack("!BH", 0x80 | 126, size)
    if rng.random() < 0.05:
        length = struct.pack("!BQ", 0x80 | 127, rng.choice([2**63, 2**32, 65_536]))
    first = rng.choice([0x81, 0x82, 0x89, 0x8A, 0x00, 0x01, 0x80, 0x88, 0xC1, 0x8F, 0x09])
    return bytes([first]) + length + rng.randbytes(4) + rng.randbytes(size)


def broken_socket(rng: random.Random) -> bytes:
    path = rng.choice([b"/ws/orders", b"/ws/" + b"0" * 32, b"/ws/quotes/SOL-USDC", b"/ws/%00", b"/nothing"])
    start = bytearray(handshake(rng, path))
    if rng.random() < 0.3:
        start[rng.randrange(len(start))] = rng.randrange(256)
    return bytes(start) + b"".join(frame(rng) for _ in range(rng.randint(0, 60)))


def flooding_socket(rng: random.Random) -> bytes:
    """Valid frames, far too many: pings, pongs, texts, empty continuations."""
    first = rng.choice([0x89, 0x8A, 0x81, 0x00])
    flood = bytes([first, 0x80]) + bytes(4)
    return handshake(rng) + (b"\x01\x80" + bytes(4) if first == 0 else b"") + flood * rng.randint(500, 100_000)


KINDS: list[Callable[[random.Random], bytes]] = [
    garbage,
    request,
    mutated,
    long_head,
    pipeline,
    chunks,
    preface,
    broken_socket,
    flooding_socket,
]
