"""Keeps the promise that no accepted order is lost: finds what wake-ups, executors and Redis have lost.

Everything is read from Postgres, by its clock. Each part is safe to run several times and in several processes at once:
the ledger's fences decide.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orders.dispatch import BROKER_AWAY
from orders.effects import Effects, followed, of_disowned
from orders.events import ErrorData, ExpireData, FailData, ReleaseData, Takeover
from orders.ledger import statements
from orders.ledger.advisory_lock import exclusive
from orders.ledger.statements import Connection
from orders.ledger.values import Change, Position
from orders.lifecycle import Event
from orders.transitions import transition
from runtime.faults import crash_point

log = logging.getLogger(__name__)

BATCH = 1000
LOCK = 0x6F_72_64_65_72  # "order"

SILENT = """
state = 'alive'
    AND (heartbeat_at < now() - %(dead_after_s)s * interval '1 second'
        -- From before Postgres' clock was set back: whoever is alive beats again before this counts.
        OR %(future)s AND heartbeat_at > now() + %(dead_after_s)s * interval '1 second')
    -- While Postgres itself was down nobody could beat: they get time to do so. A start in the future was long ago.
    AND pg_postmaster_start_time() NOT BETWEEN now() - %(dead_after_s)s * interval '1 second' AND now()
"""
MARK_DEAD = f"""
WITH dead AS (UPDATE orders_executor SET state = 'dead' WHERE {SILENT} RETURNING id, name),
alert AS (
    INSERT INTO orders_alert (id, kind, at, data)
    SELECT gen_random_uuid(), 'executor_lost', now(), jsonb_build_object('executor', name, 'executorId', id) FROM dead
)
SELECT id, name FROM dead
"""  # nosec B608 - our own text
ABANDONED = """
SELECT id, account_id, epoch, seq, status, attempts, executor FROM orders_order o
WHERE run_at IS NOT NULL AND status IN ('routing', 'building')
    AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive')
ORDER BY run_at LIMIT %(most)s
"""
CLAIMABLE = """
COALESCE(mode, 'mock') = %(mode)s
    -- While trading is halted a claim leaves these alone.
    AND NOT (status = 'pending' AND (plan_id IS NOT NULL OR type <> 'market' AND time_in_force IS NULL) AND EXISTS (
        SELECT FROM risk_rule r WHERE r.account_id = ANY(ARRAY[0, orders_order.account_id]) AND r.state = 'HALTED'))
    AND (status = 'pending' AND (expires_at IS NULL OR expires_at > now())
        -- Its transaction may have landed: that has to be found out, expired or not.
        OR status = 'submitted' AND executor IS NULL)
"""
# Two parts, so that each reads its end of the index. The second: written before Postgres' clock was set back.
UNCLAIMED = f"""
(SELECT id FROM orders_order
WHERE run_at < now() - %(grace_s)s * interval '1 second' AND {CLAIMABLE}
    -- While wake-ups wait in the broker an order's own is most likely among them: it is dispatched once more, then not again.
    -- While they wait in overloaded executors it is not dispatched before all of them are late.
    AND (NOT (%(backlog)s OR %(overloaded)s)
        OR NOT %(overloaded)s AND run_at > now() - (%(grace_s)s + 2) * interval '1 second'
        OR run_at < now() - %(backlog_grace_s)s * interval '1 second')
ORDER BY run_at LIMIT %(most)s)
UNION ALL
(SELECT id FROM orders_order
WHERE run_at > now() + %(max_ahead_s)s * interval '1 second' AND {CLAIMABLE}
ORDER BY run_at LIMIT %(most)s)
LIMIT %(most)s
"""  # nosec B608 - our own texts
ANYTHING = f"""
SELECT EXISTS (SELECT FROM orders_executor WHERE {SILENT})
    OR EXISTS (
        SELECT FROM orders_order o
        WHERE run_at IS NOT NULL AND executor IS NOT NULL AND status IN ('routing', 'building', 'submitted')
            AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive')
    )
    OR EXISTS ({UNCLAIMED})
    OR EXISTS (SELECT FROM orders_deadletter WHERE announced_at IS NULL),
    extract(epoch FROM now())::float8
