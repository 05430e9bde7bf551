"""What people do with endpoints. Each is one statement on one row; the sender reads it within half a second."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from msgspec import UNSET

from accounts.models import Account
from orders.errors import ApiError, invalid
from orders.ids import uuid7
from webhooks.endpoint_in import WebhookAmendIn, checked_types, checked_url
from webhooks.models import Delivery, Endpoint, State
from webhooks.secrets import seal
from webhooks.signing import new_secret
from webhooks.types import DEFAULT

MAX_REPLAY_DAYS = 31


@transaction.atomic
def create(
    account_id: int,
    url: str,
    types: Sequence[str] = DEFAULT,
    *,
    description: str = "",
    all_accounts: bool = False,
) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which is shown this once. Raises `ApiError`: VALIDATION_FAILED, TOO_MANY_WEBHOOKS."""
    url, wanted = checked_url(url, settings.WEBHOOK_ALLOWED_NETWORKS), checked_types(list(types))
    # The account's row is locked, so that requests at once do not pass the bound together.
    Account.objects.select_for_update().get(pk=account_id)
    if Endpoint.objects.filter(account_id=account_id).count() >= settings.MAX_WEBHOOKS:
        raise ApiError("TOO_MANY_WEBHOOKS", f"An account has at most {settings.MAX_WEBHOOKS} webhooks.")
    secret = new_secret()
    made = Endpoint.objects.create(
        id=uuid7(),
        account_id=account_id,
        url=url,
        types=wanted,
        description=description,
        all_accounts=all_accounts,
        secret=seal(secret),
        since=Now(),
    )
    made.refresh_from_db()
    return made, secret


def amend(endpoint: Endpoint, asked: WebhookAmendIn) -> Endpoint:
    """Raises `ApiError`: VALIDATION_FAILED."""
    changed: dict[str, object] = {}
    if asked.url is not UNSET:
        changed["url"] = checked_url(asked.url, settings.WEBHOOK_ALLOWED_NETWORKS)
    if asked.types is not UNSET:
        changed["types"] = checked_types(asked.types)
    if asked.description is not UNSET:
        changed["description"] = asked.description
    if not changed and asked.enabled is UNSET:
        raise invalid("body", "names nothing to amend")
    if asked.enabled is not UNSET:
        changed |= {"enabled": asked.enabled, "disabled_reason": ""}
    rows = Endpoint.objects.filter(pk=endpoint.pk)
    if asked.enabled is True:
        # What happened meanwhile is not sent by itself: a replay sends it.
        rows.filter(enabled=False).update(since=Now(), failing_since=None)
    rows.update(**changed, updated_at=Now())
    endpoint.refresh_from_db()
    return endpoint


def rotate(endpoint: Endpoint, overlap_s: int) -> tuple[Endpoint, str]:
    """A new secret; the one of before signs as well for so long."""
    secret = new_secret()
    Endpoint.objects.filter(pk=endpoint.pk).update(
        previous_secret=F("secret"),
        previous_until=timezone.now() + timedelta(seconds=overlap_s),
        secret=seal(secret),
        updated_at=Now(),
    )
    endpoint.refresh_from_db()
    return endpoint, secret


def replay(endpoint: Endpoint, begin: datetime, end: datetime) -> Endpoint:
    """Has the events from `begin` on and before `end` sent again. Raises `ApiError`: VALIDATION_FAILED, REPLAY_RUNNING,
    WEBHOOK_DISABLED."""
    if not begin < end:
        raise invalid("to", "must be later than from")
    if end - begin > timedelta(days=MAX_REPLAY_DAYS):
        raise invalid("from", f"must be at most {MAX_REPLAY_DAYS} days before to")
    rows = Endpoint.objects.filter(pk=endpoint.pk, enabled=True)
    if not rows.exists():
        raise ApiError("WEBHOOK_DISABLED", "The webhook is disabled: enable it first.")
    if not rows.filter(replay_from=None).update(replay_from=begin, replay_to=end, updated_at=Now()):
        raise ApiError("REPLAY_RUNNING", "Another range is being made ready; ask again in a moment.")
    endpoint.refresh_from_db()
    return endpoint


def send_again(ids: Sequence[int]) -> int:
    """Deliveries, whatever became of them; returns how many wait again."""
    rows = Delivery.objects.filter(pk__in=ids).exclude(state=State.WAITING)
    return rows.update(state=State.WAITING, attempts=0, queued_at=Now(), next_at=Now())
