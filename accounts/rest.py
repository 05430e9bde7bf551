"""The same callers for Django REST framework."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.auth import Caller, key_ring
from accounts.limits import Decision, limiter
from accounts.models import Scope


class RateLimited(APIException):  # type: ignore[misc]
    """The account or the address has no requests left for now."""

    status_code = 429

    def __init__(self, decision: Decision) -> None:
        super().__init__(self.__doc__)
        self.decision = decision


def charge(request: Request, account_id: int | None, address: str | None) -> None:
    """Raises `RateLimited`; leaves the decision in META for the answer's headers."""
    ask = limiter().ask(account_id, address)
    if ask is None:
        return
    [decision] = limiter().decide([ask])
    request.META["RATE_LIMIT"] = decision
    if decision is not None and not decision.through:
        raise RateLimited(decision)


class CallerAuthentication(BaseAuthentication):  # type: ignore[misc]
    """`request.auth` is the `Caller`: of the key, else of the signed-in browser, else local mode's."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        """An address is charged before its key is looked up, an account after."""
        charge(request, None, request.META.get("REMOTE_ADDR"))
        found = self._authenticate(request)
        if found:
            charge(request, found[1].account_id, None)
        return found

    def _authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        authorization = request.META.get("HTTP_AUTHORIZATION")
        if authorization:
            caller = key_ring().look_up(authorization)
            if caller is None:
                raise AuthenticationFailed
            return None, caller
        user = getattr(request._request, "user", None)
        if user is not None and user.is_authenticated and (caller := key_ring().of_user(user)):
            enforce_csrf(request)
            return user, caller
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
