"""Endpoints and deliveries as clients read them."""

from datetime import datetime
from typing import Annotated

import msgspec

from orders.http.answers import Cursor
from orders.representation import Moment, Out, Uuid
from orders.wire import timestamp
from webhooks.models import Delivery, Endpoint, State
from webhooks.types import message_id

StateName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(State.values)})]


class ReplayOut(Out):
    from_: Moment = msgspec.field(name="from")
    to: Moment


class WebhookOut(Out):
    webhook_id: Uuid
    url: str
    description: str
    types: list[str]
    all_accounts: Annotated[bool, msgspec.Meta(description="Everybody's events and operators' alerts.")]
    enabled: bool
    disabled_reason: str | None
    failing_since: Annotated[Moment, msgspec.Meta(description="It fails and is asked rarely.")] | None
    previous_secret_until: Annotated[Moment, msgspec.Meta(description="The earlier secret signs as well.")] | None
    replay: Annotated[ReplayOut, msgspec.Meta(description="Being made ready to be sent again.")] | None
    created_at: Moment
    updated_at: Moment


class WebhookSecretOut(WebhookOut):
    secret: Annotated[str, msgspec.Meta(description="Shown this once.")]


class WebhooksOut(Out):
    webhooks: list[WebhookOut]


class DeliveryOut(Out):
    id: int
    webhook_id: Uuid
    message_id: Annotated[str, msgspec.Meta(description="Its `webhook-id`.")]
    type: str
    at: Annotated[Moment, msgspec.Meta(description="Of the event.")]
    state: StateName
    attempts: int
    next_at: Annotated[Moment, msgspec.Meta(description="Of a waiting one: not before then.")] | None
    attempted_at: Moment | None
    http_status: int | None
    said: Annotated[str, msgspec.Meta(description="The beginning of the last answer, or why there was none.")]
    took_ms: int | None


class DeliveriesOut(Out):
    deliveries: list[DeliveryOut]
    next: Cursor | None


def webhook_out(endpoint: Endpoint) -> WebhookOut:
    replay = None
    if endpoint.replay_from is not None and endpoint.replay_to is not None:
        replay = ReplayOut(timestamp(endpoint.replay_from), timestamp(endpoint.replay_to))
    return WebhookOut(
        webhook_id=str(endpoint.pk),
        url=endpoint.url,
        description=endpoint.description,
        types=endpoint.types,
        all_accounts=endpoint.all_accounts,
        enabled=endpoint.enabled,
        disabled_reason=endpoint.disabled_reason or None,
        failing_since=moment(endpoint.failing_since),
        previous_secret_until=moment(endpoint.previous_until),
        replay=replay,
        created_at=timestamp(endpoint.created_at),
        updated_at=timestamp(endpoint.updated_at),
    )


def with_secret(endpoint: Endpoint, secret: str) -> WebhookSecretOut:
    return WebhookSecretOut(**msgspec.structs.asdict(webhook_out(endpoint)), secret=secret)


def moment(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def delivery_out(row: Delivery) -> DeliveryOut:
    return DeliveryOut(
        row.pk,
        str(row.endpoint_id),
        message_id(row.subject, row.seq, row.type),
        row.type,
        timestamp(row.at),
        row.state,
        row.attempts,
        moment(row.next_at),
        moment(row.attempted_at),
        row.status,
        row.said,
        row.took_ms,
    )


DOCUMENTED = (WebhookOut, WebhookSecretOut, WebhooksOut, DeliveriesOut)
