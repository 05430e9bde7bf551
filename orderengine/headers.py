"""What a browser may do with our pages: Content-Security-Policy and its relatives on every answer of Django's."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

COMMON = "base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
PAGES = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    + COMMON
)
THIRD_PARTY = PAGES.replace("script-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'")
"""The admin's theme evaluates expressions in its markup (Alpine), Flower writes scripts into its pages. Staff only."""
DATA = "default-src 'none'; frame-ancestors 'none'"
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def policy(path: str, kind: str) -> str:
    if not kind.startswith("text/html"):
        return DATA
    return THIRD_PARTY if path.startswith(("/admin/", "/flower/")) else PAGES


class BrowserRules:
    """Middleware."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._async(request)
        response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        return marked(request, response)

    async def _async(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        assert not isinstance(answer, HttpResponseBase)
        return marked(request, await answer)


def marked(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    kind = response.get("Content-Type", "")
    response["Content-Security-Policy"] = policy(request.path, kind)
    response["Permissions-Policy"] = PERMISSIONS
    if request.path.startswith(("/api/", "/admin/", "/flower/")) and not response.has_header("Cache-Control"):
        response["Cache-Control"] = "no-store"
    return response
