"""Metrics of venues, which every process counts for itself.

Label children that hot paths use are bound once, by whoever uses them: `labels()` costs more than `inc()`.
"""

from prometheus_client import Counter, Gauge

from runtime import slots as slots  # Before the first metric: it says where their values live.

VENUE_ERRORS = Counter("orderengine_venue_errors", "Quotes that a venue refused or failed.", ["venue", "code"])
BREAKER_OPEN = Gauge(
    "orderengine_venue_breaker_open",
    "1 while some process's circuit breaker keeps it from a venue.",
    ["venue"],
    multiprocess_mode="livemax",
)
