"""HTTP as the endpoints beside Django need it: a request's head and body in, one answer out."""

import asyncio
import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

import msgspec
from django.conf import settings

from accounts.origin import allowed_name, is_allowed_host, is_secure
from orders.asgi_types import Message, Receive, Scope, Send
from orders.errors import ApiError, invalid
from orders.http.errors import headers_of, request_id_of, status_of

encode = msgspec.json.Encoder(decimal_format="string").encode

MAX_IDEMPOTENCY_KEY = 255
BODY_TIMEOUT_S = 10.0
LIKE_OF_BATCH = re.compile(r".*#[0-9]+", re.DOTALL)
SINGLE_HEADERS = {
    name.lower().encode(): name
    for name in ("Authorization", "Content-Type", "Host", "Idempotency-Key", "Origin", "X-Request-Id")
}
"""Two of one would leave to chance which counts."""


class Request(msgspec.Struct):
    """What an endpoint needs of an HTTP request's head."""

    method: str
    headers: dict[bytes, bytes]
    secure: bool
    request_id: str
    address: str | None
    port: int
    query: bytes
    ends: float
    """By the loop's clock: until then it is answered, whoever has to be waited for on the way."""

    @classmethod
    def of(cls, scope: Scope, ends: float) -> "Request":
        headers = dict(scope["headers"])
        sent = headers.get(b"x-request-id", b"").decode("latin-1")
        client, server = scope.get("client"), scope.get("server")
        return cls(
            scope["method"],
            headers,
            is_secure(scope.get("scheme", "http"), headers),
            request_id_of(sent),
            client[0] if client else None,
            server[1] if server and server[1] else settings.PORT,
            scope.get("query_string", b""),
            ends,
        )

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def given_id(self) -> str | None:
        """The client's own id for the request, which is kept with its orders."""
        return self.request_id if self.header(b"x-request-id") == self.request_id else None

    @property
    def host(self) -> str:
        return self.header(b"host") or ""

    @property
    def own_host(self) -> str:
        """The host that the client asked, if it is one of ours: what we answer with never names another."""
        return self.host if is_allowed_host(self.host) else f"{allowed_name(settings.ALLOWED_HOSTS)}:{self.port}"

    def socket_url(self, order_id: object) -> str:
        return f"{'wss' if self.secure else 'ws'}://{self.own_host}/ws/{order_id}"


def check_single(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises `ApiError` where a header stands twice that may stand once."""
    names = [name for name, _ in headers]
    if len(set(names)) == len(names):
        return
    for name, shown in SINGLE_HEADERS.items():
        if names.count(name) > 1:
            raise invalid(shown, "stands twice among the headers")


def check_no_query(query: bytes) -> None:
    """Raises `ApiError` for parameters where none are known: whoever sends one means something by it."""
    if query:
        name = query.split(b"&", 1)[0].split(b"=", 1)[0].decode("latin-1")[:100]
        raise invalid(name or "query", "is no parameter here")


def idempotency_key(request: Request) -> str | None:
    return checked_key(request.header(b"idempotency-key"))


def checked_key(key: str | None) -> str | None:
    """Raises `ApiError`: VALIDATION_FAILED."""
    if key is not None and (not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not key.isprintable()):
        raise invalid("Idempotency-Key", f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters")
    return key


def is_like_of_batch(key: str | None) -> bool:
    """The orders of a batch have `<key>#<n>`. A single order with a key of that form must not pass for one of them."""
    return key is not None and LIKE_OF_BATCH.fullmatch(key) is not None


async def body_of(request: Request, receive: Receive, max_bytes: int) -> bytes:
    """Raises `ApiError`: UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_JSON for one that never comes to its end."""
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send the body without Content-Encoding.")
    first = await receive()
    if first["type"] == "http.request" and not first.get("more_body", False):
        body: bytes = first.get("body", b"")
        if len(body) > max_bytes:
            raise too_large(max_bytes)
        return body
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await joined(first, receive, max_bytes)
    except TimeoutError:
        raise ApiError("INVALID_JSON", f"The body took longer than {BODY_TIMEOUT_S:.0f} seconds.") from None


def too_large(max_bytes: int) -> ApiError:
    return ApiError("BODY_TOO_LARGE", f"The body is larger than {max_bytes} bytes.")


async def joined(message: Message, receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ApiError("INVALID_JSON", "The body ended early.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


ALWAYS = (
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


@cache
def field_name(name: str) -> bytes:
    """As ASGI wants it."""
    return name.lower().encode()


async def respond(send: Send, status: int, headers: dict[str, str], answer: Any, *, prefix: str = "http") -> None:
    body = encode(answer)
    raw = [(field_name(name), value.encode("latin-1")) for name, value in headers.items()]
    raw += ALWAYS
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": f"{prefix}.response.start", "status": status, "headers": raw})
    await send({"type": f"{prefix}.response.body", "body": body})


def cors(origin: str | None, allowed: Collection[str]) -> dict[str, str]:
    """What lets a page of an allowed origin read an answer that does not pass Django; preflights are Django's."""
    if not allowed:
        return {}
    if origin not in allowed:
        return {"Vary": "origin"}
    return {
        "Vary": "origin",
        "Access-Control-Allow-Origin": str(origin),
        "Access-Control-Expose-Headers": ", ".join(settings.CORS_EXPOSE_HEADERS),
    }


async def respond_error(scope: Scope, send: Send, error: ApiError) -> None:
    """To a request that reaches no endpoint; to a WebSocket's handshake as the HTTP answer that refuses it."""
    sent = dict(scope["headers"])
    request_id = request_id_of(sent.get(b"x-request-id", b"").decode("latin-1"))
    origin = sent[b"origin"].decode("latin-1") if b"origin" in sent else None
    headers = {"X-Request-Id": request_id} | headers_of(error) | cors(origin, settings.CORS_ALLOWED_ORIGINS)
    if scope["type"] == "http":
        await respond(send, status_of(error), headers, error.body(request_id))
    elif "websocket.http.response" in scope.get("extensions", ()):
        await respond(send, status_of(error), headers, error.body(request_id), prefix="websocket.http")
    else:
        await send({"type": "websocket.close", "code": 1008})