"""  # nosec B608 - our own texts
"""Whether a pass has anything to do, and Postgres' time in seconds.

It almost never has: then one statement replaces seven, and the broker is not asked.
"""
UNANNOUNCED = "SELECT id, order_id, reason FROM orders_deadletter WHERE announced_at IS NULL ORDER BY id LIMIT %s"
ANNOUNCED = "UPDATE orders_deadletter SET announced_at = now() WHERE id = %s"


class Watch:
    """For how long this process has read the ledger without a break, of its own or in Postgres' time.

    After a break of its own it sees old heartbeats, and cannot know whether the executors were away or it was. After a step of
    Postgres' clock every heartbeat looks old, or lies in the future. Either way the executors get time to beat again.
    """

    def __init__(self, *, gap_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._gap_s = gap_s
        self._now = now
        self._last: tuple[float, float] | None = None
        self._since = float("-inf")
        self._began: float | None = None

    def age(self) -> float:
        """Seconds since the first look, breaks included."""
        return 0.0 if self._began is None else self._now() - self._began

    def look(self, postgres_s: float) -> float:
        """Notes that the ledger is read now, at `postgres_s` of Postgres' clock (Unix time, seconds).

        Returns for how many seconds that has happened without a break. The first time counts as an endless one: a new process
        has missed nothing.
        """
        now = self._now()
        if self._last is None:
            self._began = now
        else:
            own_s, theirs_s = now - self._last[0], postgres_s - self._last[1]
            if own_s > self._gap_s or abs(theirs_s - own_s) > self._gap_s:
                self._since = now
        self._last = now, postgres_s
        return now - self._since


@dataclass(frozen=True, slots=True)
class Reconciler:
    """One pass over the ledger.

    `waiting()` is the number of wake-ups in the broker, None while it does not answer. `dispatch` and `announce` may raise
    one of `BROKER_AWAY`. `carry_out` gets what follows the changes made here.
    """

    watch: Watch
    max_attempts: int
    dead_after_s: float
    settle_s: float
    """The time that executors get to beat again after an outage, before old heartbeats count."""
    grace_s: float
    backlog_grace_s: float
    """For wake-ups that still wait in the broker: they are not lost, only slow."""
    dispatch: Callable[[Sequence[UUID]], None]
    waiting: Callable[[], int | None]
    overloaded: Callable[[], bool]
    """Whether dispatches wait in executors that let no more in: they are not lost either."""
    announce: Callable[[int, UUID, str], None]
    carry_out: Callable[[Sequence[Effects]], None]
    mode: str = "mock"
    """Orders of another one are dispatched by the processes of that."""

    def run(self, connection: Connection) -> dict[str, int]:
        """Does one pass unless another process is at one; returns what was done, by name."""
        anything, postgres_s = self._anything(connection)
        watched_s = self.watch.look(postgres_s)
        if not anything:
            return dict.fromkeys(("dead", "taken_over", "dispatched", "announced"), 0)
        with exclusive(connection, LOCK) as ours:
            if not ours:
                return {}
            return {
                "dead": self._mark_dead(connection) if watched_s >= self.settle_s else 0,
                "taken_over": self._take_over(connection),
                "dispatched": self._dispatch_unclaimed(connection),
                "announced": self._announce(connection),
            }

    def _anything(self, connection: Connection) -> tuple[bool, float]:
        """Whether there is anything to do, and Postgres' time in seconds."""
        parameters = {"dead_after_s": self.dead_after_s, "future": True, **self._graces(), "most": 1}
        [[found, postgres_s]] = connection.execute(ANYTHING, parameters)
        return bool(found), postgres_s

    def _graces(self, *, backlog: bool = False, overloaded: bool = False) -> dict[str, Any]:
        return {
            "grace_s": self.grace_s,
            "backlog_grace_s": self.backlog_grace_s,
            "backlog": backlog,
            "mode": self.mode,
            "overloaded": overloaded,
            "max_ahead_s": statements.MAX_AHEAD_S,
        }

    def _mark_dead(self, connection: Connection) -> int:
        future = self.watch.age() >= self.settle_s
        dead = connection.execute(MARK_DEAD, {"dead_after_s": self.dead_after_s, "future": future}).fetchall()
        for executor, name in dead:
            log.warning("executor %s (%s) has crashed", executor, name)
        return len(dead)

    def _dispatch(self, order_ids: Sequence[UUID]) -> None:
        """What is not sent is dispatched again when its grace is over."""
        try:
            self.dispatch(order_ids)
        except BROKER_AWAY as error:
            log.warning("%d orders not dispatched: %s", len(order_ids), error)

    def _take_over(self, connection: Connection) -> int:
        """Frees the orders of executors that have crashed: pending again, or submitted without an owner."""
        rows = connection.execute(ABANDONED, {"most": BATCH}).fetchall()
        changes = [released(Position(*row[:5]), *row[5:], max_attempts=self.max_attempts) for row in rows]
        recorded = statements.record(connection, changes) if changes else []
        disowned = statements.disown(connection, most=BATCH)
        crash_point("after_takeover")
        self.carry_out(followed(changes, recorded) + of_disowned(disowned))
        if changes or disowned:
            log.warning("%d orders of crashed executors are free again", len(changes) + len(disowned))
        return len(changes) + len(disowned)

    def _dispatch_unclaimed(self, connection: Connection) -> int:
        waiting = self.waiting()
        if waiting is None:
            return 0
        graces = self._graces(backlog=waiting > 0, overloaded=self.overloaded())
        rows = connection.execute(UNCLAIMED, {**graces, "most": BATCH}).fetchall()
        if rows:
            log.warning("%d orders were accepted and not claimed; dispatching them again", len(rows))
            self._dispatch([row[0] for row in rows])
        return len(rows)

    def _announce(self, connection: Connection) -> int:
        """One message a dead letter: each is marked before the next is sent."""
        rows = connection.execute(UNANNOUNCED, (BATCH,)).fetchall()
        for row in rows:
            try:
                self.announce(*row)
            except BROKER_AWAY as error:
                log.warning("dead letters are announced later: %s", error)
                return rows.index(row)
            connection.execute(ANNOUNCED, (row[0],))
        return len(rows)


