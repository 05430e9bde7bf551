"""Taking orders in: `POST /api/orders/execute` and `/batch` as plain ASGI.

Django's handler costs more than the order does, so the two hot endpoints stand beside it. An order is answered for only
after its row is committed; the doorbell rings after that, and need not arrive.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
from django.db import Error as DatabaseError

from accounts.auth import Caller, KeyRing, is_loopback
from accounts.limits import Limiter
from accounts.models import Scope
from orders import metrics, order_in
from orders.errors import ApiError, unavailable
from orders.http.errors import headers_of, rate_limited, request_id_of, status_of
from orders.ledger.statements import Accepted, Answer, KeyConflict, NewOrder, Unknown
from orders.ledger.writers import Acceptor
from orders.wire import timestamp
from runtime.faults import crash_point
from runtime.groupcommit import WriteQueueFull, WriteTimeout

log = logging.getLogger(__name__)
encode = msgspec.json.Encoder(decimal_format="string").encode

Scope_ = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MAX_IDEMPOTENCY_KEY = 255
BODY_TIMEOUT_S = 10.0
EXPOSED_HEADERS = (
    "X-Request-Id",
    "Retry-After",
    "Idempotency-Replayed",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)
"""What scripts on pages of allowed origins may read."""


class Request(msgspec.Struct):
    """What the two endpoints need of an HTTP request."""

    method: str
    headers: dict[bytes, bytes]
    secure: bool
    request_id: str
    address: str | None
    ends: float
    """By the loop's clock: until then it is answered, whoever has to be waited for on the way."""

    @classmethod
    def of(cls, scope: Scope_, ends: float) -> "Request":
        headers = dict(scope["headers"])
        sent = headers.get(b"x-request-id", b"").decode("latin-1")
        client = scope.get("client")
        secure = scope.get("scheme") == "https"
        return cls(scope["method"], headers, secure, request_id_of(sent), client[0] if client else None, ends)

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def given_id(self) -> str | None:
        """The client's own id for the request, which is kept with its orders."""
        return self.request_id if self.header(b"x-request-id") == self.request_id else None

    @property
    def cookie(self) -> str | None:
        return self.header(b"cookie")

    @property
    def from_own_page(self) -> bool:
        origin = urlsplit(self.header(b"origin") or "").netloc
        return bool(origin) and origin == self.header(b"host")

    def socket_url(self, order_id: object) -> str:
        host = self.header(b"host") or "localhost"
        return f"{'wss' if self.secure else 'ws'}://{host}/ws/{order_id}"


class Sent(msgspec.Struct, frozen=True):
    """An order on its way into the ledger, with what spoke against it, if it is only to be recalled."""

    order: NewOrder
    answer: asyncio.Future[Answer | psycopg.Error]
    refusal: ApiError | None


