"""The one place that knows the HTTP status of an error, and what clients see of an exception."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from random import getrandbits
from typing import Any

import msgspec
import psycopg
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from structlog.contextvars import bind_contextvars, clear_contextvars

from accounts.limits import Decision
from accounts.rest import RateLimited
from orders.errors import ApiError, unavailable
from risk.values import MESSAGES

HTTP_STATUS = {
    "INVALID_JSON": 400,
    "VALIDATION_FAILED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "UNKNOWN_PAIR": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "CAPS_NOT_SET": 409,
    "IDEMPOTENCY_CONFLICT": 409,
    "TOO_LATE": 409,
    "ALREADY_FINAL": 409,
    "NOT_RESTING": 409,
    "NOT_PAUSABLE": 409,
    "PART_OF_PLAN": 409,
    "NOT_AMENDABLE": 409,
    "TOO_MANY_WEBHOOKS": 409,
    "WEBHOOK_DISABLED": 409,
    "REPLAY_RUNNING": 409,
    "SEQ_MISMATCH": 412,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "NO_WALLET": 422,
    "UNKNOWN_WALLET": 422,
    "UNKNOWN_TOKEN": 422,
    "SAME_TOKEN": 422,
    "PRICE_NOT_SENSIBLE": 422,
    "AMOUNT_TOO_SMALL": 422,
    "WOULD_TRIGGER_IMMEDIATELY": 422,
    "PRICE_MISSING": 422,
    **dict.fromkeys(MESSAGES, 422),
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "UNAVAILABLE": 503,
}
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def status_of(error: ApiError) -> int:
    return HTTP_STATUS[error.code]


def headers_of(error: ApiError) -> dict[str, str]:
    headers = dict(error.headers)
    status = status_of(error)
    if status in (429, 503):
        headers["Retry-After"] = str(error.retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def rate_limited(decision: Decision) -> ApiError:
    return ApiError(
        "RATE_LIMITED",
        f"Too many requests: {decision.limit} are let through in a period.",
        retry_after_s=decision.retry_after_s,
        headers=decision.headers,
    )


def request_id_of(sent: str | None) -> str:
    """The client's id for its request where it is fit to be echoed, else a new one."""
    return sent if sent and REQUEST_ID.fullmatch(sent) else f"{getrandbits(64):016x}"


def from_exception(error: BaseException) -> ApiError | None:
    """The client's view of an exception; None where it is a fault of ours."""
    match error:
        case ApiError():
            return error
        case exceptions.ParseError() | msgspec.DecodeError():
            return ApiError("INVALID_JSON", str(error))
        case exceptions.ValidationError():
            details = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
            texts = {field: [str(text) for text in _flat(value)] for field, value in details.items()}
            first = next(iter(texts.items()), ("body", ["is not valid"]))
            return ApiError("VALIDATION_FAILED", f"{first[0]}: {first[1][0]}", texts)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return ApiError("UNAUTHENTICATED", "Send a valid key: `Authorization: Bearer <key>`.")
        case exceptions.PermissionDenied():
            return ApiError("FORBIDDEN", "This key may not do that.")
        case Http404() | exceptions.NotFound():
            return ApiError("NOT_FOUND", "There is nothing here under this name.")
        case exceptions.MethodNotAllowed():
            return ApiError("METHOD_NOT_ALLOWED", str(error.detail))
        case exceptions.NotAcceptable():
            return ApiError("NOT_ACCEPTABLE", str(error.detail))
        case exceptions.UnsupportedMediaType():
            return ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
        case RateLimited():
            return rate_limited(error.decision)
        case RequestDataTooBig():
            return ApiError("BODY_TOO_LARGE", "The body is too large.")
        case OperationalError() | InterfaceError() | psycopg.OperationalError():
            return unavailable()
        case psycopg.errors.ReadOnlySqlTransaction():
            return unavailable()
        case InternalError() if isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction):
            return unavailable()
        case _:
            return None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _flat(inner)]
    return list(value) if isinstance(value, list) else [value]


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook."""
    seen = from_exception(error)
    if seen is None:
        return None
    request = context["request"]
    return Response(seen.body(request.META["REQUEST_ID"]), status=status_of(seen), headers=headers_of(seen))


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse(
        ApiError("NOT_FOUND", "There is nothing here under this name.").body(request.META.get("REQUEST_ID", "")),
        status=404,
    )


def server_error(request: HttpRequest) -> JsonResponse:
    error = ApiError("INTERNAL_ERROR", "The engine failed at this request; it is logged.")
    return JsonResponse(error.body(request.META.get("REQUEST_ID", "")), status=500)


class RequestIdMiddleware:
    """Echoes `X-Request-Id` or makes one, and answers for a database that is away.

    On the event loop only: from a thread that hangs with Postgres nobody can answer.
    """

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.META["REQUEST_ID"] = request_id_of(request.META.get("HTTP_X_REQUEST_ID"))
        clear_contextvars()
        bind_contextvars(request_id=request.META["REQUEST_ID"])
        bounded = request.path == "/readyz" or request.path.startswith("/api/orders")
        # Cancelled, Django would wait for its thread; one that hangs is left behind. The pool's size bounds how many do.
        answering = asyncio.ensure_future(self.get_response(request))
        await asyncio.wait((answering,), timeout=settings.ANSWER_TIMEOUT_S if bounded else None)
        return self._marked(request, answering.result() if answering.done() else as_response(request, unavailable()))

    def _marked(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["X-Request-Id"] = request.META["REQUEST_ID"]
        decision: Decision | None = request.META.get("RATE_LIMIT") or rate_limit_of(request)
        for name, value in decision.headers.items() if decision else ():
            response[name] = value
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        seen = from_exception(error)
        return None if seen is None else as_response(request, seen)


def rate_limit_of(request: HttpRequest) -> Decision | None:
    """The address's, from `orders.http.gate`."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    return scope.get("orderengine.rate_limit")


def as_response(request: HttpRequest, error: ApiError) -> JsonResponse:
    return JsonResponse(error.body(request.META["REQUEST_ID"]), status=status_of(error), headers=headers_of(error))
