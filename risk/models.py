"""What accounts may trade, what they have spent today, and who changed it. Rules are changed by `risk.changes` alone."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from risk.values import TradingState

MONEY: dict[str, Any] = {"max_digits": 38, "decimal_places": 18}


class Rule(models.Model):
    """An account's trading state and limits, or those of everybody together. An account without a row has no limits."""

    account_id = models.BigIntegerField(primary_key=True)
    """0: everybody (`risk.values.EVERYBODY`)."""
    state = models.CharField(
        max_length=8, choices=[(each, each) for each in TradingState], default=TradingState.ACTIVE.value
    )
    state_by_staff = models.BooleanField(default=False)
    """An operator has set it: the account itself may not loosen it."""
    max_notional_per_order = models.DecimalField(null=True, blank=True, **MONEY)
    max_open_orders = models.IntegerField(null=True, blank=True)
    max_orders_per_minute = models.IntegerField(null=True, blank=True)
    max_daily_spend = models.DecimalField(null=True, blank=True, **MONEY)
    max_daily_loss = models.DecimalField(null=True, blank=True, **MONEY)
    price_collar_bps = models.IntegerField(null=True, blank=True)
    allowed_tokens = ArrayField(models.CharField(max_length=44), null=True, blank=True)
    denied_tokens = ArrayField(models.CharField(max_length=44), null=True, blank=True)
    gates = models.JSONField(null=True, blank=True)
    """The JSON of `routing.gates.Gates`."""
    limits_by_staff = models.BooleanField(default=False)
    """An operator has set them: the account itself may not change them."""

    class Meta:
        constraints = [
            models.CheckConstraint(name="rule_state", condition=Q(state__in=[each.value for each in TradingState])),
        ]

    def __str__(self) -> str:
        return f"{self.state}, account {self.account_id}" if self.account_id else f"{self.state}, everybody"


class Budget(models.Model):
    """What an account, or everybody, has spent and lost on a day. One row for each rule, made with it."""

    account_id = models.BigIntegerField(primary_key=True)
    day = models.DateField()
    """UTC. On a later day nothing is spent or lost yet."""
    spent = models.DecimalField(default=0, **MONEY)
    lost = models.DecimalField(default=0, **MONEY)
    """Noted by `books.losses`."""
    unpriced = ArrayField(models.CharField(max_length=44), null=True)
    """Quote tokens (mints) in which something was realised on the day, and whose worth nobody knows: not in `lost`."""


class Spend(models.Model):
    """What a claimed order has taken out of the day's budget; deleted if nothing of it landed."""

    order_id = models.UUIDField(primary_key=True)
    account_id = models.BigIntegerField()
    amount = models.DecimalField(**MONEY)
    day = models.DateField()
    of_account = models.BooleanField()
    """Counted in the account's budget."""
    of_everybody = models.BooleanField()

    class Meta:
        indexes = [
            # prune: what no budget can be given back for any more.
            models.Index(name="spend_of_day", fields=["day"]),
        ]


class Change(models.Model):
    """One change of a rule. Append only; processes read the rules again when there is a newer one."""

    account_id = models.BigIntegerField()
    at = models.DateTimeField()
    by = models.CharField(max_length=200)
    request_id = models.CharField(max_length=128, null=True, blank=True)
    before = models.JSONField()
    """The fields that changed, as they were and as they are."""
    after = models.JSONField()

    class Meta:
        indexes = [
            # GET /api/risk: an account's newest changes.
            models.Index(name="change_of_account", fields=["account_id", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.by}: {self.before} → {self.after}"
