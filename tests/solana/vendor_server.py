"""A vendor's server of a test: it answers what it is told to, and remembers what it was asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web


class VendorServer:
    """`answers`: path → (status, JSON or bytes, headers), or a function of the request that gives it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "VendorServer":
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def says(self, path: str, answer: Any, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, answer, headers)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.path, dict(request.query), body))
        found = self.answers.get(request.path, (404, {}, {}))
        status, answer, headers = found(request, body) if isinstance(found, Callable) else found  # type: ignore[arg-type]
        if answer is None:
            await asyncio.sleep(30)
        text = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=text, headers=names, content_type="application/json")
