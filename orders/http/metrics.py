"""`GET /metrics`: what all processes of this host counted, and what only the database and Redis know.

The latter is asked with a bound on every query and kept for two seconds, so that a scrape costs the same at any load.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis
from celery import current_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from orders.ledger.session import Session
from routing.world import tokens
from runtime import fleet, slots
from runtime.broker import messages_waiting
from triggers import pulse

log = logging.getLogger(__name__)
KEPT_S = 2.0
MAX_COUNT = 100_000
"""Counting stops there: more is no better to know, and slow to count."""

IN_WORK = """
SELECT status, count(*) FROM (SELECT status FROM orders_order WHERE run_at IS NOT NULL LIMIT %(most)s) o GROUP BY 1
"""
RESTING = "SELECT count(*) FROM (SELECT 1 FROM orders_order WHERE resting LIMIT %(most)s) o"
OLDEST_UNCLAIMED = """
SELECT EXTRACT(epoch FROM now() - run_at)::float FROM orders_order
WHERE run_at <= now() AND status = 'pending' ORDER BY run_at LIMIT 1
"""
DEAD_LETTERS = "SELECT count(*) FROM (SELECT 1 FROM orders_deadletter WHERE resolved_at IS NULL LIMIT %(most)s) d"
EXECUTORS = """
SELECT count(*) FROM orders_executor
WHERE state = 'alive' AND heartbeat_at > now() - %(dead_after)s * interval '1 second'
"""
"""By heartbeat: the state is what `dbsync` has noted, and it may be down as well."""
UNRESOLVED = """
SELECT count(*), COALESCE(EXTRACT(epoch FROM now() - min(created_at)), 0)::float
FROM (SELECT created_at FROM orders_transaction WHERE resolution IS NULL LIMIT %(most)s) t
"""


def plain(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"orderengine_{name}", text, value=value)


def labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"orderengine_{name}", text, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family


class Outside:
    """What is asked at the scrape. A source that is away is missing, and `dependency_up` says so.

    Its connections are opened at the first scrape.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._session = Session(settings.DATABASE_URL, name="metrics", statement_timeout_ms=1_000)
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        self._asking = threading.Lock()
        self._known: list[GaugeMetricFamily] = []
        self._until = 0.0
        self._sources: dict[str, tuple[Callable[[], list[GaugeMetricFamily]], tuple[type[Exception], ...]]] = {
            "postgres": (self.from_database, (psycopg.Error,)),
            "broker": (from_broker, (ConnectionError,)),
            "redis": (self.from_redis, (redis.RedisError, ValueError)),
        }

    def close(self) -> None:
        with self._asking:
            self._session.close()
            self._redis.close()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._asking:
            if time.monotonic() >= self._until:
                self._known = list(self._ask())
                self._until = time.monotonic() + KEPT_S
            yield from self._known

    def _ask(self) -> Iterator[GaugeMetricFamily]:
        up = []
        for source, (ask, away) in self._sources.items():
            try:
                yield from ask()
                up.append((source, 1.0))
            except away as error:
                log.warning("%s does not answer the scrape: %s", source, str(error).strip())
                up.append((source, 0.0))
        yield processes(self._settings.METRICS_DIR)
        yield labelled("dependency_up", "Whether a dependency answered this scrape.", "dependency", up)

    def from_database(self) -> list[GaugeMetricFamily]:
        return self._session.run(_of_database, self._settings.EXECUTOR_DEAD_AFTER_S)

    def from_redis(self) -> list[GaugeMetricFamily]:
        pairs = [pair.name for pair in tokens().all_pairs()]
        pipe = self._redis.pipeline(transaction=False)
        for pair in pairs:
            pipe.hget(f"quotes:{pair}:BEST", "observed_at")
        now = datetime.now(UTC)
        ages = [
            (pair, max(0.0, (now - datetime.fromisoformat(observed.decode())).total_seconds()))
            for pair, observed in zip(pairs, pipe.execute(), strict=True)
            if observed
        ]
        return [
            labelled("quote_age_seconds", "Age of the best cached quote of a pair.", "pair", ages),
            *self.turns(),
            *self.memory(),
        ]

    def turns(self) -> list[GaugeMetricFamily]:
        """Since when the periodic tasks have not run, by Redis' clock; of a task that has never left its time, nothing."""
        ages = [(task, age) for task, age in pulse.ages_s(self._redis).items() if age is not None]
        return [labelled("task_age_seconds", "Time since a periodic task last ran.", "task", ages)]

    def memory(self) -> list[GaugeMetricFamily]:
        """At its maximum Redis refuses every write: no dispatch, no quote, no trigger."""
        said = self._redis.info("memory")
        return [
            plain("redis_memory_bytes", "What Redis uses of its memory.", float(said["used_memory"])),
            plain("redis_memory_max_bytes", "Its maxmemory; 0 is no bound.", float(said["maxmemory"])),
        ]


