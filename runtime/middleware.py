"""A Django middleware that serves sync and async handlers alike."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase


class Middleware:
    """Subclasses say what is done to a request and to its response."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        self.before(request)
        if iscoroutinefunction(self):
            return self._async(request)
        response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        self.after(request, response)
        return response

    async def _async(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        assert not isinstance(answer, HttpResponseBase)
        response = await answer
        self.after(request, response)
        return response

    def before(self, request: HttpRequest) -> None:
        """In the handler's context: what is bound to it is in the handler's log lines."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        pass
