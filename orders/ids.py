"""UUIDv7 (RFC 9562 section 5.7): ids that sort by the time they were made, so that new orders share index pages."""

import os
import time
from datetime import datetime
from uuid import UUID


def uuid7() -> UUID:
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random >> 64 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return UUID(int=value)


def first_id_of(at: datetime) -> UUID:
    """Below every id made at that moment or later: turns a range of time into one of the primary key."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