def _of_database(connection: psycopg.Connection[Any], dead_after_s: float) -> list[GaugeMetricFamily]:
    def rows(query: str) -> list[Any]:
        return connection.execute(query, {"most": MAX_COUNT, "dead_after": dead_after_s}).fetchall()

    work = dict.fromkeys(("pending", "routing", "building", "submitted"), 0) | dict(rows(IN_WORK))
    oldest = rows(OLDEST_UNCLAIMED)
    [(unresolved, age)] = rows(UNRESOLVED)
    return [
        labelled("orders_in_work", "Orders to be worked on, by status.", "status", work.items()),
        plain("orders_resting", "Orders that wait for their trigger.", rows(RESTING)[0][0]),
        plain(
            "oldest_unclaimed_seconds",
            "How long the oldest order has been due that no executor has taken.",
            oldest[0][0] if oldest else 0.0,
        ),
        plain("dead_letters_open", "Failed orders that nobody has resolved.", rows(DEAD_LETTERS)[0][0]),
        plain("executors_alive", "Order worker processes with a heartbeat.", rows(EXECUTORS)[0][0]),
        plain("transactions_unresolved", "Signed transactions that may still land.", unresolved),
        plain("transaction_oldest_unresolved_seconds", "Age of the oldest of them.", age),
    ]


def from_broker() -> list[GaugeMetricFamily]:
    values = []
    for name in current_app.amqp.queues:
        depth = messages_waiting(name)
        if depth is None:
            raise ConnectionError("the broker does not answer")
        values.append((name, float(depth)))
    return [labelled("queue_depth", "Messages the broker holds that no worker has taken.", "queue", values)]


def processes(directory: Path) -> GaugeMetricFamily:
    """Every kind is there, also with 0: an alert can ask for the missing one."""
    living = slots.living(directory)
    shown = [kind for kind in fleet.KINDS if kind.queue or kind in (fleet.WEB, fleet.WEBHOOKS)]
    kinds = [(kind.name, float(living.get(kind.name, 0))) for kind in shown]
    return labelled("processes_alive", "Living processes that share this host's metrics, by kind.", "kind", kinds)


class Metrics:
    """Owned by the web process (`orders.web.Web`)."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._outside = Outside(settings)

    def close(self) -> None:
        """Waits for a scrape under way. Blocks."""
        self._outside.close()

    def exposition(self) -> bytes:
        """Prometheus' text format. Blocks."""
        registry = slots.merged(self._settings.METRICS_DIR)
        registry.register(self._outside)
        return bytes(generate_latest(registry))

    async def endpoint(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """The ASGI endpoint."""
        known = scope["method"] in ("GET", "HEAD")
        body = await asyncio.to_thread(self.exposition) if known else b""
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", str(len(body)).encode())]
        headers += [] if known else [(b"allow", b"GET, HEAD")]
        await send({"type": "http.response.start", "status": 200 if known else 405, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
