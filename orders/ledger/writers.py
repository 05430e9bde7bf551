"""The ledger's group commit: many orders in flight, one statement every few milliseconds.

Three writers, each with a thread and a connection of its own. They differ in what they do while Postgres is away: accepting
and claiming fail at once (the client sends again, the reconciler dispatches again); recording waits, and goes on when
Postgres is back.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from orders import metrics
from orders.ledger import funds, statements
from orders.ledger.counting import accept_counted
from orders.ledger.session import ABOUT_THE_DATA, Session
from orders.ledger.values import Accepted, Answer, Change, Claimed, NewOrder, Recorded, Worth
from runtime.groupcommit import GroupCommit

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

RETRY_S = 0.25
"""Seconds between two tries to write while Postgres is away."""


def one_by_one(
    session: Session,
    function: Callable[[statements.Connection, Sequence[Any]], list[Result]],
    items: Sequence[Any],
) -> list[Result | psycopg.Error]:
    """Writes one at a time items that could not be written together, so that a bad one does not fail the others."""
    results: list[Result | psycopg.Error] = []
    for item in items:
        try:
            results.extend(session.run(function, [item]))
        except ABOUT_THE_DATA as error:
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
"""Times the duration of a write. Clients wait for an acceptance; nobody waits for the other two writers."""


class Acceptor(SessionCommit[NewOrder, Answer | psycopg.Error]):
    """Accepts orders. While Postgres is away every caller gets `psycopg.OperationalError`, at the latest after the timeout.

    `written` gets the orders that are new, in the writer's thread, after the commit. `counted` says whether there is a limit to
    how many orders the account may have: then they are counted under a lock.
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
        counted: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._session = Session(url, name="accept", statement_timeout_ms=timeout_ms)
        self._written = written
        self._counted = counted
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
        accept = accept_counted if any(self._counted(order.account_id) for order in orders) else statements.accept
        try:
            results = self._session.run(accept, orders)
        except ABOUT_THE_DATA:
            results = [*one_by_one(self._session, accept, orders)]
        pairs = zip(orders, results, strict=True)
        self._written([(order, new) for order, new in pairs if isinstance(new, Accepted) and not new.replayed])
        return results


class Claimer(SessionCommit[tuple[UUID, Mapping[str, Any] | None], Claimed | None]):
    """Claims orders for one executor: (order id, what fired it) → the order, None where it is not due or has an owner.

    `written` gets the orders that were claimed, in the writer's thread, after the commit.
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
        mode: str = "mock",
        worth: Callable[[], Worth] = Worth,
    ) -> None:
        self.executor = executor
        self._mode = mode
        self._worth = worth
        self._written = written
        self._session = Session(url, name="claim", statement_timeout_ms=10_000)
        super().__init__(self._claim, name="claim", window_ms=window_ms, max_batch=max_batch, capacity=capacity)

    def _claim(self, items: list[tuple[UUID, Mapping[str, Any] | None]]) -> list[Claimed | None]:
        triggers = {order_id: trigger for order_id, trigger in items if trigger is not None}
        order_ids = [order_id for order_id, _ in items]
        claimed = self._session.run(statements.claim, self.executor, order_ids, triggers, self._mode, self._worth())
        self._written(claimed)
        orders = {order.id: order for order in claimed}
        # Should an id stand twice in a batch, only one caller may have the order.
        return [orders.pop(order_id, None) for order_id in order_ids]


class Recorder(SessionCommit[Change, Recorded | None]):
    """Records changes: what was recorded, None where the order has another owner or has moved on.

    While Postgres is away a batch is tried again until it is written; callers wait and later changes queue behind it.
    `written` gets what was written, in the writer's thread, after the commit.
    """

    def __init__(
        self,
        url: str,
        *,
        window_ms: float,
        max_batch: int,
        capacity: int,
        written: Callable[[list[tuple[Change, Recorded]]], None],
    ) -> None:
        self._session = Session(url, name="record", statement_timeout_ms=15_000)
        self._written = written
        self._closing = threading.Event()
        super().__init__(self._record, name="record", window_ms=window_ms, max_batch=max_batch, capacity=capacity)

    def give_up(self) -> None:
        """Ends the wait for an absent Postgres: the process stops, and the reconciler finds the orders."""
        self._closing.set()

    def _record(self, changes: list[Change]) -> Sequence[Recorded | None]:
        rows: list[Recorded | None] = [None] * len(changes)
        open_ = list(range(len(changes)))
        broken = False
        while True:
            try:
                if broken:
                    open_ = self._fill(rows, open_, self._already_written(changes, open_))
                refused = self._fill(rows, open_, self._record_all([changes[n] for n in open_]))
                if broken and refused:
                    # What was sent before the connection broke may have been on its way still, and have come first.
                    self._fill(rows, refused, self._already_written(changes, refused))
                break
            except psycopg.OperationalError as error:
                log.warning("recording waits for Postgres: %s", str(error).strip())
                broken = True
                if self._closing.wait(RETRY_S):
                    raise
        if lost := rows.count(None):
            metrics.FENCED.inc(lost)
        self._written([(change, row) for change, row in zip(changes, rows, strict=True) if row is not None])
        return rows

    def _already_written(self, changes: list[Change], places: Sequence[int]) -> list[Recorded | None]:
        return self._session.run(statements.already_written, [changes[n] for n in places])

    def _record_all(self, changes: list[Change]) -> list[Recorded | None]:
        if not changes:
            return []
        try:
            return self._session.run(statements.record, changes)
        except ABOUT_THE_DATA:
            outcomes = one_by_one(self._session, statements.record, changes)
            return [outcome if isinstance(outcome, Recorded) else None for outcome in outcomes]

    @staticmethod
    def _fill(rows: list[Recorded | None], places: Sequence[int], found: Sequence[Recorded | None]) -> list[int]:
        """Notes what was found; returns the places that are still empty."""
        for place, row in zip(places, found, strict=True):
            rows[place] = row
        return [place for place in places if rows[place] is None]


class Reserver(SessionCommit[funds.Ask, funds.Outcome]):
    """Reserves of wallets what orders may spend. While Postgres is away it tries on; nothing else of an order goes on either."""

    def __init__(self, url: str, *, sol_reserve: int, window_ms: float, max_batch: int, capacity: int) -> None:
        self._session = Session(url, name="reserve", statement_timeout_ms=10_000)
        self._sol_reserve = sol_reserve
        self._closing = threading.Event()
        super().__init__(self._reserve, name="reserve", window_ms=window_ms, max_batch=max_batch, capacity=capacity)

    def give_up(self) -> None:
        """See `Recorder`."""
        self._closing.set()

    def _reserve(self, asks: list[funds.Ask]) -> list[funds.Outcome]:
        while True:
            try:
                return self._session.run(partial(funds.reserve, sol_reserve=self._sol_reserve), asks)
            except psycopg.OperationalError as error:
                log.warning("reserving waits for Postgres: %s", str(error).strip())
                if self._closing.wait(RETRY_S):
                    raise
