"""The tables of tokens and of permits. What needs them on a hot path reads `routing.world`, which follows them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now, Upper

from routing.values import UNRANKED, Fate, Program

MAX_SYMBOL, MAX_NAME = 32, 128
MAX_DECIMALS = 18
"""Amounts of orders are stored with so many places."""
MAX_LIQUIDITY = 10**18
"""Of a permit; the column holds a hundred times as much."""


class TokenRow(models.Model):
    """See `routing.values.Token`."""

    mint = models.CharField(max_length=44, primary_key=True)
    symbol = models.CharField(max_length=MAX_SYMBOL, blank=True)
    name = models.CharField(max_length=MAX_NAME, blank=True)
    decimals = models.SmallIntegerField()
    program = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Program], editable=False)
    extensions = models.JSONField(default=list, editable=False)
    verified = models.BooleanField(default=False)
    source = models.CharField(max_length=32, editable=False)
    logo = models.CharField(max_length=300, null=True, blank=True)
    rank = models.IntegerField(default=UNRANKED, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "routing_token"
        verbose_name = "token"
        verbose_name_plural = "tokens"
        constraints = [
            models.CheckConstraint(name="token_decimals", condition=Q(decimals__range=(0, MAX_DECIMALS))),
            models.CheckConstraint(name="token_program", condition=Q(program__in=[one.value for one in Program])),
            models.CheckConstraint(name="token_verified_has_symbol", condition=Q(verified=False) | ~Q(symbol="")),
            # A verified symbol means one mint.
            models.UniqueConstraint(Upper("symbol"), name="token_verified_symbol", condition=Q(verified=True)),
        ]

    def __str__(self) -> str:
        return self.symbol if self.verified else self.mint


class PermitRow(models.Model):
    """See `routing.permits.Permit`. The pair's mints stand in the direction that sells for the quote token."""

    base = models.CharField(max_length=44, editable=False)
    quote = models.CharField(max_length=44, editable=False)
    venue = models.CharField(max_length=16)
    pool = models.CharField(max_length=44, blank=True, default="")
    min_liquidity = models.DecimalField(max_digits=38, decimal_places=18, default=0)

    class Meta:
        db_table = "routing_permit"
        verbose_name = "permitted venue"
        verbose_name_plural = "permitted venues"
        constraints = [
            models.CheckConstraint(name="permit_min_liquidity", condition=Q(min_liquidity__range=(0, MAX_LIQUIDITY))),
            models.UniqueConstraint(name="permit_once", fields=["base", "quote", "venue", "pool"]),
        ]

    def __str__(self) -> str:
        return f"{self.venue} {self.pool}".strip()


class PaperBalance(models.Model):
    """What a wallet has on paper: see `routing.paper`."""

    pk = models.CompositePrimaryKey("wallet", "mint")
    wallet = models.CharField(max_length=44)
    mint = models.CharField(max_length=44)
    """SOL is under that of wrapped SOL."""
    units = models.DecimalField(max_digits=30, decimal_places=0)
    """Base units."""

    class Meta:
        constraints = [models.CheckConstraint(name="paper_units", condition=Q(units__gte=0))]


class PaperTransaction(models.Model):
    """A transaction on paper that was sent, or that never lands any more."""

    signature = models.CharField(max_length=96, primary_key=True)
    reference = models.CharField(max_length=64)
    """The order's id."""
    sent_at = models.DateTimeField()
    fate = models.CharField(max_length=8, null=True, choices=[(one.value, one.value) for one in Fate])
    """Null: not decided yet."""
    outcome = models.JSONField(null=True)
    """The JSON of `routing.paper.Outcome`."""

    class Meta:
        constraints = [
            # At most one transaction of an order lands, on paper as well.
            models.UniqueConstraint(name="paper_landed_once", fields=["reference"], condition=Q(fate="landed")),
        ]
