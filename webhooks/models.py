"""Endpoints, and what is to be sent to them. Rows of deliveries are made by `webhooks.feed` alone, from committed events."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Account

MAX_URL = 2000


class Endpoint(models.Model):
    """Where an account's events are sent."""

    id = models.UUIDField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="webhooks")
    """Whose events, and who may change it."""
    all_accounts = models.BooleanField(default=False)
    """Everybody's events and the operators' alerts as well: made by staff only."""
    url = models.CharField(max_length=MAX_URL)
    description = models.CharField(max_length=200, blank=True)
    types = ArrayField(models.CharField(max_length=40))
    """Of events that are sent (`webhooks.types`)."""
    secret = models.BinaryField()
    """Sealed (`webhooks.secrets`)."""
    previous_secret = models.BinaryField(null=True, blank=True)
    """Signs as well, until `previous_until`."""
    previous_until = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField()
    """Events from then on: its making, or when it was enabled again."""
    failing_since = models.DateTimeField(null=True, blank=True)
    """It has failed several times in a row and is asked rarely."""
    replay_from = models.DateTimeField(null=True, blank=True)
    replay_to = models.DateTimeField(null=True, blank=True)
    """Events of this time are to be sent again."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "webhook"
        constraints = [
            models.CheckConstraint(
                name="webhook_replay",
                condition=Q(replay_from=None, replay_to=None) | Q(replay_from__isnull=False, replay_to__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.url} of {self.account}"


class State(models.TextChoices):
    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"
    """It was tried for as long as is tried; it is sent again when somebody asks."""


class Delivery(models.Model):
    """One event for one endpoint. The body is made of the event when it is sent."""

    id = models.BigAutoField(primary_key=True)
    # No constraint: an endpoint is deleted at once, its deliveries are little by little (`purge.sql`).
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.DO_NOTHING, related_name="deliveries", db_constraint=False, db_index=False
    )
    subject = models.UUIDField()
    """The order, plan or alert."""
    seq = models.IntegerField()
    type = models.CharField(max_length=40)
    at = models.DateTimeField()
    """Of the event."""
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.IntegerField(default=0)
    queued_at = models.DateTimeField()
    """Since when it is tried: a replay begins anew."""
    next_at = models.DateTimeField(null=True, blank=True)
    """Of a waiting one: not before then. Otherwise null."""
    attempted_at = models.DateTimeField(null=True, blank=True)
    status = models.SmallIntegerField(null=True, blank=True)
    """HTTP status of the last answer; null: there was none."""
    said = models.CharField(max_length=300, blank=True)
    """The beginning of the last answer, or why there was none."""
    took_ms = models.IntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                name="delivery_state",
                condition=Q(state="waiting", next_at__isnull=False)
                | Q(state__in=["delivered", "parked"], next_at__isnull=True),
            ),
            # An event is noted once. Also finds what of the same order comes before it.
            models.UniqueConstraint(name="delivery_once", fields=["subject", "endpoint", "seq", "type"]),
        ]
        indexes = [
            # What is due. Not conditioned on the state: Postgres would look for what waits of one order here as well, among all.
            models.Index(name="delivery_due", fields=["endpoint", "next_at", "id"], condition=Q(next_at__isnull=False)),
            # GET …/deliveries and the admin: an endpoint's, newest first.
            models.Index(name="delivery_of_endpoint", fields=["endpoint", "-id"]),
            # What is deleted after its time.
            models.Index(name="delivery_old", fields=["at"]),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.subject}.{self.seq}"


class Feed(models.Model):
    """Until when all committed events are noted. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    until = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="webhook_one_feed", condition=Q(id=1))]