class Intake:
    """The two endpoints. `screen` may refuse a resting order that passed the checks, by raising `ApiError`."""

    def __init__(
        self,
        acceptor: Acceptor,
        keys: KeyRing,
        limiter: Limiter,
        *,
        origins: frozenset[str] = frozenset(),
        max_body: int,
        timeout_s: float,
        screen: Callable[[order_in.OrderIn, NewOrder], Awaitable[NewOrder]] | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._keys = keys
        self._limiter = limiter
        self._origins = origins
        self._max_body = max_body
        self._timeout_s = timeout_s
        self._screen = screen

    async def execute(self, scope: Scope_, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._execute)

    async def batch(self, scope: Scope_, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._batch)

    async def _answer(self, scope: Scope_, receive: Receive, send: Send, handle: Any) -> None:
        began = time.perf_counter()
        clock = asyncio.get_running_loop().time
        request = Request.of(scope, clock() + self._timeout_s)
        extra = {"X-Request-Id": request.request_id}
        if self._origins:
            extra |= self._cors(request)
        try:
            if request.method != "POST":
                raise ApiError(
                    "METHOD_NOT_ALLOWED",
                    f"Method {request.method!r} is not allowed here; POST is.",
                    headers={"Allow": "POST, OPTIONS"},
                )
            caller = await (self._admitted(request, extra) if self._limiter.on else self._caller(request))
            listening = clock()
            body = await self._body(request, receive)
            request.ends += clock() - listening  # That was the client's own time.
            status, headers, answer = await handle(request, caller, body)
        except ApiError as error:
            status, headers, answer = status_of(error), headers_of(error), error.body(request.request_id)
        except Exception:
            log.exception("request %s failed", request.request_id)
            fault = ApiError("INTERNAL_ERROR", "The engine failed at this request; it is logged.")
            status, headers, answer = status_of(fault), headers_of(fault), fault.body(request.request_id)
        await respond(send, status, extra | headers, answer)
        answered(scope["path"], status, time.perf_counter() - began)

    def _cors(self, request: Request) -> dict[str, str]:
        """What lets a page of an allowed origin read the answer; preflights are Django's (`orderengine.asgi`)."""
        origin = request.header(b"origin")
        if origin not in self._origins:
            return {"Vary": "origin"}
        return {
            "Vary": "origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS),
        }

    async def _admitted(self, request: Request, headers: dict[str, str]) -> Caller:
        """The caller, within its limits. An address with an unknown key pays before the key is looked up."""
        _, caller = self._keys.cached(request.header(b"authorization"))
        if caller is not None and request.header(b"authorization") is not None:
            await self._charge(caller.account_id, request.address, headers)
            return await self._caller(request)
        await self._charge(None, request.address, headers)
        caller = await self._caller(request)
        await self._charge(caller.account_id, None, headers)
        return caller

    async def _charge(
        self, account_id: int | None, address: str | None, headers: dict[str, str], cost: int = 1
    ) -> None:
        ask = self._limiter.ask(account_id, address, cost)
        decision = await self._limiter.take(ask) if ask else None
        if decision is None:
            return
        if not decision.through:
            metrics.RATE_LIMITED.inc()
            raise rate_limited(decision)
        headers.update(decision.headers)

    async def _caller(self, request: Request) -> Caller:
        """Scripts send a key. Browsers send cookies whoever asks them to, so a cookie counts only from our own pages."""
        authorization = request.header(b"authorization")
        try:
            known, caller = self._keys.cached(authorization)
            browser = request.cookie if authorization is None and request.from_own_page else None
            if authorization is None and not is_loopback(request.header(b"host") or ""):
                known, caller = True, None  # A name of somebody else's: only its session counts.
            if browser or not known:
                async with asyncio.timeout_at(request.ends):
                    session = await asyncio.to_thread(self._keys.session, browser) if browser else None
                    caller = session or (caller if known else await self._keys.caller(authorization))
        except (DatabaseError, psycopg.Error, TimeoutError):
            raise unavailable() from None
        if caller is None:
            raise ApiError("UNAUTHENTICATED", "Send a valid key: `Authorization: Bearer <key>`.")
        if not caller.may(Scope.TRADE):
            raise ApiError("FORBIDDEN", "This key may not trade.")
        return caller

    async def _body(self, request: Request, receive: Receive) -> bytes:
        kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
        if request.headers.get(b"content-encoding", b"identity") != b"identity":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send the body without Content-Encoding.")
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body", False):
            body: bytes = first.get("body", b"")
            if len(body) > self._max_body:
                raise self._too_large()
            return body
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await self._chunks(first, receive)
        except TimeoutError:
            raise ApiError("INVALID_JSON", f"The body took longer than {BODY_TIMEOUT_S:.0f} seconds.") from None

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", f"The body is larger than {self._max_body} bytes.")

    async def _chunks(self, message: dict[str, Any], receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ApiError("INVALID_JSON", "The body ended early.")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await receive()

    async def _execute(self, request: Request, caller: Caller, body: bytes) -> Any:
        order = order_in.parse_order(body)
        sent = await self._submitted(order, idempotency_key(request), request, caller)
        crash_point("before_accept_commit")
        accepted = await self._outcome(sent)
        headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
        return 200, headers, accepted_out(request, sent.order, accepted)

    async def _batch(self, request: Request, caller: Caller, body: bytes) -> Any:
        """Each order on its own account, all of them in the same few commits."""
        key = idempotency_key(request)
        raws = order_in.parse_batch(body)
        if self._limiter.on and len(raws) > 1:
            await self._charge(caller.account_id, request.address, {}, len(raws) - 1)
        sent: list[Sent | ApiError] = []
        for n, raw in enumerate(raws):
            try:
                sent.append(await self._submitted(order_in.parse_order(raw), key and f"{key}#{n}", request, caller))
            except ApiError as error:
                sent.append(error)
        crash_point("before_accept_commit")
        results = []
        for each in sent:
            try:
                if isinstance(each, ApiError):
                    raise each
                results.append(accepted_out(request, each.order, await self._outcome(each)))
            except ApiError as error:
                results.append(error.body(request.request_id))
        return 200, {}, {"results": results}

    async def _submitted(self, order: order_in.OrderIn, key: str | None, request: Request, caller: Caller) -> Sent:
        """Checks an order and hands it to the group commit."""
        now = datetime.now(UTC)
        new = order_in.checked(
            order, account_id=caller.account_id, idempotency_key=key, now=now, request_id=request.given_id
        )
        new, refusal = await self._screened(order, new, now)
        try:
            return Sent(new, self._acceptor.submit(new, request.ends), refusal)
        except WriteQueueFull:
            raise unavailable() from None

    async def _screened(
        self, order: order_in.OrderIn, new: NewOrder, now: datetime
    ) -> tuple[NewOrder, ApiError | None]:
        """What speaks against the order at this moment may not have when it was sent first: then that one is recalled."""
        try:
            order_in.check_ahead(new.expires_at, now)
            if self._screen is not None and new.resting:
                new = await self._screen(order, new)
        except ApiError as refusal:
            if not new.keyed:
                raise
            return msgspec.structs.replace(new, lookup_only=True), refusal
        return new, None

    async def _outcome(self, sent: Sent) -> Accepted:
        """Waits for the commit."""
        try:
            answer = await sent.answer
        except (psycopg.OperationalError, WriteTimeout):
            raise unavailable() from None
        match answer:
            case Accepted():
                crash_point("after_accept_commit")
                return answer
            case KeyConflict():
                raise ApiError("IDEMPOTENCY_CONFLICT", "The key was used before for an order that says something else.")
            case Unknown():
                assert sent.refusal is not None
                raise sent.refusal
            case error:
                log.error("an order that passed the checks cannot be written", exc_info=error)
                raise ApiError("INTERNAL_ERROR", "The engine failed at this order; it is logged.")


@cache
def counter(endpoint: str, status: int) -> Any:
    return metrics.ANSWERS.labels(endpoint, str(status))


def answered(path: str, status: int, seconds: float) -> None:
    counter(path.rpartition("/")[2], status).inc()
    if status == 200:
        metrics.ACCEPT_SECONDS.observe(seconds)


def idempotency_key(request: Request) -> str | None:
    key = request.header(b"idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY or not key.isprintable():
        raise invalid_key()
    return key


def invalid_key() -> ApiError:
    text = f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters"
    return ApiError("VALIDATION_FAILED", f"Idempotency-Key {text}", {"Idempotency-Key": [text]})


def accepted_out(request: Request, new: NewOrder, accepted: Accepted) -> dict[str, Any]:
    order_id = str(accepted.order_id)
    return {
        "orderId": order_id,
        "status": accepted.status,
        "clientOrderId": new.client_order_id,
        "ws": request.socket_url(order_id),
        "createdAt": timestamp(accepted.created_at),
    }


ALWAYS = (
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


@cache
def field_name(name: str) -> bytes:
    """As ASGI wants it."""
    return name.lower().encode()


async def respond(send: Send, status: int, headers: dict[str, str], answer: Any) -> None:
    body = encode(answer)
    raw = [(field_name(name), value.encode("latin-1")) for name, value in headers.items()]
    raw += ALWAYS
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
