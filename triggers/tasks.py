"""The Celery tasks of prices and triggers: thin, by name."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from django.conf import settings

from routing.prices import PriceStore
from routing.world import tokens, world
from runtime.broker import messages_waiting
from triggers.book import Book
from triggers.matcher import Matcher
from triggers.ticker import Ticker
from triggers.wakeup import send_wake_up

QUEUES = {"match_limits": "limit", "match_snipers": "sniper"}
MAX_WAITING = 100
"""Calls on a matcher's queue beyond which no more are sent: the next tick calls again, and those that wait do the same work.

It replaces an expiry time in the messages, which a worker would compare with a clock that may differ from the poller's.
"""


def send_due(task: str, pair: str) -> None:
    if (messages_waiting(QUEUES[task]) or 0) < MAX_WAITING:
        current_app.send_task(task, kwargs={"pair": pair}, queue=QUEUES[task])


def send_fired(order_ids: Sequence[UUID], trigger: dict[str, Any]) -> None:
    send_wake_up(order_ids, trigger=trigger)


@cache
def ticker() -> Ticker:
    pairs = [pair for name in settings.POLL_PAIRS if (pair := tokens().pair_named(name)) is not None]
    return Ticker(
        world().router,
        PriceStore(settings.REDIS_URL),
        Book(settings.REDIS_URL),
        matcher(),
        send_due,
        pairs=pairs,
        deadline_ms=settings.POLL_DEADLINE_MS,
    )


@cache
def matcher() -> Matcher:
    return Matcher(
        Book(settings.REDIS_URL),
        PriceStore(settings.REDIS_URL),
        send_fired,
        max_age=timedelta(milliseconds=settings.QUOTE_MAX_AGE_MS),
        most=settings.MAX_DISPATCH_IDS,
    )


@shared_task(name="poll_quotes", queue="quotes", ignore_result=True)
def poll_quotes(**_: Any) -> None:
    """One tick of the market."""
    ticker().tick()


@shared_task(name="match_limits", queue="limit", ignore_result=True)
def match_limits(*, pair: str, **_: Any) -> None:
    """Fires the pair's limits and stops that are due."""
    matcher().match_limits(pair)


@shared_task(name="match_snipers", queue="sniper", ignore_result=True)
def match_snipers(*, pair: str, **_: Any) -> None:
    """Fires the pair's snipers whose event is there."""
    matcher().match_snipers(pair)
