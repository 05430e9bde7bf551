"""Taking orders in: `POST /api/orders/execute` and `/batch` as plain ASGI.

Django's handler costs more than the order does, so the two hot endpoints stand beside it. An order is answered for only
after its row is committed; its dispatch comes after that, and need not arrive.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from accounts.auth import Caller, KeyRing
from accounts.limits import Limiter
from orders import metrics, order_in
from orders.asgi_types import Receive, Scope, Send
from orders.errors import ApiError, unavailable
from orders.http.admission import Admission
from orders.http.answers import AcceptedOut, AcceptedPlanOut, BatchOut
from orders.http.brackets import Placed, place
from orders.http.errors import headers_of, status_of
from orders.http.protocol import (
    Request,
    body_of,
    check_no_query,
    check_single,
    cors,
    idempotency_key,
    is_like_of_batch,
    respond,
)
from orders.ledger.statements import Accepted, Answer, KeyConflict, NewOrder, Unknown
from orders.ledger.values import MARKET
from orders.ledger.writers import Acceptor
from orders.risk import denied
from orders.wire import timestamp
from risk.values import Denial
from runtime.faults import crash_point
from runtime.groupcommit import WriteQueueFull, WriteTimeout

log = logging.getLogger(__name__)

Handler = Callable[[Request, Caller, bytes], Awaitable[tuple[dict[str, str], Any]]]


class Sent(msgspec.Struct, frozen=True):
    """An order on its way into the ledger, with what spoke against it, if it is only to be looked up."""

    order: NewOrder
    answer: asyncio.Future[Answer | psycopg.Error]
    refusal: ApiError | None


class Intake:
    """The two endpoints. What may refuse an order that passed the checks, by raising `ApiError`: `screen` a resting one;
    `wallet`, which names the wallet that it is executed with, any one; `risk` any one."""

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
        wallet: Callable[[order_in.OrderIn, NewOrder], Awaitable[NewOrder]] | None = None,
        risk: Callable[[NewOrder], Awaitable[None]] | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._admission = Admission(keys, limiter)
        self._origins = origins
        self._max_body = max_body
        self._timeout_s = timeout_s
        self._screen = screen
        self._wallet = wallet
        self._risk = risk

    async def execute(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._execute)

    async def batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._batch)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, handle: Handler) -> None:
        began = time.perf_counter()
        clock = asyncio.get_running_loop().time
        request = Request.of(scope, clock() + self._timeout_s)
        extra = {"X-Request-Id": request.request_id}
        if self._origins:
            extra |= cors(request.header(b"origin"), self._origins)
        try:
            check_single(scope["headers"])
            if request.method != "POST":
                raise ApiError(
                    "METHOD_NOT_ALLOWED",
                    f"Method {request.method!r} is not allowed here; POST is.",
                    headers={"Allow": "POST, OPTIONS"},
                )
            check_no_query(request.query)
            caller = await self._admission.caller(request, extra)
            reading = clock()
            body = await body_of(request, receive, self._max_body)
            request.ends += clock() - reading  # That was the client's own time.
            status, (headers, answer) = 200, await handle(request, caller, body)
        except ApiError as error:
            status, headers, answer = status_of(error), headers_of(error), error.body(request.request_id)
        except psycopg.OperationalError as error:
            log.warning("request %s waits for Postgres: %s", request.request_id, str(error).strip())
            away = unavailable()
            status, headers, answer = status_of(away), headers_of(away), away.body(request.request_id)
        except Exception:
            log.exception("request %s failed", request.request_id)
            fault = ApiError("INTERNAL_ERROR", "The engine failed at this request; it is logged.")
            status, headers, answer = status_of(fault), headers_of(fault), fault.body(request.request_id)
        await respond(send, status, extra | headers, answer)
        answered(scope["path"], status, time.perf_counter() - began)

    async def _execute(self, request: Request, caller: Caller, body: bytes) -> tuple[dict[str, str], Any]:
        order = order_in.parse_order(body)
        key = idempotency_key(request)
        if order.exits is not None:
            placed = await self._with_exits(order, key, request, caller)
            return {"Idempotency-Replayed": "true"} if placed.replayed else {}, placed_out(request, placed)
        sent = await self._submitted(order, key, request, caller, alone=is_like_of_batch(key))
        crash_point("before_accept_commit")
        accepted = await self._outcome(sent)
        headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
        return headers, accepted_out(request, sent.order, accepted)

    async def _batch(self, request: Request, caller: Caller, body: bytes) -> tuple[dict[str, str], Any]:
        """Each order succeeds or fails by itself, and all of them are in the same few commits."""
        key = idempotency_key(request)
        raws = order_in.parse_batch(body)
        await self._admission.charge_batch(caller, request, len(raws) - 1)
        sent: list[Sent | Placed | ApiError] = []
        for n, raw in enumerate(raws):
            try:
                order = order_in.parse_order(raw)
                take = self._submitted if order.exits is None else self._with_exits
                sent.append(await take(order, key and f"{key}#{n}", request, caller))
            except ApiError as error:
                sent.append(error)
            except Exception:  # Those before it are on their way already: their answers must not be lost with it.
                log.exception("order %d of a batch failed", n)
                sent.append(ApiError("INTERNAL_ERROR", "The engine failed at this order; it is logged."))
        crash_point("before_accept_commit")
        results: list[Any] = []
        for each in sent:
            try:
                if isinstance(each, ApiError):
                    raise each
                if isinstance(each, Placed):
                    results.append(placed_out(request, each))
                    continue
                results.append(accepted_out(request, each.order, await self._outcome(each)))
            except ApiError as error:
                results.append(error.body(request.request_id))
        return {}, BatchOut(results)

    async def _with_exits(self, order: order_in.OrderIn, key: str | None, request: Request, caller: Caller) -> Placed:
        """An order with exits is the entry of a bracket, written with it in one transaction of its own."""
        new, refusal = await self._checked(order, key, request, caller)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(place, order, new, key, refusal)
        except (psycopg.OperationalError, PoolTimeout, TimeoutError):
            raise unavailable() from None

    async def _submitted(
        self, order: order_in.OrderIn, key: str | None, request: Request, caller: Caller, *, alone: bool = False
    ) -> Sent:
        """Checks an order and hands it to the group commit. `alone`: it is none of a batch, though its key looks like it."""
        new, refusal = await self._checked(order, key, request, caller, alone=alone)
        try:
            return Sent(new, self._acceptor.submit(new, request.ends), refusal)
        except WriteQueueFull:
            raise unavailable() from None

    async def _checked(
        self, order: order_in.OrderIn, key: str | None, request: Request, caller: Caller, *, alone: bool = False
    ) -> tuple[NewOrder, ApiError | None]:
        """The order as it goes into the ledger, with what speaks against it, if it is only to be looked up."""
        now = datetime.now(UTC)
        try:
            new = order_in.checked(
                order, account_id=caller.account_id, idempotency_key=key, now=now, request_id=request.given_id
            )
        except psycopg.OperationalError:  # This process has not read the tokens yet, and Postgres does not answer.
            raise unavailable() from None
        if alone:
            new = msgspec.structs.replace(new, request_hash=sha256(b"alone" + new.request_hash).digest())
        return await self._screened(order, new, now)

    async def _screened(
        self, order: order_in.OrderIn, new: NewOrder, now: datetime
    ) -> tuple[NewOrder, ApiError | None]:
        """What speaks against the order at this moment may not have when it was sent first: then that one is looked up."""
        try:
            order_in.check_ahead(new.expires_at, now)
            if self._wallet is not None:
                new = await self._wallet(order, new)
            if self._screen is not None and new.type != MARKET:
                new = await self._screen(order, new)
            if self._risk is not None:
                await self._risk(new)
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
            case Denial():
                raise denied(answer)
            case Unknown():
                assert sent.refusal is not None
                raise sent.refusal
            case error:
                log.error("an order that passed the checks cannot be written", exc_info=error)
                raise ApiError("INTERNAL_ERROR", "The engine failed at this order; it is logged.")


def placed_out(request: Request, placed: Placed) -> AcceptedPlanOut:
    order = placed.order
    return AcceptedPlanOut(
        str(order.pk),
        order.status,
        order.client_order_id,
        request.socket_url(order.pk),
        timestamp(order.created_at),
        str(order.plan_id),
    )


@cache
def counter(endpoint: str, status: int) -> Any:
    return metrics.ANSWERS.labels(endpoint, str(status))


# Alerts ask whether these grow. A counter that appears with its first count has not grown to Prometheus.
for _endpoint in ("execute", "batch"):
    for _status in (500, 503):
        counter(_endpoint, _status)


def answered(path: str, status: int, seconds: float) -> None:
    counter(path.rpartition("/")[2], status).inc()
    if status == 200:
        metrics.ACCEPT_SECONDS.observe(seconds)


def accepted_out(request: Request, new: NewOrder, accepted: Accepted) -> AcceptedOut:
    order_id = str(accepted.order_id)
    return AcceptedOut(
        order_id,
        accepted.status,
        new.client_order_id,
        request.socket_url(order_id),
        timestamp(accepted.created_at),
    )
