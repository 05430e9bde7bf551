"""UUIDv7 (RFC 9562 section 5.7): ids that sort by the time they were made, so that new orders share index pages."""

import time
from datetime import datetime
from random import getrandbits
from uuid import UUID


def uuid7_at(seconds: float) -> UUID:
    """The smallest UUIDv7 of that time (seconds since 1970)."""
    return UUID(int=(int(seconds * 1000) & (1 << 48) - 1) << 80 | 0x7 << 76 | 0b10 << 62)


def uuid7() -> UUID:
    """A new id: the moment to 244 ns (section 6.2, method 3), so that ids of one millisecond sort, and 62 random bits."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (nanoseconds << 12) // 1_000_000 << 64
    # The system's source of randomness costs a system call for each id, and an id is a name, not a secret.
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
