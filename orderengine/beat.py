"""Beat's schedule: kept in the database by django-celery-beat, seen and changed in the admin.

What this scheduler adds:
- Periods below a second. A schedule in `beat_schedule` loses its fraction of a second (django-celery-beat #673), so
  `orderengine.schedule` makes the entries with intervals of microseconds.
- Few queries: it asks the database for changes at most once a second instead of at every turn of its loop.
- Few turns: one turn sends all that is due, and intervals keep step with the clock, so that tasks of the same period are
  due together.
- A wall clock that is stepped: a time of the last run that lies in the future is no reason to wait for it.
- Protection of the engine's own entries, and a least period for all.
"""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedule
from celery.utils.time import maybe_make_aware
from django.db import DatabaseError, InterfaceError
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from orderengine.schedule import MAX_WAITING, MIN_PERIOD_S, OWN_TASKS, ensure_schedule
from runtime.broker import messages_waiting
from runtime.liveness import touch

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
PROTECT_EVERY_S = 20.0
"""Between two looks at whether the engine's own entries are as they must be; one query each."""
CATCH_UP_S = 0.05
"""What a run may come early to get into step. Small: two polls must not come too close, nor a daily task leave its hour."""

SENT_AS_THEY_ARE: dict[str, Any] = {"declare": (), "argsrepr": "()", "kwargsrepr": "{}"}
"""The engine's own tasks have no arguments, and whoever consumes a queue has declared it: a third of a message's cost."""


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._asked_at = self._protected_at = 0.0
        self._sent_at: dict[str, float] = {}
        self._skipped: set[str] = set()
        self._room: dict[str, int] = {}
        """How many more messages may be sent to a queue before it is asked how many wait there."""
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        self._protect()
        super().setup_schedule()

    def schedule_changed(self) -> bool:
        touch()
        if time.monotonic() - self._asked_at < ASK_EVERY_S:
            return False
        self._asked_at = time.monotonic()
        if time.monotonic() - self._protected_at >= PROTECT_EVERY_S:
            self._protect()
        seen = self._last_timestamp
        later = bool(super().schedule_changed())
        # The time of a change is that of the clock of whoever changed something; it may lie before the one seen last.
        return later or (seen is not None and self._last_timestamp != seen)

    def _protect(self) -> None:
        """Puts the engine's own entries right. Postgres may be away: the next look comes soon."""
        self._protected_at = time.monotonic()
        try:
            ensure_schedule()
        except (DatabaseError, InterfaceError) as error:
            if self._schedule is None:
                raise
            log.warning("the schedule cannot be checked: %s", error)

    def tick(self, *_: Any, **__: Any) -> float:
        """Sends every task that is due; returns the seconds until the next one is."""
        # All are reserved before any is sent: sending takes its time, and the rhythm is kept.
        due = [self.reserve(entry) for entry in [*self.schedule.values()] if self.wait_s(entry) <= 0]
        full = self._full_queues(due)
        for entry in due:
            if entry.task not in OWN_TASKS or entry.options.get("queue") not in full:
                self.apply_entry(entry, producer=self.producer)
        waits: list[float] = [self.max_interval, *map(self.wait_s, self._schedule.values())]
        return min(waits)

    def _full_queues(self, due: list[ModelEntry]) -> set[str]:
        """Queues of the engine's tasks on which enough of them wait already."""
        queues = {str(entry.options.get("queue")) for entry in due if entry.task in OWN_TASKS}
        full = {queue for queue in queues if self._room_for(queue, due) <= 0}
        if newly := full - self._skipped:
            log.warning("nobody works on %s: no more ticks are sent there", ", ".join(sorted(newly)))
        self._skipped = (self._skipped - queues) | full
        return full

    def _room_for(self, queue: str, due: list[ModelEntry]) -> int:
        """How many messages fit there. It is asked only when what was sent since the last question may have filled it."""
        if self._room.get(queue, 0) <= 0:
            self._room[queue] = MAX_WAITING - (messages_waiting(queue) or 0)
        room = self._room[queue]
        self._room[queue] = room - sum(entry.options.get("queue") == queue for entry in due)
        return room

    def wait_s(self, entry: ModelEntry) -> float:
        """Seconds until the task is to be looked at again; 0: it is due."""
        try:
            trust_last_run(entry)
            is_due, seconds = self.is_due(entry)
            if is_due and type(entry.schedule) is schedule:
                since_s = time.monotonic() - self._sent_at.get(entry.name, float("-inf"))
                return max(0.0, MIN_PERIOD_S - since_s)
        except Exception:
            # One entry that cannot be understood must not stop the others.
            log.exception("when is %s due?", entry.name)
            return float(self.max_interval)
        return 0 if is_due else float(seconds)

    def reserve(self, entry: ModelEntry) -> ModelEntry:
        self._sent_at[entry.name] = time.monotonic()
        reserved = self._schedule[entry.name] = super().reserve(entry)
        if entry.task in OWN_TASKS:
            reserved.options |= SENT_AS_THEY_ARE
        if type(reserved.schedule) is schedule:
            at = in_step(reserved.last_run_at, reserved.schedule.seconds)
            reserved.last_run_at = reserved.model.last_run_at = at
        return reserved


def trust_last_run(entry: ModelEntry) -> None:
    """Corrects a time of the last run that lies in the future: the clock was set back since.

    An interval task is due then. A task of certain hours counts as having run now, so that it keeps its hours.
    """
    now = maybe_make_aware(entry._default_now())
    if maybe_make_aware(entry.last_run_at) > now:
        log.warning("the clock was set back: the last run of %s lies in the future", entry.name)
        is_interval = type(entry.schedule) is schedule
        entry.last_run_at = entry.model.last_run_at = now - entry.schedule.run_every if is_interval else now


def in_step(now: datetime, period_s: float) -> datetime:
    """What counts as the time of an interval task's run, so that the next ones come nearer to the period's multiples."""
    late_s = now.timestamp() % period_s if period_s else 0
    return now - timedelta(seconds=min(late_s, period_s / 10, CATCH_UP_S))
