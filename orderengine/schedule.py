"""The engine's own entries in beat's schedule, and what an operator may change about them.

An operator may tune a period within the bounds below. Anything else that stops or floods the engine's own tasks (a deleted
entry or interval, a disabled entry, another task or queue, a period out of bounds) is put back and logged.
"""

import logging
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

log = logging.getLogger(__name__)

MIN_PERIOD_S = 0.1
"""For every interval entry, an operator's own included: faster entries keep beat and the broker busy with nothing else."""
MAX_PERIOD_FACTOR = 3
"""A longer period than three times the default counts as a stopped task: `/readyz` calls prices and triggers still by then."""
MAX_WAITING = 20
"""Messages on a queue beyond which beat sends no more of the engine's ticks there: the waiting ones do the same work.

It replaces an expiry time in the messages, which a worker would compare with a clock that may differ from beat's.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    task: str
    queue: str
    period_ms: int

    def fields(self) -> dict[str, Any]:
        """What must hold whatever an operator does, the interval apart."""
        return {
            "task": self.task,
            "queue": self.queue,
            "enabled": True,
            "one_off": False,
            "start_time": None,
            "expires": None,
            "expire_seconds": None,
            "args": "[]",
            "kwargs": "{}",
            "crontab": None,
            "solar": None,
            "clocked": None,
            "exchange": None,
            "routing_key": None,
        }

    def accepts(self, interval: IntervalSchedule | None) -> bool:
        if interval is None:
            return False
        period_s: float = interval.schedule.run_every.total_seconds()
        return MIN_PERIOD_S <= period_s <= MAX_PERIOD_FACTOR * self.period_ms / 1000


ENTRIES = (
    Entry("poll_quotes", "quotes", 500),
    Entry("reconcile", "dbsync", 1_000),
    Entry("expire_orders", "dbsync", 500),
    Entry("keep_book", "dbsync", 1_000),
    Entry("step_plans", "dbsync", 500),
    Entry("keep_books", "dbsync", 1_000),
    Entry("prune", "dbsync", 600_000),
)
OWN_TASKS = frozenset(entry.task for entry in ENTRIES)


def ensure_schedule() -> list[str]:
    """Makes the engine's entries where they are missing and repairs the others; the names of those it changed."""
    held = {row.name: row for row in PeriodicTask.objects.filter(name__in=OWN_TASKS).select_related("interval")}
    return [entry.task for entry in ENTRIES if _repair(entry, held.get(entry.task))]


def _repair(entry: Entry, row: PeriodicTask | None) -> bool:
    fields = entry.fields()
    wrong = [] if row is None else [name for name, value in fields.items() if getattr(row, name) != value]
    if row is not None and not entry.accepts(row.interval):
        wrong.append("interval")
    if row is not None and not wrong:
        return False
    with transaction.atomic():
        if row is None or "interval" in wrong:
            fields["interval"] = _interval(entry.period_ms)
        PeriodicTask.objects.update_or_create(name=entry.task, defaults=fields)
    if row is not None and wrong != ["expire_seconds"]:
        log.warning("the schedule's entry %s is put right: %s", entry.task, ", ".join(wrong))
    return True


def _interval(period_ms: int) -> IntervalSchedule:
    wanted = {"every": period_ms * 1000, "period": IntervalSchedule.MICROSECONDS}
    # Nothing keeps two rows from being equal, so `get_or_create` could raise.
    found: IntervalSchedule | None = IntervalSchedule.objects.filter(**wanted).first()
    return found or IntervalSchedule.objects.create(**wanted)