def released(order: Position, attempts: int, executor: UUID, *, max_attempts: int) -> Change:
    """The order without its previous owner: pending, or failed when it has crashed its owners at all its attempts. Pure."""
    takeover = Takeover(executor=executor, from_=order.status)
    if attempts < max_attempts:
        return transition(order, Event.RELEASE, ReleaseData(takeover=takeover), delay_ms=0)
    message = f"the executor died at each of {attempts} attempts"
    error = ErrorData(attempt=attempts, code="EXECUTOR_LOST", message=message, permanent=False)
    return transition(order, Event.FAIL, FailData(error=error, takeover=takeover))


EXPIRED = """
SELECT id, account_id, epoch, seq, status FROM orders_order
WHERE expires_at <= now() AND finished_at IS NULL AND status = 'pending'
ORDER BY expires_at LIMIT %s
"""


def expire(connection: Connection, carry_out: Callable[[Sequence[Effects]], None], *, most: int = BATCH) -> int:
    """Ends orders that waited past their time, at most `most`; returns how many. Those that have an owner are executed."""
    rows = connection.execute(EXPIRED, (most,)).fetchall()
    changes = [transition(Position(*row), Event.EXPIRE, ExpireData()) for row in rows]
    if not changes:
        return 0
    ended = followed(changes, statements.record(connection, changes))
    carry_out(ended)
    return len(ended)
