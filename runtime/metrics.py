"""Every metric that processes count for themselves, by name.

What the database knows is computed at the scrape.

Label children that hot paths use are bound once, by whoever uses them: `labels()` costs more than `inc()`.
"""

from prometheus_client import Counter, Gauge, Histogram

from runtime import slots as slots  # Before the first metric: it says where their values live.

WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)

ACCEPTED = Counter("orderengine_orders_accepted", "Orders whose row is committed.", ["type"])
ACCEPT_SECONDS = Histogram(
    "orderengine_accept_seconds", "From a request's arrival at the intake to its answer.", buckets=WAITS
)
ANSWERS = Counter("orderengine_intake_answers", "Answers of the two intake endpoints.", ["endpoint", "status"])
RATE_LIMITED = Counter("orderengine_rate_limited", "Requests turned away by a rate limit.")
FINAL = Counter("orderengine_orders_final", "Orders that reached a final status in an executor.", ["status"])
STAGE_SECONDS = Histogram("orderengine_stage_seconds", "Time an order spends in a status.", ["stage"], buckets=WAITS)
ACCEPT_TO_CONFIRM_SECONDS = Histogram(
    "orderengine_accept_to_confirm_seconds", "Market orders: from acceptance to confirmation.", buckets=WAITS
)
IN_FLIGHT = Gauge("orderengine_executor_in_flight", "Orders in the hands of executors.", multiprocess_mode="livesum")
TRIGGER_LAG_SECONDS = Histogram(
    "orderengine_trigger_lag_seconds", "From the quote that fired an order to its claim.", buckets=WAITS
)
VENUE_ERRORS = Counter("orderengine_venue_errors", "Quotes that a venue refused or failed.", ["venue", "code"])
BREAKER_OPEN = Gauge(
    "orderengine_venue_breaker_open",
    "1 while some process's circuit breaker keeps it from a venue.",
    ["venue"],
    multiprocess_mode="livemax",
)
RETRIES = Counter("orderengine_attempts_failed", "Attempts that failed, by the error's code.", ["code"])
RESUBMITS = Counter("orderengine_resubmits", "Signed transactions sent again or looked up after a change of hands.")
FENCED = Counter("orderengine_fenced_writes", "Writes refused because the order was in other hands.")
TAKEOVERS = Counter("orderengine_takeovers", "Orders freed from dead executors.")
DISPATCHED_AGAIN = Counter("orderengine_dispatched_again", "Orders whose doorbell was lost and rung again.")
EXECUTORS_LOST = Counter("orderengine_executors_lost", "Executors declared dead.")
GROUP_SIZE = Histogram(
    "orderengine_group_commit_size",
    "Items written by one statement.",
    ["group"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
GROUP_SECONDS = Histogram(
    "orderengine_group_commit_seconds", "What one statement of a group took.", ["group"], buckets=WAITS
)
SOCKETS = Gauge("orderengine_sockets_open", "WebSockets that are served.", multiprocess_mode="livesum")
GAPS_REPAIRED = Counter("orderengine_gaps_repaired", "Events a socket read from the database after its news was lost.")
EVENTS_DROPPED = Counter("orderengine_events_dropped", "Events not published because Redis was away.")
DISPATCHES_LOST = Counter("orderengine_dispatches_lost", "Orders whose doorbell could not be sent.")
POOL_WAITS = Counter("orderengine_database_pool_waits", "Requests that waited for a pooled database connection.")
POOL_WAIT_SECONDS = Counter("orderengine_database_pool_wait_seconds", "How long they waited in all.")
CLOCK_SKEW = Gauge(
    "orderengine_clock_skew_seconds",
    "Largest difference of a process's clock from that of Redis or Postgres.",
    ["against"],
    multiprocess_mode="livemax",
)
