"""Metrics of orders, which every process counts for itself. What the database knows, the scrape computes (`orders.http.metrics`).

Label children that hot paths use are bound once, by whoever uses them: `labels()` costs more than `inc()`.
"""

from prometheus_client import Counter, Gauge, Histogram

from runtime.metrics import WAITS

ACCEPTED = Counter("orderengine_orders_accepted", "Orders whose row is committed.", ["type"])
ACCEPT_SECONDS = Histogram(
    "orderengine_accept_seconds", "From a request's arrival at the intake to its answer.", buckets=WAITS
)
ANSWERS = Counter("orderengine_intake_answers", "Answers of the two intake endpoints.", ["endpoint", "status"])
RATE_LIMITED = Counter("orderengine_rate_limited", "Requests turned away by a rate limit.")
FINAL = Counter("orderengine_orders_final", "Orders that reached a final status.", ["status"])
STAGE_SECONDS = Histogram("orderengine_stage_seconds", "Time an order spends in a status.", ["stage"], buckets=WAITS)
ACCEPT_TO_CONFIRM_SECONDS = Histogram(
    "orderengine_accept_to_confirm_seconds", "Market orders: from acceptance to confirmation.", buckets=WAITS
)
IN_FLIGHT = Gauge("orderengine_executor_in_flight", "Orders that executors own.", multiprocess_mode="livesum")
TRIGGER_LAG_SECONDS = Histogram(
    "orderengine_trigger_lag_seconds", "From the quote that fired an order to its claim.", buckets=WAITS
)
RETRIES = Counter("orderengine_attempts_failed", "Attempts that failed, by the error's code.", ["code"])
RESUBMITS = Counter("orderengine_resubmits", "Signed transactions sent again or looked up by another owner.")
FENCED = Counter("orderengine_fenced_writes", "Writes refused because the order has another owner or has moved on.")
TAKEOVERS = Counter("orderengine_takeovers", "Orders freed from crashed executors.")
DISPATCHED_AGAIN = Counter("orderengine_dispatched_again", "Orders whose wake-up was lost and sent again.")
EXECUTORS_LOST = Counter("orderengine_executors_lost", "Executors declared dead.")
SOCKETS = Gauge("orderengine_sockets_open", "WebSockets that are served.", multiprocess_mode="livesum")
GAPS_REPAIRED = Counter(
    "orderengine_gaps_repaired", "Events a socket read from the database after its message was lost."
)
EVENTS_DROPPED = Counter("orderengine_events_dropped", "Events not published because Redis was away.")
DISPATCHES_LOST = Counter("orderengine_dispatches_lost", "Orders whose wake-up could not be sent.")
MESSAGES_REFUSED = Counter(
    "orderengine_stream_messages_refused", "Messages on Redis that are not what the engine publishes."
)
