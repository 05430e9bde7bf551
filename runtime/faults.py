"""Crash points: named places in the code path where a test may have the process killed as if by `kill -9`.

`CRASH_AT` is set by tests alone; unset, `crash_point` costs one comparison. It is `name` or `name:N` (the Nth passage of
each process), or the path of a file that a test writes while the engine runs: it holds `name` or `name SIGNAL`, and the
first process to pass that point takes the file away, leaving its pid in `{path}.fired`, and gets the signal.
The names are where `crash_point` is called; `tests.chaos.faults` lists them, and a test compares the two.
"""

import itertools
import os
import signal
from pathlib import Path

_setting = os.environ.get("CRASH_AT", "")
_file = Path(_setting) if _setting.startswith("/") else None
_wanted, _, _count = ("", "", "") if _file else _setting.partition(":")
_passages = itertools.count(1)


def crash_point(name: str) -> None:
    """Kills this process here if a test has asked for it."""
    if _wanted == name and next(_passages) == int(_count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if _file is not None:
        _obey(_file, name)


def _obey(file: Path, name: str) -> None:
    try:
        point, _, wanted = file.read_text().strip().partition(" ")
        if point != name:
            return
        # Of several that pass at once one wins the name.
        mine = file.with_suffix(f".{os.getpid()}")
        file.rename(mine)
    except FileNotFoundError:
        return
    mine.write_text(str(os.getpid()))
    mine.rename(file.with_suffix(".fired"))
    os.kill(os.getpid(), signal.Signals[f"SIG{wanted or 'KILL'}"])
