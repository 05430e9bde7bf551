"""UUIDv7 (RFC 9562 section 5.7): ids that sort by the time they were made, so that new orders share index pages."""

import threading
import time
from datetime import datetime
from random import getrandbits
from uuid import UUID

_TICKS_PER_MS = 1 << 12
_lock = threading.Lock()
_last = 0


def uuid7_at(seconds: float) -> UUID:
    """The least id of that time (since 1970)."""
    return UUID(int=(int(seconds * 1000) & (1 << 48) - 1) << 80 | 0x7 << 76 | 0b10 << 62)


def seconds_of(made: UUID) -> float:
    """The time that the id carries (since 1970)."""
    return (made.int >> 80) / 1000


def uuid7() -> UUID:
    """The moment to 244 ns (section 6.2, method 3) and 62 random bits.

    Ids of one process always grow, also within one tick of the clock and after the clock is set back (section 6.2: "Clock
    rollbacks"): then they continue from the last one.
    """
    global _last
    ticks = time.time_ns() * _TICKS_PER_MS // 1_000_000
    with _lock:
        ticks = _last = max(ticks, _last + 1)
    value = (ticks >> 12 & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (ticks & _TICKS_PER_MS - 1) << 64
    # Not from the system's source, which is a system call each: an id is a name, not a secret.
    value |= 0b10 << 62 | getrandbits(62)
    return UUID(int=value)


def first_id(at: datetime) -> UUID:
    """Below every id made at that moment or later: turns a range of time into a range of the primary key."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def uuid_of(text: str) -> UUID | None:
    """The id that a client wrote; None where the text is no UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None
