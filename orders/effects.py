"""What follows a committed change: events published, the trigger book changed, work dispatched, counters. Pure.

Every writer asks here, and `orders.aftercommit` carries the answer out. All of it is best effort: what is lost, sockets read
from the database, the keeper of the book puts right and the reconciler dispatches.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from msgspec import UNSET

from orders.events import AcceptData, AnyEvent, CommittedEvent, RestData
from orders.ledger.values import MARKET, Accepted, Change, Claimed, NewOrder, Recorded
from orders.lifecycle import FINAL, Event, Status
from orders.resting.placement import arm_again, left, rest_of
from triggers.changes import Arm, Left


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What follows one event of one order."""

    order_id: UUID
    event: AnyEvent | None = None
    """To be published."""
    book: Arm | Left | None = None
    """The change of the trigger book."""
    dispatch_ms: int | None = None
    """A worker is to be woken for the order after so many milliseconds; None: not at all."""
    accepted: str | None = None
    """The type of an order that is new, to be counted."""
    final: Status | None = None
    """The final status that the order reached, to be counted."""
    plan_due: bool = False
    """A step of the order's plan is due."""


def effects(change: Change, row: Recorded) -> Effects:
    """What follows a change that was recorded."""
    return Effects(
        order_id=change.order_id,
        event=CommittedEvent.of(change, row),
        book=book_change(change, row),
        dispatch_ms=dispatch_after(change),
        final=change.status if change.status in FINAL else None,
        plan_due=row.plan_id is not None and (change.status in FINAL or change.status is Status.PENDING),
    )


def followed(changes: Sequence[Change], recorded: Sequence[Recorded | None]) -> list[Effects]:
    """What follows those of the changes that were recorded."""
    return [effects(change, row) for change, row in zip(changes, recorded, strict=True) if row is not None]


def book_change(change: Change, row: Recorded) -> Arm | Left | None:
    """A market order is never in the book. Resting orders leave it when they are claimed, cancelled or expired."""
    if row.type == MARKET:
        return None
    if isinstance(change.data, RestData):
        return arm_again(change.order_id, row, change.seq, change.data)
    if change.resting:
        return Arm(rest_of(change.order_id, row, change.seq))
    if change.event in (Event.CANCEL, Event.EXPIRE):
        return left(change.order_id, row, change.seq)
    return None


def dispatch_after(change: Change) -> int | None:
    """An order that is pending and does not rest is waiting for a worker."""
    if change.status is not Status.PENDING or change.resting:
        return None
    return change.delay_ms or 0


def of_accepted(order: NewOrder, accepted: Accepted) -> Effects:
    """What follows the acceptance of a new order."""
    resting = order.resting
    return Effects(
        order_id=order.id,
        event=CommittedEvent(order.id, order.account_id, 1, Status.PENDING, accepted.created_at, accept_data(order)),
        book=Arm(rest_of(order.id, order, 1)) if resting else None,
        dispatch_ms=None if resting else 0,
        accepted=order.type,
    )


def accept_data(order: NewOrder) -> AcceptData:
    """The data of its event 1, as `accept.sql` writes them."""
    return AcceptData(
        resting=True if order.resting else UNSET, request_id=UNSET if order.request_id is None else order.request_id
    )


def of_claimed(order: Claimed) -> Effects:
    """What follows a claim. A submitted order changes its owner without an event."""
    event = None
    if order.event is not None:
        event = CommittedEvent(order.id, order.account_id, order.seq, order.status, order.at, order.event)
    book = None if order.type == MARKET else left(order.id, order, order.seq)
    return Effects(order_id=order.id, event=event, book=book)


def of_disowned(order_ids: Iterable[UUID]) -> list[Effects]:
    """Submitted orders without an owner wait for the next one; nothing happened to them, so there is no event."""
    return [Effects(order_id=order_id, dispatch_ms=0) for order_id in order_ids]
