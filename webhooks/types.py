"""The types of events that are sent. Pure."""

from collections.abc import Iterable

from orders.alerts import AlertKind
from orders.lifecycle import FINAL, Status
from orders.plans.values import ENDED, PlanStatus

TYPES: tuple[str, ...] = (
    *(f"order.{status.value}" for status in Status),
    *(f"plan.{status.value}" for status in PlanStatus),
    *(f"alert.{kind.value}" for kind in AlertKind),
)
DEFAULT: tuple[str, ...] = (
    *(f"order.{status.value}" for status in Status if status in FINAL),
    *(f"plan.{status.value}" for status in PlanStatus if status in ENDED),
    *(f"alert.{kind.value}" for kind in AlertKind),
)
"""What ends, and what somebody should look at."""


def message_id(subject: object, seq: int, kind: str) -> str:
    """`webhook-id`: the same however often an event is sent. An alert that follows from an event has its name behind."""
    area, _, name = kind.partition(".")
    return f"{subject}.{seq}.{name}" if area == "alert" else f"{subject}.{seq}"


def unknown(types: Iterable[str]) -> list[str]:
    return [each for each in types if each not in TYPES]
