"""The mock world's clock: one for all processes of a machine, which no step of a wall clock moves.

Chain and prices are functions of time. By the wall clocks of the processes, one whose clock was stepped would wait a day for its
transaction to land, or see another market than the one that the chain settles at.
"""

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from routing.clock import Clock, utc_now

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_EPOCH = datetime.fromtimestamp(0, UTC)


def shared_clock(directory: Path) -> Clock:
    """The clock of the world in `directory`; of a machine that names no boot (other than Linux), the wall clock.

    It counts from the machine's boot. The first process after a boot writes down by its wall clock when that was; the others
    read it.
    """
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return utc_now
    booted_us = _booted_us(directory, boot)

    def now() -> datetime:
        return _EPOCH + timedelta(microseconds=booted_us + _since_boot_us())

    return now


def _since_boot_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


def _booted_us(directory: Path, boot: str) -> int:
    """When the machine booted, as this world knows it, in microseconds since 1970."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"booted-{boot}"
    if not file.exists():
        draft = directory / f"{file.name}.{os.getpid()}.{threading.get_ident()}"
        draft.write_text(str(time.time_ns() // 1_000 - _since_boot_us()))
        with suppress(FileExistsError):
            os.link(draft, file)  # Complete or not at all, and the first one stays.
        draft.unlink()
    return int(file.read_text())
