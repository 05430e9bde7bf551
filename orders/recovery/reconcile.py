"""Keeps the promise that nothing stays undone: what the doorbells, the executors and Redis lose is found here.

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
from orders.events import CommittedEvent
from orders.ledger import statements
from orders.ledger.advisory_lock import alone
from orders.ledger.statements import Change, Connection
from orders.lifecycle import Event, Status, advance
from orders.models import OrderType
from runtime.faults import crash_point
from triggers.book import Left

log = logging.getLogger(__name__)

BATCH = 1000
LOCK = 0x6F_72_64_65_72  # "order"

SILENT = """
state = 'alive' AND heartbeat_at < now() - %(dead_after_s)s * interval '1 second'
    -- While Postgres itself was down nobody could beat: give them time to.
    AND pg_postmaster_start_time() < now() - %(dead_after_s)s * interval '1 second'
"""
MARK_DEAD = f"UPDATE orders_executor SET state = 'dead' WHERE {SILENT} RETURNING id, name"  # nosec B608 - our own text
ABANDONED = """
SELECT id, account_id, epoch, seq, status, attempts, executor FROM orders_order o
WHERE run_at IS NOT NULL AND status IN ('routing', 'building')
    AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive')
ORDER BY run_at LIMIT %(most)s
"""
UNCLAIMED = """
SELECT id FROM orders_order
WHERE run_at < now() - %(grace_s)s * interval '1 second'
    AND (status = 'pending' AND (expires_at IS NULL OR expires_at > now())
        -- Its transaction may have landed: that has to be found out, expired or not.
        OR status = 'submitted' AND executor IS NULL)
    -- While doorbells wait in the broker an order's own is most likely among them: rung for once more, then left in peace.
    AND (NOT %(backlog)s OR run_at > now() - (%(grace_s)s + 2) * interval '1 second'
        OR run_at < now() - %(backlog_grace_s)s * interval '1 second')
ORDER BY run_at LIMIT %(most)s
"""
ANYTHING = f"""
SELECT EXISTS (SELECT FROM orders_executor WHERE {SILENT})
    OR EXISTS (
        SELECT FROM orders_order o
        WHERE run_at IS NOT NULL AND executor IS NOT NULL AND status IN ('routing', 'building', 'submitted')
            AND NOT EXISTS (SELECT 1 FROM orders_executor e WHERE e.id = o.executor AND e.state = 'alive')
    )
    OR EXISTS ({UNCLAIMED})
    OR EXISTS (SELECT FROM orders_deadletter WHERE announced_at IS NULL)
