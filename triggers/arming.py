"""Passes changes on to the book from a thread of its own, so that accepting and executing orders never waits for Redis."""

import logging
import queue
import threading
import time

import redis

from routing.registry import NotRead
from triggers.book import Arm, Book, Left

log = logging.getLogger(__name__)

MAX_WAITING = 100_000
BATCH = 500
RETRY_S = 0.25


class Arming:
    """Passes changes on in order. When it has to drop some it invalidates the book, which is then rebuilt from Postgres."""

    def __init__(self, url: str) -> None:
        self._book = Book(url)
        self._queue: queue.Queue[Arm | Left | None] = queue.Queue(MAX_WAITING)
        # The previous process may have crashed before it passed on all of its changes.
        self._incomplete = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="arming", daemon=True)
        self._thread.start()

    def change(self, *changes: Arm | Left) -> None:
        """Queues changes for the book. Returns at once, from any thread."""
        for change in changes:
            try:
                self._queue.put_nowait(change)
            except queue.Full:
                self._incomplete = True

    def close(self, timeout_s: float = 1.0) -> None:
        """Passes on what waits, if Redis answers within the time."""
        self._closing = True
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._book.close()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._invalidate()
            batch = [self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            changes = [change for change in batch if change is not None]
            ended = len(changes) < len(batch)
            if changes:
                self._change(changes)

    def _invalidate(self) -> None:
        if self._incomplete:
            try:
                self._incomplete = False
                self._book.invalidate()
            except redis.RedisError:
                self._incomplete = True

    def _change(self, changes: list[Arm | Left]) -> None:
        """Repeats until Redis answers and the tokens are known.

        That is harmless: of two changes of an order the later seq wins.
        """
        logged = False
        while not (self._closing and logged):
            try:
                self._book.change(changes)
                return
            except (redis.RedisError, NotRead) as error:
                if not logged:
                    log.warning("the trigger book waits: %s", error)
                logged = True
                time.sleep(RETRY_S)
