"""What a process does for its metrics beside its work."""

import logging
import threading
from pathlib import Path
from uuid import UUID

from django.db import connections

from runtime import metrics, slots

log = logging.getLogger(__name__)
RETRY_S = 30.0
"""Until a folder that could not be used, mostly for a full disk, is tried again."""


def share_metrics(folder: Path, kind: str) -> None:
    """From now on every scrape sees this process. Where the folder cannot be used it works unseen until it can."""
    try:
        slots.take(folder, kind)
    except (OSError, slots.SlotsFull) as error:
        log.warning("the metrics of this process are not shared: %s", error)
        again = threading.Timer(RETRY_S, share_metrics, (folder, kind))
        again.daemon = True
        again.start()


def accepted_at(order_id: UUID) -> float:
    """Unix time in seconds: an id begins with the moment it was made (UUIDv7, RFC 9562)."""
    return (order_id.int >> 80) / 1000


class PoolWaits:
    """Counts on from what Django's connection pool says of itself."""

    def __init__(self) -> None:
        self._counted = (0, 0)

    def count(self) -> None:
        pool = getattr(connections["default"], "pool", None)
        stats = pool.get_stats() if pool is not None else {}
        now = (stats.get("requests_queued", 0), stats.get("requests_wait_ms", 0))
        metrics.POOL_WAITS.inc(max(0, now[0] - self._counted[0]))
        metrics.POOL_WAIT_SECONDS.inc(max(0, now[1] - self._counted[1]) / 1000)
        self._counted = now
