"""One asyncio loop beside a pool of threads: a waiting order costs a coroutine, not a thread."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")


class LoopThread:
    """An event loop that runs in a daemon thread until the process ends."""

    def __init__(self, name: str) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Starts the coroutine from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, Result], *, timeout_s: float | None = None) -> Result:
        """Runs the coroutine and waits for its result, from any thread but the loop's own."""
        return self.start(coroutine).result(timeout_s)
