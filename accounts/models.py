"""Who trades: accounts, their API keys, and one-use tickets for sockets."""

import hashlib
import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

KEY_BYTES = 32


def digest(secret: str) -> bytes:
    """SHA-256, which is what is stored of a key or a ticket. They are 256 random bits, so a slow hash adds nothing."""
    return hashlib.sha256(secret.encode()).digest()


class Account(models.Model):
    name = models.CharField(max_length=64, unique=True)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        # Not about accounts alone: the named permissions of `accounts.roles`, which need a model to belong to.
        permissions = [
            ("operate_orders", "Can operate everybody's orders and use the staff API"),
            ("view_figures", "Can view the overview's figures"),
            ("view_tasks", "Can view tasks and workers (Flower)"),
        ]

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    TRADE = "trade"
    READ = "read"
    STAFF = "staff"


class ApiKey(models.Model):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=12)
    """The key's first characters: enough to recognise it, too few to guess the rest."""
    hash = models.BinaryField(unique=True)
    scopes = ArrayField(models.CharField(max_length=8, choices=Scope.choices))
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.account}"

    @classmethod
    def issue(cls, account: Account, *, scopes: list[str], name: str = "") -> tuple["ApiKey", str]:
        """A new key and its secret, which is shown this once."""
        secret = "oe_" + secrets.token_urlsafe(KEY_BYTES)
        key = cls.objects.create(account=account, name=name, prefix=secret[:10], hash=digest(secret), scopes=scopes)
        return key, secret


class Ticket(models.Model):
    """Opens one socket for whoever cannot send a header: used once, for half a minute."""

    hash = models.BinaryField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    scopes = ArrayField(models.CharField(max_length=8, choices=Scope.choices))
    issuer = models.CharField(max_length=80, null=True, blank=True)
    """The credential that it was issued for (`accounts.standing`): what it opened ends with that."""
    expires_at = models.DateTimeField()
