"""A file that a living process touches, for health checks from outside the process (`ALIVE_FILE`; unset: nothing)."""

import os
from pathlib import Path

PERIOD_S = 5.0


def touch() -> None:
    if file := os.environ.get("ALIVE_FILE"):
        Path(file).touch()
