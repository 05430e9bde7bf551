"""The line of a log that says why a start failed."""

import json
import re
from pathlib import Path

TELLING = re.compile(
    r"FATAL|PANIC|ERROR|CRITICAL|[Ff]atal|[Ff]ailed|\w*(?:Error|Exception|Full)\b|\berror:|[Cc]annot|[Cc]an't|[Rr]efused"
    r"|No space left|[Nn]ot (?:found|permitted)|denied|must "
)
NOISE = re.compile(
    r"the database system is (?:starting up|shutting down|not yet accepting)"
    r"|couldn't get a connection after|reconnection attempt in pool"
    r"|terminating connection due to administrator command|For help, use|Try '.*' for help|^Traceback|^\s+File \""
)
MAX_BYTES = 64 * 1024
"""Read from a log's end."""


def of(text: str) -> str:
    """The last line that names an error, else the last line; "" of an empty text. Of a JSON line what it says."""
    lines = [said for line in text.splitlines() if (said := plain(line)) and not NOISE.search(said)]
    telling = [line for line in lines if TELLING.search(line)]
    return [*lines[-1:], *telling[-1:]][-1] if lines else ""


def plain(line: str) -> str:
    line = line.strip()
    if not line.startswith("{"):
        return line
    try:
        said = json.loads(line)
        exception = str(said.get("exception", "")).strip().splitlines()[-1:]
        return " ".join([*str(said.get("event", "")).strip().splitlines()[:1], *exception]).strip()
    except (ValueError, AttributeError):
        return line


class Logs:
    """The logs of a folder, as far as they were written since this object was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = {file.name: file.stat().st_size for file in folder.glob("*.log")}

    def reason(self, name: str) -> str:
        """Of the log of that name; where it says nothing new, its path."""
        file = self._folder / f"{name}.log"
        try:
            size = file.stat().st_size
            start = self._before.get(file.name, 0)
            with file.open("rb") as stream:
                # A file that is shorter than before was begun anew.
                stream.seek(max(start if size >= start else 0, size - MAX_BYTES))
                found = of(stream.read().decode(errors="replace"))
        except OSError:
            found = ""
        return found or f"see {file}"
