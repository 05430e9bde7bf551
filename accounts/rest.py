"""The same callers for Django REST framework."""

from dataclasses import replace
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.auth import Caller, key_ring
from accounts.limits import Decision, limiter
from accounts.models import Scope
from accounts.origin import is_own_origin, may_go_keyless


class RateLimited(APIException):  # type: ignore[misc]
    """The account or the address has no requests left for now."""

    status_code = 429

    def __init__(self, decision: Decision) -> None:
        super().__init__(self.__doc__)
        self.decision = decision


def charge(request: Request, account_id: int) -> None:
    """Raises `RateLimited`; leaves the decision in META for the answer's headers."""
    ask = limiter().ask(account_id, None)
    if ask is None:
        return
    [decision] = limiter().decide([ask])
    request.META["RATE_LIMIT"] = decision
    if decision is not None and not decision.through:
        raise RateLimited(decision)


class CallerAuthentication(BaseAuthentication):  # type: ignore[misc]
    """`request.auth` is the `Caller`: of the key, else of the signed-in browser, else local mode's.

    The address was charged before (`orderengine.asgi`), the account is here.
    """

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        found = self._authenticate(request)
        if found:
            charge(request, found[1].account_id)
        return found

    def _authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        authorization = request.META.get("HTTP_AUTHORIZATION")
        if authorization is not None:
            caller = key_ring().look_up(authorization) if authorization else None
            if caller is None:
                raise AuthenticationFailed
            return None, caller
        origin, host = request.META.get("HTTP_ORIGIN"), request.META.get("HTTP_HOST", "")
        secure = request._request.is_secure()
        user = getattr(request._request, "user", None)
        if user is not None and user.is_authenticated and (caller := key_ring().of_user(user)):
            if origin is not None and not is_own_origin(origin, host, secure=secure):
                raise AuthenticationFailed
            enforce_csrf(request)
            return user, replace(caller, credential=f"session:{request._request.session.session_key}")
        if not may_go_keyless(origin, host, secure=secure):
            return None
        caller = key_ring().look_up(None)
        return (None, caller) if caller else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CallerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document names it."""

    target_class = "accounts.rest.CallerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def enforce_csrf(request: Request) -> None:
    check = CSRFCheck(lambda _: None)
    check.process_request(request._request)
    if reason := check.process_view(request._request, None, (), {}):
        raise PermissionDenied(f"CSRF: {reason}")


class MayRead(BasePermission):  # type: ignore[misc]
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Caller) and request.auth.may(Scope.READ)


class MayTrade(BasePermission):  # type: ignore[misc]
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Caller) and request.auth.may(Scope.TRADE)


class IsStaff(BasePermission):  # type: ignore[misc]
    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Caller) and request.auth.is_staff
