"""`python -m orderengine.container NAME`: becomes one process of the engine, where each runs in a container of its own.

The commands are those of `make run` (`orderengine.host.processes`); only the web process opens its port itself.
"""

import os
import sys

from orderengine import secret_files
from orderengine.host import processes

QUEUES = {"quotes": 4, "limit": 4, "sniper": 4, "dbsync": 4}
"""Workers beside the order workers, with their threads."""
NAMES = ("web", "orders", *QUEUES, "beat", "flower", "migrate")


def command(name: str) -> list[str]:
    """Raises `ValueError` for an unknown name or a variable that cannot be read."""
    if name == "web":
        return processes.web("--host", "0.0.0.0", "--port", os.environ.get("PORT") or "8000")  # nosec B104
    if name == "orders":
        return processes.worker("orders", "orders", processes.count(os.environ, "ORDER_THREADS", 400))
    if name in QUEUES:
        return processes.worker(name, name, QUEUES[name])
    if name == "beat":
        return processes.beat()
    if name == "flower":
        return [sys.executable, "-m", "orderengine.host.flower"]
    if name == "migrate":
        return [sys.executable, "manage.py", "prepare", "--no-wait"]
    raise ValueError(f"there is no process {name!r}; there are {', '.join(NAMES)}")


def main() -> int:
    try:
        secret_files.load()
        found = command(sys.argv[1] if len(sys.argv) == 2 else "")
    except ValueError as error:
        print(f"orderengine: {error}", file=sys.stderr)
        return 1
    os.chdir(processes.BASE_DIR)
    os.execv(found[0], found)


if __name__ == "__main__":
    sys.exit(main())
