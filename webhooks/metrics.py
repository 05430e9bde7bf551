"""What the sender counts."""

from prometheus_client import Counter, Gauge

from runtime import slots as slots  # Before the first metric: it says where their values live.

NOTED = Counter("orderengine_webhooks_noted", "Deliveries that committed events made.")
ATTEMPTS = Counter("orderengine_webhook_attempts", "Requests to webhooks, by what became of them.", ["outcome"])
WAITING = Gauge(
    "orderengine_webhooks_waiting", "Deliveries that wait, counted twice a minute.", multiprocess_mode="livesum"
)
TURN_AT = Gauge(
    "orderengine_webhooks_turn_timestamp_seconds",
    "When the sender last ended a turn, in Unix seconds. One that stands by has none.",
    multiprocess_mode="livemax",
)
FAILING = Gauge(
    "orderengine_webhooks_failing", "Webhooks that do not answer and are asked rarely.", multiprocess_mode="livesum"
)
