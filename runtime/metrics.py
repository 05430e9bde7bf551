"""Metrics of what `runtime` itself does, and the buckets that all packages share.

Label children that hot paths use are bound once, by whoever uses them: `labels()` costs more than `inc()`.
"""

from prometheus_client import Counter, Gauge, Histogram

from runtime import slots as slots  # Before the first metric: it says where their values live.

WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)
"""Buckets for durations, in seconds."""

GROUP_SIZE = Histogram(
    "orderengine_group_commit_size",
    "Items written by one statement.",
    ["group"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
GROUP_SECONDS = Histogram(
    "orderengine_group_commit_seconds", "What one statement of a group took.", ["group"], buckets=WAITS
)
POOL_WAITS = Counter("orderengine_database_pool_waits", "Requests that waited for a pooled database connection.")
POOL_WAIT_SECONDS = Counter("orderengine_database_pool_wait_seconds", "How long they waited in all.")
CLOCK_SKEW = Gauge(
    "orderengine_clock_skew_seconds",
    "Largest difference of a process's clock from that of Redis or Postgres.",
    ["against"],
    multiprocess_mode="livemax",
)
