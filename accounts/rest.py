"""The same callers for Django REST framework."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.auth import Caller, key_ring
from accounts.models import Scope


class CallerAuthentication(BaseAuthentication):  # type: ignore[misc]
    """`request.auth` is the `Caller`: of the key, else of the signed-in browser, else local mode's."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
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
