"""The life of an order: one table of what may follow what. Pure.

`SUCCESSORS` can be read and drawn (`docs/lifecycle.md` is generated from it); everything else asks `advance`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    PENDING = "pending"
    ROUTING = "routing"
    BUILDING = "building"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Event(StrEnum):
    CLAIM = "claim"
    """An executor takes the order; it counts as an attempt."""
    BUILD = "build"
    """A venue is chosen."""
    SUBMIT = "submit"
    """The signed transaction is committed; sending it comes after."""
    CONFIRM = "confirm"
    """The transaction landed and traded."""
    RETRY = "retry"
    """This attempt failed in a way that another may not; nothing of it can land any more."""
    REST = "rest"
    """The market moved back: the order waits for its trigger again."""
    RELEASE = "release"
    """The owner stopped or crashed before anything was committed to be sent."""
    FAIL = "fail"
    """No further attempt; nothing of any attempt landed. The order becomes a dead letter."""
    CANCEL = "cancel"
    EXPIRE = "expire"
    """It waited past its time; or its one attempt (`timeInForce: ioc`) came to nothing, and nothing of it can land any more."""
    AMEND = "amend"
    REQUEUE = "requeue"
    """An operator sends a failed order round again."""


class IllegalTransition(Exception):
    """The event cannot happen to an order in this status."""


SUCCESSORS: Mapping[Status, Mapping[Event, Status]] = MappingProxyType(
    {
        Status.PENDING: {
            Event.CLAIM: Status.ROUTING,
            Event.AMEND: Status.PENDING,
            Event.CANCEL: Status.CANCELLED,
            Event.EXPIRE: Status.EXPIRED,
        },
        Status.ROUTING: {
            Event.BUILD: Status.BUILDING,
            Event.RETRY: Status.PENDING,
            Event.REST: Status.PENDING,
            Event.RELEASE: Status.PENDING,
            Event.FAIL: Status.FAILED,
            Event.EXPIRE: Status.EXPIRED,
        },
        Status.BUILDING: {
            Event.SUBMIT: Status.SUBMITTED,
            Event.RETRY: Status.PENDING,
            Event.REST: Status.PENDING,
            Event.RELEASE: Status.PENDING,
            Event.FAIL: Status.FAILED,
            Event.EXPIRE: Status.EXPIRED,
        },
        Status.SUBMITTED: {
            Event.CONFIRM: Status.CONFIRMED,
            Event.RETRY: Status.PENDING,
            Event.REST: Status.PENDING,
            Event.FAIL: Status.FAILED,
            Event.EXPIRE: Status.EXPIRED,
        },
        Status.CONFIRMED: {},
        Status.FAILED: {Event.REQUEUE: Status.PENDING},
        Status.CANCELLED: {},
        Status.EXPIRED: {},
    }
)

FINAL = frozenset({Status.CONFIRMED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
"""Nothing follows by itself; only an operator's requeue leads out of `failed`."""


def advance(status: Status, event: Event) -> Status:
    """The status after the event. Raises `IllegalTransition`."""
    try:
        return SUCCESSORS[status][event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to an order that is {status}") from None
