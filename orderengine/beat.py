"""Beat's schedule: kept in the database by django-celery-beat, seen and changed in the admin.

Two things it does not do for itself (django-celery-beat #673): a schedule in `beat_schedule` loses its fraction of a
second, so the entries are made here with intervals of microseconds; and it asks the database for changes at every turn
of its loop, which sub-second entries turn dozens of times a second, so it is asked at most once a second.
"""

import logging
import time
from typing import Any

from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from runtime.liveness import touch

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
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
