"""The Celery tasks of prices and triggers: thin, by name. The worker process starts and closes the owner of what they need."""

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from django.conf import settings

from routing.cluster import mode
from routing.prices import PriceStore
from routing.world import close_world, world
from runtime.broker import messages_waiting
from runtime.fleet import TICK
from triggers.book import Book
from triggers.discovery import Discovery
from triggers.matcher import Matcher
from triggers.ticker import Ticker
from triggers.wakeup import send_wake_up

QUEUES = {"match_limits": "limit", "match_snipers": "sniper"}
MAX_WAITING = 100
"""Calls on a matcher's queue beyond which no more are sent: the next tick calls again, and those that wait do the same work.

It replaces an expiry time in the messages, which a worker would compare with a clock that may differ from the poller's.
"""


DEPTH_KEPT_S = 0.25
"""One question a queue serves all pairs of a tick: with a slow broker each further one would publish prices later."""


class Calls:
    """Calls the matchers for pairs that are due, as far as their queues have room. Safe from any thread."""

    def __init__(self) -> None:
        self._depths: dict[str, tuple[float, int]] = {}

    def send(self, task: str, pair: str) -> None:
        queue, now = QUEUES[task], time.monotonic()
        asked_at, waiting = self._depths.get(queue, (-DEPTH_KEPT_S, 0))
        if now - asked_at >= DEPTH_KEPT_S:
            asked_at, waiting = now, messages_waiting(queue) or 0
        if waiting < MAX_WAITING:
            current_app.send_task(task, kwargs={"pair": pair}, queue=queue)
            waiting += 1
        self._depths[queue] = asked_at, waiting


def send_fired(order_ids: Sequence[UUID], trigger: dict[str, Any]) -> None:
    send_wake_up(order_ids, trigger=trigger)


class Owners:
    """The objects of this worker process. Each is made at the worker's start, or by the first task that needs it."""

    def __init__(self) -> None:
        self._making = threading.RLock()
        """Reentrant: a ticker is made with the matcher."""
        self._stores: tuple[Book, PriceStore] | None = None
        self._matcher: Matcher | None = None
        self._ticker: Ticker | None = None

    def _open(self) -> tuple[Book, PriceStore]:
        if self._stores is None:
            self._stores = Book(settings.REDIS_URL), PriceStore(settings.REDIS_URL, mode=mode())
        return self._stores

    def matcher(self) -> Matcher:
        with self._making:
            if self._matcher is None:
                book, prices = self._open()
                max_age = timedelta(milliseconds=settings.QUOTE_MAX_AGE_MS)
                self._matcher = Matcher(book, prices, send_fired, max_age=max_age, most=settings.MAX_DISPATCH_IDS)
            return self._matcher

    def ticker(self) -> Ticker:
        with self._making:
            if self._ticker is None:
                book, prices = self._open()
                self._ticker = Ticker(
                    world().router,
                    prices,
                    book,
                    self.matcher(),
                    Calls().send,
                    pairs=settings.POLL_PAIRS,
                    deadline_ms=settings.POLL_DEADLINE_MS,
                    discovery=Discovery(world().read_mint),
                    watch=world().watch,
                )
            return self._ticker

    def start(self, queues: Sequence[str]) -> None:
        """Makes what a worker of these queues needs."""
        if "quotes" in queues:
            self.ticker()
        if "limit" in queues or "sniper" in queues:
            self.matcher()

    def close(self) -> None:
        """When no task runs any more."""
        with self._making:
            if self._ticker is not None:
                self._ticker.end(close_world())
            for store in self._stores or ():
                store.close()
            self._stores = self._matcher = self._ticker = None


owners = Owners()


@shared_task(name="poll_quotes", queue="quotes", **TICK)
def poll_quotes(**_: Any) -> None:
    """One tick of the market."""
    owners.ticker().tick()


@shared_task(name="match_limits", queue="limit", ignore_result=True)
def match_limits(*, pair: str, **_: Any) -> None:
    """Fires the pair's limits and stops that are due."""
    owners.matcher().match_limits(pair)


@shared_task(name="match_snipers", queue="sniper", ignore_result=True)
def match_snipers(*, pair: str, **_: Any) -> None:
    """Fires the pair's snipers whose event is there."""
    owners.matcher().match_snipers(pair)
