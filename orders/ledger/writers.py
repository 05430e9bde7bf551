"""The ledger's group commit: many orders in flight, one statement every few milliseconds.

Three writers, each with a thread and a connection of its own. They differ in what Postgres' absence means: accepting
and claiming fail at once (the client or the doorbell comes again), recording waits and goes on when Postgres is back.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from orders.ledger import statements
from orders.ledger.session import Session
from orders.ledger.statements import Accepted, Answer, Change, Claimed, NewOrder
from runtime import metrics
from runtime.groupcommit import GroupCommit

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

RETRY_S = 0.25
"""Between two tries to write while Postgres is away."""


def each_alone(
    session: Session,
    function: Callable[[statements.Connection, Sequence[Any]], list[Result]],
    items: Sequence[Any],
) -> list[Result | psycopg.Error]:
    """Writes items that could not be written together one by one, so that one bad item fails alone."""
    results: list[Result | psycopg.Error] = []
    for item in items:
        try:
            results.extend(session.run(function, [item]))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.error("an item cannot be written", exc_info=error)
            results.append(error)
    return results


class SessionCommit(GroupCommit[Item, Result]):
    """A group commit with a session of its own, opened and used in the group's thread."""

    _session: Session

    async def close(self) -> None:
        await super().close()
        self._session.close()


ACCEPT_COOL_DOWN = 1.0
"""Its callers are clients that wait for their answer; nobody waits for the other writers."""


class Acceptor(SessionCommit[NewOrder, Answer | psycopg.Error]):
    """Accepts orders. While Postgres is away every caller gets `psycopg.OperationalError`, at the latest after the timeout.

    `written` is told which orders are new, in the writer's thread, after the commit.
    """

    def __init__(
        self,
        url: str,
        *,
        window_ms: float,
        max_batch: int,
        capacity: int,
        timeout_ms: int,
        written: Callable[[list[tuple[NewOrder, Accepted]]], None],
    ) -> None:
        self._session = Session(url, name="accept", statement_timeout_ms=timeout_ms)
        self._written = written
        super().__init__(
            self._accept,
            name="accept",
            window_ms=window_ms,
            max_batch=max_batch,
            capacity=capacity,
            cool_down=ACCEPT_COOL_DOWN,
        )

    def _accept(self, orders: list[NewOrder]) -> Sequence[Answer | psycopg.Error]:
        results: Sequence[Answer | psycopg.Error]
        try:
            results = self._session.run(statements.accept, orders)
        except (psycopg.DataError, psycopg.IntegrityError):
            results = [*each_alone(self._session, statements.accept, orders)]
        pairs = zip(orders, results, strict=True)
        self._written([(order, new) for order, new in pairs if isinstance(new, Accepted) and not new.replayed])
        return results


class Claimer(SessionCommit[tuple[UUID, Mapping[str, Any] | None], Claimed | None]):
    """Claims orders for one executor: (order id, what fired it) → the order, None where it is not ours to have.

    `written` is told what was claimed, in the writer's thread, after the commit.
    """

    def __init__(
        self,
        url: str,
        executor: UUID,
        *,
        window_ms: float,
        max_batch: int,
        capacity: int,
        written: Callable[[list[Claimed]], None],
    ) -> None:
        self.executor = executor
        self._written = written
        self._session = Session(url, name="claim", statement_timeout_ms=10_000)
        super().__init__(self._claim, name="claim", window_ms=window_ms, max_batch=max_batch, capacity=capacity)

    def _claim(self, items: list[tuple[UUID, Mapping[str, Any] | None]]) -> list[Claimed | None]:
        triggers = {order_id: trigger for order_id, trigger in items if trigger is not None}
        order_ids = [order_id for order_id, _ in items]
        claimed = self._session.run(statements.claim, self.executor, order_ids, triggers)
        self._written(claimed)
        orders = {order.id: order for order in claimed}
        # Should an id stand twice in a batch, only one caller may have the order.
        return [orders.pop(order_id, None) for order_id in order_ids]


class Recorder(SessionCommit[Change, datetime | None]):
    """Records changes: the time each was written at, None where the order is in other hands.

    While Postgres is away a batch is tried again until it is written; callers wait and later changes queue behind it.
    `written` is told what was written, in the writer's thread, after the commit.
    """

    def __init__(
        self,
        url: str,
        *,
        window_ms: float,
        max_batch: int,
        capacity: int,
        written: Callable[[list[tuple[Change, datetime]]], None],
    ) -> None:
        self._session = Session(url, name="record", statement_timeout_ms=15_000)
        self._written = written
        self._closing = threading.Event()
        super().__init__(self._record, name="record", window_ms=window_ms, max_batch=max_batch, capacity=capacity)

    def give_up(self) -> None:
        """Ends the wait for an absent Postgres: the process stops, and what is unwritten is the reconciler's to find."""
        self._closing.set()

    def _record(self, changes: list[Change]) -> Sequence[datetime | None]:
        times: list[datetime | None] = [None] * len(changes)
        open_ = list(range(len(changes)))
        broken = False
        while True:
            try:
                if broken:
                    open_ = self._fill(
                        times, open_, self._session.run(statements.already_written, [changes[n] for n in open_])
                    )
                refused = self._fill(times, open_, self._record_all([changes[n] for n in open_]))
                if broken and refused:
                    # What we sent before the connection broke may have been on its way still, and have come first.
                    self._fill(
                        times, refused, self._session.run(statements.already_written, [changes[n] for n in refused])
                    )
                break
            except psycopg.OperationalError as error:
                log.warning("recording waits for Postgres: %s", str(error).strip())
                broken = True
                if self._closing.wait(RETRY_S):
                    raise
        if lost := times.count(None):
            metrics.FENCED.inc(lost)
        self._written([(change, at) for change, at in zip(changes, times, strict=True) if at is not None])
        return times

    def _record_all(self, changes: list[Change]) -> list[datetime | None]:
        if not changes:
            return []
        try:
            return self._session.run(statements.record, changes)
        except (psycopg.DataError, psycopg.IntegrityError):
            outcomes = each_alone(self._session, statements.record, changes)
            return [outcome if isinstance(outcome, datetime) else None for outcome in outcomes]

    @staticmethod
    def _fill(times: list[datetime | None], places: Sequence[int], found: Sequence[datetime | None]) -> list[int]:
        """Notes what was found; returns the places that are still empty."""
        for place, at in zip(places, found, strict=True):
            times[place] = at
        return [place for place in places if times[place] is None]
