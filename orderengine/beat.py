"""Beat's schedule: kept in the database by django-celery-beat, seen and changed in the admin.

Three things it does not do for itself. A schedule in `beat_schedule` loses its fraction of a second (django-celery-beat
#673), so the entries are made here with intervals of microseconds. It asks the database for changes at every turn of its
loop: here at most once a second. And it turns several times for every task, waking early and for each on its own; here
one turn sends all that is due, and intervals keep step with the clock, so tasks of the same rhythm are due together.
"""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedule
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from runtime.liveness import touch

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
CATCH_UP_S = 0.05
"""What a run may come early to get into step. Small: two polls must not come too close, nor a daily task leave its hour."""
SCHEDULE_MS = {
    "poll_quotes": ("quotes", 500),
    "reconcile": ("dbsync", 1_000),
    "expire_orders": ("dbsync", 500),
    "keep_book": ("dbsync", 1_000),
    "prune": ("dbsync", 600_000),
}


def ensure_schedule() -> None:
    """Makes the engine's entries where they are missing; what an operator changed stays."""
    for task, (queue, period_ms) in SCHEDULE_MS.items():
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=period_ms * 1000, period=IntervalSchedule.MICROSECONDS
        )
        PeriodicTask.objects.get_or_create(
            name=task,
            defaults={
                "task": task,
                "interval": interval,
                "queue": queue,
                # A tick nobody took in time is worth nothing: the next one does its work.
                "expire_seconds": max(1, 2 * period_ms // 1000),
            },
        )


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._asked_at = 0.0
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        ensure_schedule()
        super().setup_schedule()

    def schedule_changed(self) -> bool:
        touch()
        if time.monotonic() - self._asked_at < ASK_EVERY_S:
            return False
        self._asked_at = time.monotonic()
        return bool(super().schedule_changed())

    def tick(self, *_: Any, **__: Any) -> float:
        """Sends every task that is due; returns the seconds until the next one is."""
        # All are reserved before any is sent: sending takes its time, and the rhythm is kept.
        due = [self.reserve(entry) for entry in [*self.schedule.values()] if self.wait_s(entry) <= 0]
        for entry in due:
            self.apply_entry(entry, producer=self.producer)
        waits: list[float] = [self.max_interval, *map(self.wait_s, self._schedule.values())]
        return min(waits)

    def wait_s(self, entry: ModelEntry) -> float:
        """Seconds until the task is to be looked at again; 0: it is due."""
        try:
            is_due, seconds = self.is_due(entry)
        except Exception:
            # One entry that cannot be understood must not stop the others.
            log.exception("when is %s due?", entry.name)
            return float(self.max_interval)
        return 0 if is_due else float(seconds)

    def reserve(self, entry: ModelEntry) -> ModelEntry:
        reserved = self._schedule[entry.name] = super().reserve(entry)
        if type(reserved.schedule) is schedule:
            at = in_step(reserved.last_run_at, reserved.schedule.seconds)
            reserved.last_run_at = reserved.model.last_run_at = at
        return reserved


def in_step(now: datetime, period_s: float) -> datetime:
    """What counts as the time of an interval task's run, so that the next ones come nearer to the period's multiples."""
    late_s = now.timestamp() % period_s if period_s else 0
    return now - timedelta(seconds=min(late_s, period_s / 10, CATCH_UP_S))
