"""Carries out what follows a commit: publishes, changes the trigger book, dispatches, counts. Best effort, and never blocks."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from orders import metrics
from orders.dispatch import BROKER_AWAY, wake_plans
from orders.effects import Effects, effects
from orders.events import AnyEvent
from orders.ledger.values import LIMIT, MARKET, SNIPER, Change, Recorded
from orders.lifecycle import FINAL
from triggers.changes import Arm, Left

log = logging.getLogger(__name__)

ACCEPTED = {kind: metrics.ACCEPTED.labels(kind) for kind in (MARKET, LIMIT, SNIPER)}
FINALS = {status: metrics.FINAL.labels(status) for status in FINAL}


class Publishing(Protocol):
    def publish(self, events: list[AnyEvent]) -> None: ...


class BookChanges(Protocol):
    def change(self, *changes: Arm | Left) -> None: ...


class AfterCommit:
    """The one place where effects leave a process. Safe from any thread.

    `dispatch(order_ids, delay_ms)` wakes a worker for the orders; it may raise one of `BROKER_AWAY`.
    """

    def __init__(
        self, publisher: Publishing, book: BookChanges, dispatch: Callable[[Sequence[UUID], int], None]
    ) -> None:
        self._publisher = publisher
        self._book = book
        self._dispatch = dispatch

    def recorded(self, written: Sequence[tuple[Change, Recorded]]) -> None:
        """Carries out what follows changes that were recorded."""
        try:
            self.carry_out([effects(change, row) for change, row in written])
        except Exception:  # The changes are committed: their callers must not be told otherwise.
            log.exception("what follows a commit could not be decided; the reconciler makes it good")

    def carry_out(self, all_effects: Sequence[Effects]) -> None:
        """Never raises: what is committed is committed, and every effect can be derived again."""
        try:
            self._carry_out(all_effects)
        except Exception:
            log.exception("what follows a commit was not carried out; the reconciler makes it good")

    def _carry_out(self, all_effects: Sequence[Effects]) -> None:
        self._publisher.publish([each.event for each in all_effects if each.event is not None])
        if book := [each.book for each in all_effects if each.book is not None]:
            self._book.change(*book)
        due: dict[int, list[UUID]] = {}
        for each in all_effects:
            if each.dispatch_ms is not None:
                due.setdefault(each.dispatch_ms, []).append(each.order_id)
        for delay_ms, order_ids in due.items():
            self._wake(order_ids, delay_ms)
        if any(each.plan_due for each in all_effects):
            wake_plans()
        for kind, many in Counter(each.accepted for each in all_effects if each.accepted is not None).items():
            ACCEPTED[kind].inc(many)
        for status, many in Counter(each.final for each in all_effects if each.final is not None).items():
            FINALS[status].inc(many)

    def _wake(self, order_ids: Sequence[UUID], delay_ms: int) -> None:
        try:
            self._dispatch(order_ids, delay_ms)
        except BROKER_AWAY as error:
            metrics.DISPATCHES_LOST.inc(len(order_ids))
            log.warning("%d orders not dispatched, the reconciler will: %s", len(order_ids), error)
