"""Tells the book what happened to orders, from a thread of its own: nobody who accepts or executes waits for Redis."""

import logging
import queue
import threading
import time

import redis

from triggers.book import Arm, Book, Left

log = logging.getLogger(__name__)

MAX_WAITING = 100_000
BATCH = 500
RETRY_S = 0.25


class Arming:
    """Passes changes on in order. What it has to drop makes the book doubtful, and so be compared with Postgres."""

    def __init__(self, url: str) -> None:
        self._book = Book(url)
        self._queue: queue.Queue[Arm | Left | None] = queue.Queue(MAX_WAITING)
        # The process before us may have died with changes in its hands.
        self._doubtful = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="arming", daemon=True)
        self._thread.start()

    def tell(self, *changes: Arm | Left) -> None:
        """Returns at once, from any thread."""
        for change in changes:
            try:
                self._queue.put_nowait(change)
            except queue.Full:
                self._doubtful = True

    def close(self, timeout_s: float = 1.0) -> None:
        """Passes on what waits, if Redis answers within the time."""
        self._closing = True
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        ended = False
        while not ended:
            self._tell_of_doubt()
            batch = [self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            changes = [change for change in batch if change is not None]
            ended = len(changes) < len(batch)
            if changes:
                self._change(changes)

    def _tell_of_doubt(self) -> None:
        if self._doubtful:
            try:
                self._doubtful = False
                self._book.invalidate()
            except redis.RedisError:
                self._doubtful = True

    def _change(self, changes: list[Arm | Left]) -> None:
        """Again and again until Redis answers: every change may be repeated."""
        complained = False
        while not (self._closing and complained):
            try:
                self._book.change(changes)
                return
            except redis.RedisError as error:
                if not complained:
                    log.warning("the trigger book waits for Redis: %s", error)
                complained = True
                time.sleep(RETRY_S)
