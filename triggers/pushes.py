"""Pairs whose market has changed between two polls, on their way from the event loop to a thread that may wait for Redis."""

import logging
import threading
from collections.abc import Callable

from routing.values import Pair, VenueName

log = logging.getLogger(__name__)
Changes = dict[Pair, set[VenueName]]


class Pushes:
    """What changes while `handle` is at work is handled together afterwards. Without a change there is no thread."""

    def __init__(self, handle: Callable[[Changes], None]) -> None:
        self._handle = handle
        self._changed: Changes = {}
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, pair: Pair, venue: VenueName) -> None:
        """From any thread; waits for nothing."""
        with self._state:
            self._changed.setdefault(pair, set()).add(venue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pushes", daemon=True)
                self._thread.start()
            self._state.notify()

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._changed)
                changed, self._changed = self._changed, {}
            try:
                self._handle(changed)
            except Exception:
                # The next poll brings the same prices.
                log.exception("changed markets are left to the next poll")
