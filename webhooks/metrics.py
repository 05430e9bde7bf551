"""What the sender counts."""

from prometheus_client import Counter

from runtime import slots as slots  # Before the first metric: it says where their values live.

NOTED = Counter("orderengine_webhooks_noted", "Deliveries that committed events made.")
ATTEMPTS = Counter("orderengine_webhook_attempts", "Requests to webhooks, by what became of them.", ["outcome"])