"""  # nosec B608 - our own texts
"""Whether a pass has anything to do. Almost never: then one question stands for seven, and the broker is not asked at all."""
UNANNOUNCED = "SELECT id, order_id, reason FROM orders_deadletter WHERE announced_at IS NULL ORDER BY id LIMIT %s"
ANNOUNCED = "UPDATE orders_deadletter SET announced_at = now() WHERE id = %s"


class Watch:
    """Since when this process has seen the ledger without a break.

    Whoever comes back from an absence sees old heartbeats, and cannot tell whether the others were away as well.
    """

    def __init__(self, *, gap_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._gap_s = gap_s
        self._now = now
        self._last: float | None = None
        self._since = float("-inf")

    def look(self) -> float:
        """Notes a look at the ledger; returns for how many seconds there has been one after the other.

        The first look of a process is trusted: it was not there, so it has missed nothing.
        """
        now = self._now()
        if self._last is not None and now - self._last > self._gap_s:
            self._since = now
        self._last = now
        return now - self._since


@dataclass(frozen=True, slots=True)
class Reconciler:
    """One pass over the ledger. `waiting()` is the number of doorbells the broker holds, None while it cannot say.

    `ring` and `announce` may raise `kombu.exceptions.OperationalError` or `OSError` while the broker is away.
    """

    watch: Watch
    max_attempts: int
    dead_after_s: float
    settle_s: float
    """What executors get to beat again after an outage, before old heartbeats count."""
    grace_s: float
    backlog_grace_s: float
    """For doorbells that still lie in the broker: they are not lost, only slow."""
    dispatch: Callable[[Sequence[UUID]], None]
    waiting: Callable[[], int | None]
    announce: Callable[[int, UUID, str], None]
    publish: Callable[[list[CommittedEvent]], None]

    def run(self, connection: Connection) -> dict[str, int]:
        """Does one pass unless another process is at one; returns what was done, by name."""
        watched_s = self.watch.look()
        if not self._anything(connection):
            return dict.fromkeys(("dead", "taken_over", "dispatched", "announced"), 0)
        with alone(connection, LOCK) as ours:
            if not ours:
                return {}
            return {
                "dead": self._mark_dead(connection) if watched_s >= self.settle_s else 0,
                "taken_over": self._take_over(connection),
                "dispatched": self._dispatch_unclaimed(connection),
                "announced": self._announce(connection),
            }

    def _anything(self, connection: Connection) -> bool:
        parameters = {"dead_after_s": self.dead_after_s, **self._graces(backlog=False), "most": 1}
        [[found]] = connection.execute(ANYTHING, parameters)
        return bool(found)

    def _graces(self, *, backlog: bool) -> dict[str, Any]:
        return {"grace_s": self.grace_s, "backlog_grace_s": self.backlog_grace_s, "backlog": backlog}

    def _mark_dead(self, connection: Connection) -> int:
        dead = connection.execute(MARK_DEAD, {"dead_after_s": self.dead_after_s}).fetchall()
        for executor, name in dead:
            log.warning("executor %s (%s) is dead", executor, name)
        return len(dead)

    def _dispatch(self, order_ids: Sequence[UUID]) -> None:
        """What does not get through is rung for again when its grace is over."""
        try:
            self.dispatch(order_ids)
        except BROKER_AWAY as error:
            log.warning("doorbell for %d orders not sent: %s", len(order_ids), error)

    def _take_over(self, connection: Connection) -> int:
        """Frees the orders of executors that are gone: back to pending, or for their intent's sake to whoever comes next."""
        rows = connection.execute(ABANDONED, {"most": BATCH}).fetchall()
        changes = [self._released(*row) for row in rows]
        if changes:
            times = statements.record(connection, changes)
            self.publish([CommittedEvent.of(change, at) for change, at in zip(changes, times, strict=True) if at])
        disowned = statements.disown(connection, most=BATCH)
        crash_point("after_takeover")
        freed = [change.order_id for change in changes if change.status is Status.PENDING] + disowned
        if freed:
            log.warning("%d orders of dead executors are free again", len(freed))
            self._dispatch(freed)
        return len(changes) + len(disowned)

    def _released(
        self,
        order_id: UUID,
        account_id: int,
        epoch: int,
        seq: int,
        status: str,
        attempts: int,
        executor: UUID,
    ) -> Change:
        data: dict[str, Any] = {"takeover": {"executor": executor, "from": status}}
        event = Event.RELEASE
        if attempts >= self.max_attempts:
            event = Event.FAIL
            message = f"the executor died at each of {attempts} attempts"
            data["error"] = {
                "attempt": attempts,
                "code": "EXECUTOR_LOST",
                "message": message,
                "permanent": False,
            }
        was = Status(status)
        return Change(
            order_id=order_id,
            account_id=account_id,
            epoch=epoch,
            seq=seq + 1,
            was=was,
            status=advance(was, event),
            data=data,
            delay_ms=0 if event is Event.RELEASE else None,
        )

    def _dispatch_unclaimed(self, connection: Connection) -> int:
        waiting = self.waiting()
        if waiting is None:
            return 0
        rows = connection.execute(UNCLAIMED, {**self._graces(backlog=waiting > 0), "most": BATCH}).fetchall()
        if rows:
            log.warning("%d orders were accepted and not claimed; ringing again", len(rows))
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


EXPIRED = """
SELECT id, account_id, epoch, seq, type, token_in, token_out FROM orders_order
WHERE expires_at <= now() AND finished_at IS NULL AND status = 'pending'
ORDER BY expires_at LIMIT %s
"""


def expire(connection: Connection, gone: Callable[[Left], None], *, most: int = BATCH) -> list[CommittedEvent]:
    """Ends orders that waited past their time; those already being executed run on. `gone` is told who rests no more."""
    rows = connection.execute(EXPIRED, (most,)).fetchall()
    changes = [
        Change(
            order_id=order_id,
            account_id=account_id,
            epoch=epoch,
            seq=seq + 1,
            was=Status.PENDING,
            status=advance(Status.PENDING, Event.EXPIRE),
        )
        for order_id, account_id, epoch, seq, *_ in rows
    ]
    if not changes:
        return []
    news = []
    times = statements.record(connection, changes)
    for change, at, (*_, kind, token_in, token_out) in zip(changes, times, rows, strict=True):
        if at is None:
            continue
        news.append(CommittedEvent.of(change, at))
        if kind != OrderType.MARKET:
            gone(Left(change.order_id, f"{token_in}-{token_out}", change.seq, kind == OrderType.SNIPER))
    return news
