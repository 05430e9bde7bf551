"""What the admin's landing page shows, as values. Every query is bounded: it costs the same with a million orders."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from celery_app import QUEUES
from orders.admin.keyset import estimated_rows
from orders.ids import first_id
from orders.mints import mint_of
from orders.models import DeadLetter, Executor, Order
from routing.world import tokens

WINDOW = timedelta(hours=3)
MAX_RECENT = 20_000
"""Orders of the window that are read, newest first: on a busy engine they cover less time than the window."""
MAX_OPEN = 50_000
MAX_LETTERS = 1_000
BARS = 45

RECENT = """
WITH recent AS MATERIALIZED (
    SELECT id, type, status, venue, created_at, finished_at
    FROM orders_order WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
), span AS (
    SELECT greatest(min(created_at), %(earliest)s) AS since, count(*) AS orders FROM recent
), ended AS (
    SELECT width_bucket(
               extract(epoch FROM finished_at), extract(epoch FROM since),
               extract(epoch FROM %(now)s::timestamptz) + 0.001, %(bars)s
           ) AS bar,
           status,
           CASE WHEN type = 'market' AND status = 'confirmed' THEN extract(epoch FROM finished_at - created_at) END AS took
    FROM recent, span WHERE finished_at IS NOT NULL
), bars AS (
    SELECT bar,
           count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS p95
    FROM ended GROUP BY bar
), kinds AS (
    SELECT type, status, count(*) AS n FROM recent GROUP BY type, status
), venues AS (
    SELECT venue, count(*) AS n FROM recent WHERE status = 'confirmed' GROUP BY venue
)
SELECT (SELECT jsonb_build_object('since', since, 'orders', orders) FROM span),
       (SELECT jsonb_agg(jsonb_build_array(type, status, n)) FROM kinds),
       (SELECT jsonb_agg(jsonb_build_array(venue, n) ORDER BY venue) FROM venues),
       (SELECT jsonb_agg(jsonb_build_array(bar, confirmed, failed, p50, p95)) FROM bars)
"""
OPEN = """
SELECT type, status, resting, count(*)
FROM (SELECT type, status, resting FROM orders_order WHERE finished_at IS NULL LIMIT %s) AS open
GROUP BY type, status, resting
"""
BOOK = """
SELECT token_in, token_out,
       count(*) FILTER (WHERE trigger_condition = 'gte'),
       count(*) FILTER (WHERE trigger_condition = 'lte'),
       count(*) FILTER (WHERE type = 'sniper'),
       count(*) AS all_of_them
FROM (SELECT token_in, token_out, type, trigger_condition FROM orders_order WHERE resting LIMIT %s) AS book
GROUP BY token_in, token_out ORDER BY all_of_them DESC, token_in, token_out LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One of `BARS` slices of the span: orders that ended in it, and how long market orders took (seconds)."""

    confirmed: int = 0
    failed: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Recent:
    since: datetime
    orders: int
    kinds: dict[tuple[str, str], int]
    """(type, status) → how many."""
    venues: dict[str, int]
    bars: list[Bar]

    @property
    def complete(self) -> bool:
        """The window's orders are all counted."""
        return self.orders < MAX_RECENT


def recent(now: datetime) -> Recent:
    with connection.cursor() as cursor:
        earliest = now - WINDOW
        values: dict[str, Any] = {
            "since": first_id(earliest),
            "earliest": earliest,
            "most": MAX_RECENT,
            "now": now,
            "bars": BARS,
        }
        cursor.execute(RECENT, values)
        span, kinds, venues, bars = (json.loads(text or "null") for text in cursor.fetchone())
    drawn = [Bar() for _ in range(BARS)]
    for n, *figures in bars or ():
        drawn[min(max(n, 1), BARS) - 1] = Bar(*figures)
    return Recent(
        since=datetime.fromisoformat(span["since"]) if span["since"] else now - WINDOW,
        orders=span["orders"],
        kinds={(kind, status): n for kind, status, n in kinds or ()},
        venues=dict(venues or ()),
        bars=drawn,
    )


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def open_orders() -> list[tuple[Any, ...]]:
    """(type, status, resting, how many), of at most `MAX_OPEN`."""
    return rows(OPEN, MAX_OPEN)


def resting_book() -> list[tuple[Any, ...]]:
    """(pair, gte, lte, sniper, all) of the ten fullest, of at most `MAX_OPEN` orders."""
    known = tokens()
    found = rows(BOOK, MAX_OPEN)
    return [(known.name(f"{mint_of(sold)}-{mint_of(bought)}"), *counts) for sold, bought, *counts in found]


def queue_depths() -> dict[str, int] | None:
    """Messages that wait, by queue; None while the broker cannot be reached or is not Redis."""
    url = settings.CELERY_BROKER_URL
    if not url.startswith(("redis", "unix")):
        return None
    client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
    try:
        with client.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            return dict(zip(QUEUES, pipe.execute(), strict=True))
    except redis.RedisError:
        return None
    finally:
        client.close()


def executors() -> Iterable[Executor]:
    """The living ones first, then those that stopped last."""
    return Executor.objects.order_by("state", "-heartbeat_at")[:12]


def letters() -> tuple[int, list[DeadLetter]]:
    """How many are open, at most `MAX_LETTERS`, and the newest."""
    waiting = DeadLetter.objects.filter(resolved_at=None).order_by("-id")
    return len(waiting.values_list("id")[:MAX_LETTERS]), list(waiting.select_related("order")[:5])


def orders_at_all() -> int:
    return estimated_rows(Order._meta.db_table)
