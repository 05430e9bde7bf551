"""How far this process' clock is from others': a metric for each, and a log line when it changes by more than a second."""

import logging
import threading
import time

from runtime import metrics

log = logging.getLogger(__name__)

MAX_QUIET_S = 1.0
"""Less is ordinary drift, or the time that the answer took."""


class Skew:
    """Of one process. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}
        self._gauges = {whose: metrics.CLOCK_SKEW.labels(whose) for whose in ("redis", "postgres")}

    def seen(self, whose: str, ahead_s: float) -> None:
        """Our clock is `ahead_s` ahead of that of `whose` (`redis`, `postgres`); negative: behind."""
        self._gauges[whose].set(abs(ahead_s))
        with self._lock:
            before = self._logged.get(whose, 0.0)
            if abs(ahead_s - before) <= MAX_QUIET_S:
                return
            self._logged[whose] = ahead_s if abs(ahead_s) > MAX_QUIET_S else 0.0
        if abs(ahead_s) > MAX_QUIET_S:
            way = "ahead of" if ahead_s > 0 else "behind"
            log.warning("clock skew: this process is %.1f s %s %s", abs(ahead_s), way, whose)
        else:
            log.info("clock skew: this process and %s agree again", whose)


skew = Skew()


def redis_lag_ms(time_answer: tuple[int, int], own_ms: float) -> int:
    """Redis' clock (the answer of TIME: seconds, microseconds) minus ours, in ms; noted as this process' skew.

    `own_ms` is read before the question is sent: then a slow answer makes what is stored look older, never fresher.
    """
    lag_ms = round(time_answer[0] * 1000 + time_answer[1] / 1000 - own_ms)
    skew.seen("redis", -lag_ms / 1000)
    return lag_ms


def now_ms() -> float:
    return time.time() * 1000
