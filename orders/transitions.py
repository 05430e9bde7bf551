"""The one builder of changes: what an event does to an order beside its status. Pure."""

from msgspec import UNSET

from orders.events import DATA_OF, GATE_UNKNOWN, Data, ReleaseData, RequeueData, RestData
from orders.ledger.values import Attempts, Change, Letter, Position
from orders.lifecycle import Event, Status, advance
from routing.values import Swap


def transition(
    order: Position,
    event: Event,
    data: Data,
    *,
    delay_ms: int | None = None,
    intent: Swap | None = None,
    resolved: tuple[str, str] | None = None,
) -> Change:
    """The change that makes the event happen to an order that stands at `order`.

    `delay_ms`: for `pending`, milliseconds from now before which the order is not executed. `intent` belongs to
    `Event.SUBMIT`; `resolved` is (signature, `Resolution`) of the intent whose outcome the event records.

    Raises `IllegalTransition` where the order's status does not allow the event, `TypeError` where the data are another
    event's.
    """
    if not isinstance(data, DATA_OF[event]):
        raise TypeError(f"the data of {event} are {DATA_OF[event].__name__}, not {type(data).__name__}")
    was = Status(order.status)
    resting = event in (Event.REST, Event.AMEND) or isinstance(data, RequeueData) and data.resting is True
    return Change(
        order_id=order.id,
        account_id=order.account_id,
        epoch=order.epoch,
        seq=order.seq + 1,
        was=was,
        event=event,
        status=advance(was, event),
        data=data,
        delay_ms=delay_ms,
        resting=resting,
        attempts=attempts_after(event, data),
        new_epoch=event is Event.REQUEUE,
        letter=LETTERS.get(event),
        intent=intent,
        resolved=resolved,
        gates_unknown=isinstance(data, RestData) and data.reason == GATE_UNKNOWN,
    )


LETTERS = {Event.FAIL: Letter.OPEN, Event.REQUEUE: Letter.RESOLVE}


def attempts_after(event: Event, data: Data) -> Attempts:
    """An order that rests again, or that is sent round again, has all its attempts; stopping an executor costs none."""
    if event in (Event.REST, Event.AMEND, Event.REQUEUE):
        return Attempts.RESET
    if isinstance(data, ReleaseData) and data.handover is not UNSET:
        return Attempts.REFUND
    return Attempts.KEEP
