"""Whether the disk has room for the engine's data."""

import shutil
from pathlib import Path

MIB = 1024 * 1024
FRESH_BYTES = 256 * MIB
"""A new cluster takes 45 MB and two WAL segments of 16 MB; the remainder is room for the first orders and logs."""
START_BYTES = 64 * MIB
"""For what is there already: recovery may write two WAL segments of 16 MB, Redis its file anew."""
FULL_BYTES = 32 * MIB
"""Less is full: Postgres needs the next WAL segment of 16 MB at any moment."""


def free(folder: Path) -> int:
    """Bytes that a plain user may still write."""
    return shutil.disk_usage(folder).free


def shortage(folder: Path, *, fresh: bool) -> str | None:
    """Why an engine cannot start in that folder, in one line; None when there is room."""
    needed, found = FRESH_BYTES if fresh else START_BYTES, free(folder)
    if found >= needed:
        return None
    return (
        f"the disk of {folder} is full: {found // MIB} MB are free and a start needs {needed // MIB} MB:"
        " free some or set another DATA_DIR"
    )
