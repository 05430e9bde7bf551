"""How the mock chain fails: on command, kept in its store so that it holds for every process, and at random."""

import random
import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Fault(StrEnum):
    DROP = "drop"
    """Accepts the call and loses the transaction; the same bytes may be sent again and then land."""
    DELAY = "delay"
    """Lands later than usual, or never when that is past the validity."""
    LAND_THEN_TIMEOUT = "land_then_timeout"
    """Takes the transaction and gives no answer."""
    REFUSE = "refuse"
    """Refuses these bytes for good."""


_TRANSIENT = (Fault.DROP, Fault.LAND_THEN_TIMEOUT, Fault.REFUSE)
"""What the general failure rate is made of, in equal parts."""


@dataclass(slots=True)
class Command:
    """One fault that was put in force."""

    fault: Fault
    probability: float
    remaining: int | None
    delay: timedelta


class Faults:
    """The faults in force during one write transaction."""

    def __init__(self, db: sqlite3.Connection, *, rng: random.Random, failure_rate: float) -> None:
        rows = db.execute("SELECT fault, probability, remaining, delay_us FROM faults ORDER BY fault")
        self._commands = [Command(Fault(row[0]), row[1], row[2], timedelta(microseconds=row[3])) for row in rows]
        self._rng = rng
        self._failure_rate = failure_rate

    def draw(self) -> tuple[Fault | None, timedelta]:
        """The fault of one submission, if any, and how much later it lands."""
        for command in self._commands:
            if command.remaining != 0 and self._rng.random() < command.probability:
                if command.remaining is not None:
                    command.remaining -= 1
                return command.fault, command.delay
        if self._failure_rate and self._rng.random() < self._failure_rate:
            return self._rng.choice(_TRANSIENT), timedelta(0)
        return None, timedelta(0)

    def save(self, db: sqlite3.Connection) -> None:
        """Writes back how many of each are left."""
        counted = [(command.remaining, command.fault) for command in self._commands if command.remaining is not None]
        db.executemany("UPDATE faults SET remaining = ? WHERE fault = ?", counted)


def give(db: sqlite3.Connection, fault: Fault, *, probability: float, count: int | None, delay_s: float) -> None:
    """Puts the fault in force in place of what was said of it before; `count` of 0 ends it."""
    delay_us = round(delay_s * 1_000_000) if fault is Fault.DELAY else 0
    db.execute(
        "INSERT OR REPLACE INTO faults (fault, probability, remaining, delay_us) VALUES (?, ?, ?, ?)",
        (fault, probability, count, delay_us),
    )


def clear(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM faults")
