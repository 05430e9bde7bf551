"""What the sender reads and writes, by SQL on one connection. Events are read where they are: writers of orders do nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from orders.ledger import queries
from orders.ledger.horizon import GRACE_S, HORIZON
from runtime.postgres import CONNECT, SET_UP
from webhooks.body import Due
from webhooks.post import MAX_SAID

query = partial(queries.query, folder=Path(__file__).parent / "sql")
RAISE, NOTE, TAKE = map(query, ("raise", "note", "take"))
DONE, PARK, PURGE = map(query, ("done", "park", "purge"))
STEPPED_BACK_S = 30
"""So far before the last look only a clock that was set back can be."""
MISSED_S = 600
"""Looked back further than known after a start or a step of the clock: what was set back while nobody looked."""
LOCK = 0x68_6F_6F_6B  # "hook"
MAX_SILENT_S = 5
"""A sender that sends Postgres nothing for so long is frozen: its session ends, and another one begins."""
ENDPOINTS = """
SELECT id, url, types, secret, CASE WHEN previous_until > now() THEN previous_secret END AS previous_secret,
    failing_since IS NOT NULL AS failing, replay_from, replay_to
FROM webhooks_endpoint WHERE enabled
"""
LISTENING = "SELECT min(since) FROM webhooks_endpoint WHERE enabled"
KNOWN = "SELECT until FROM webhooks_feed"
KNOW = "INSERT INTO webhooks_feed (id, until) VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET until = EXCLUDED.until"
FAILING = """
UPDATE webhooks_endpoint SET failing_since = CASE WHEN %(failing)s THEN COALESCE(failing_since, now()) END, updated_at = now()
WHERE id = %(id)s
"""
DISABLE = "UPDATE webhooks_endpoint SET enabled = false, disabled_reason = %s, updated_at = now() WHERE id = %s"
REPLAYED = """
UPDATE webhooks_endpoint SET replay_from = NULL, replay_to = NULL
WHERE id = %(endpoint)s AND replay_from = %(since)s AND replay_to = %(until)s
"""
OLD_ALERTS = "DELETE FROM orders_alert WHERE at < COALESCE(%(until)s, now()) - %(days)s * interval '1 day'"
COUNTS = """
SELECT (SELECT count(*) FROM (SELECT FROM webhooks_delivery WHERE next_at IS NOT NULL LIMIT %(most)s) d),
    (SELECT count(*) FROM webhooks_endpoint WHERE enabled AND failing_since IS NOT NULL)
"""
BATCH = 5000
MAX_COUNT = 100_000
"""Counting stops there: more is no better to know."""


class Target(NamedTuple):
    """An endpoint that is enabled."""

    id: UUID
    url: str
    types: list[str]
    secret: bytes
    previous_secret: bytes | None
    failing: bool
    replay_from: datetime | None
    replay_to: datetime | None


class Outcome(NamedTuple):
    """Of one attempt; `wait_s` until the next one, where it goes on waiting."""

    id: int
    state: str
    wait_s: float | None
    status: int | None
    said: str
    took_ms: int


async def connect(url: str, name: str = "webhooks") -> psycopg.AsyncConnection[Any]:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name=f"orderengine:{name}", **CONNECT
    )
    # As in `orders.ledger.session`: a prepared statement keeps the plan that it got while tables were small.
    # Its estimates are as far off as to have statements of a millisecond compiled.
    given = {"timezone": "UTC", "enable_seqscan": "off", "jit": "off"}
    await connection.execute(SET_UP, (list(given), list(given.values())))
    return connection


class Store:
    """One connection; made anew after every error."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._until: datetime | None = None
        """All events of before are noted."""

    async def lock(self) -> bool:
        """Whether this process is the one that sends. It is for as long as the connection is used every MAX_SILENT_S."""
        row = await self._row("SELECT pg_try_advisory_lock(%s)", (LOCK,))
        if row[0]:
            await self._connection.execute(
                "SELECT set_config('idle_session_timeout', %s, false)", (f"{MAX_SILENT_S}s",)
            )
        return bool(row[0])

    async def _row(self, statement: str, parameters: Any = None) -> Any:
        return await (await self._connection.execute(statement, parameters)).fetchone()

    async def targets(self) -> list[Target]:
        async with self._connection.cursor(row_factory=class_row(Target)) as cursor:
            return await (await cursor.execute(ENDPOINTS)).fetchall()

    async def note(self) -> int:
        """Notes what was committed since the last time, for everybody who wants it; returns how many deliveries are new."""
        [anybody_since] = await self._row(LISTENING)
        if anybody_since is None:
            return 0
        until, _ = await self._row(HORIZON, {"grace_s": GRACE_S})
        since = max(await self._known_until(until), anybody_since)
        await self._connection.execute(RAISE, {"since": since})
        noted = await self._connection.execute(NOTE, {"since": since, "until": "infinity", "endpoint": None})
        self._until = until
        return noted.rowcount

    async def _known_until(self, now: datetime) -> datetime:
        if self._until is None:
            row = await self._row(KNOWN)
            known = row[0] if row else datetime.min.replace(tzinfo=now.tzinfo)
            missed = bool(row)
        else:
            known, missed = self._until, False
        if known - now > timedelta(seconds=STEPPED_BACK_S):
            known, missed = now, True
        known = min(known, now)
        return known - timedelta(seconds=MISSED_S) if missed else known

    async def keep(self) -> None:
        """Writes down until when everything is noted."""
        if self._until is not None:
            await self._connection.execute(KNOW, (self._until,))

    async def take(self, free: dict[UUID, int], busy: Sequence[int]) -> list[Due]:
        parameters = {"endpoint": list(free), "free": list(free.values()), "busy": list(busy)}
        rows = await (await self._connection.execute(TAKE, parameters)).fetchall()
        return [Due(*row) for row in rows]

    async def done(self, outcomes: Sequence[Outcome]) -> None:
        columns = dict(zip(Outcome._fields, map(list, zip(*outcomes, strict=True)), strict=True))
        columns["said"] = [said[:MAX_SAID].replace("\0", " ") for said in columns["said"]]
        await self._connection.execute(DONE, columns)

    async def failing(self, endpoint: UUID, failing: bool) -> None:
        await self._connection.execute(FAILING, {"id": endpoint, "failing": failing})

    async def disable(self, endpoint: UUID, reason: str) -> None:
        await self._connection.execute(DISABLE, (reason, endpoint))

    async def upkeep(self, *, retry_for_s: float, keep_days: int) -> tuple[int, int]:
        """Parks what was tried for too long, deletes what is older than is kept; returns how many deliveries wait, and how many
        endpoints fail."""
        await self.keep()
        await self._connection.execute(PARK, {"for_s": retry_for_s, "most": BATCH})
        kept = {"until": self._until, "days": keep_days, "most": BATCH}
        await self._connection.execute(PURGE, kept)
        await self._connection.execute(OLD_ALERTS, kept)
        waiting, failing = await self._row(COUNTS, {"most": MAX_COUNT})
        return waiting, failing


async def replay(url: str, target: Target) -> int:
    """Has the events of the target's range sent again, in one transaction on a connection of its own; returns how many."""
    asked = {"endpoint": target.id, "since": target.replay_from, "until": target.replay_to}
    async with await connect(url, "webhooks-replay") as connection, connection.transaction():
        noted = await connection.execute(NOTE, asked)
        await connection.execute(REPLAYED, asked)
        return noted.rowcount
