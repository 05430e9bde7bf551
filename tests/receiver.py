"""A receiver of webhooks on loopback that behaves as its path says, verifies every signature with the scheme's own library, and
keeps what it got.

    /ok, /fails (3 in 10 answers are 500, of one message never more than four), /hangs, /slow (`slow_s`), /gone (410),
    /redirects (307 to /ok), /later (503, Retry-After)
"""

import asyncio
import os
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks.webhooks import Webhook

MAX_REFUSALS = 4
"""Of one message at /fails."""


class Got(NamedTuple):
    path: str
    id: str
    body: dict[str, Any]
    accepted: bool

    @property
    def seq(self) -> int:
        return int(self.id.split(".")[1])


class Receiver:
    def __init__(self, slow_s: float = 0.3, nice: int = 0) -> None:
        """`nice` is that of its thread."""
        self.slow_s, self.nice = slow_s, nice
        self.secrets: dict[str, str] = {}
        """Path: the secret that a receiver there knows."""
        self.got: list[Got] = []
        self.port = 0
        self.at_once: Counter[tuple[str, str]] = Counter()
        self.most_at_once = 0
        """Requests under way together for one order at one path."""
        self._random = Random(1)
        self._refused: Counter[str] = Counter()
        self._hanging = asyncio.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    async def handle(self, request: web.Request) -> web.Response:
        path, text = request.path.strip("/"), await request.text()
        body = Webhook(self.secrets[path]).verify(text, dict(request.headers))
        lane = path, request.headers["webhook-id"].split(".")[0]
        self.at_once[lane] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[lane])
        try:
            status = await self._status(path, request.headers["webhook-id"])
        finally:
            self.at_once[lane] -= 1
        self.got.append(Got(path, request.headers["webhook-id"], body, status == 200))
        return web.Response(status=status, text=f"said {status}", headers=self._headers(status))

    async def _status(self, path: str, message: str) -> int:
        match path:
            case "fails":
                # Every further failure of one message makes it wait four times as long: seven of them outlast any test.
                if self._refused[message] < MAX_REFUSALS and self._random.random() < 0.3:
                    self._refused[message] += 1
                    return 500
            case "hangs":
                await self._hanging.wait()
            case "slow":
                await asyncio.sleep(self.slow_s)
        return {"gone": 410, "redirects": 307, "later": 503}.get(path, 200)

    def _headers(self, status: int) -> dict[str, str]:
        return {307: {"Location": self.url("ok")}, 503: {"Retry-After": "3600"}}.get(status, {})

    def of(self, path: str) -> list[Got]:
        return [each for each in self.got if each.path == path]

    def accepted(self, path: str) -> dict[str, list[int]]:
        """Order (or plan, or alert): the seqs that were accepted, as they came."""
        found = defaultdict(list)
        for each in self.of(path):
            if each.accepted:
                found[each.id.split(".")[0]].append(each.seq)
        return found

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def serve() -> None:
            if self.nice:
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.nice)
            app = web.Application()
            app.router.add_post("/{path}", self.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            listening = socket.create_server(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
            await web.SockSite(runner, listening).start()
            ready.set()
            self._stop = asyncio.Event()
            await self._stop.wait()
            self._hanging.set()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)
            loop.close()
