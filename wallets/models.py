"""Wallets: whose they are, on which cluster, and where the key is. No key stands here in the clear.

`wallets.keys` alone reads secrets, and only order workers and the command `wallets` import it.
"""

from django.db import models
from django.db.models import Q

from accounts.models import Account


class State(models.TextChoices):
    ACTIVE = "active"
    RETIRED = "retired"
    """Signs nothing new. Transactions that were signed before may still land."""


class Source(models.TextChoices):
    """Where the secret is."""

    FILE = "file"
    """`WALLET_KEYS_DIR/{address}.json`, readable by its owner only."""
    ROW = "row"
    """Encrypted in Postgres (`WalletKey`)."""
    REMOTE = "remote"
    """At a service that signs for us; how to reach it says `WALLET_KEYS_DIR/{address}.signer.json`."""
    PAPER = "paper"
    """There is none: what it trades is on paper."""


class Wallet(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="wallets")
    name = models.CharField(max_length=64)
    address = models.CharField(max_length=44, unique=True)
    """Base58 public key. Unique over all clusters: a key of one never signs on another."""
    cluster = models.CharField(max_length=44)
    """Genesis hash of the only cluster that it signs on; on paper a name that no cluster has."""
    mode = models.CharField(max_length=16)
    """`routing.cluster.mode` under which it was made, for people to read; `cluster` decides."""
    state = models.CharField(max_length=7, choices=State.choices, default=State.ACTIVE)
    is_default = models.BooleanField(default=False)
    """The one of the account's orders that name none."""
    source = models.CharField(max_length=6, choices=Source.choices)
    balance_slot = models.BigIntegerField(default=0)
    """The newest slot whose balances decided a reservation. Older ones are not used again: spending that landed since is no
    longer among the reservations."""
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="wallet_state", condition=Q(state__in=State.values)),
            models.CheckConstraint(name="wallet_source", condition=Q(source__in=Source.values)),
            models.CheckConstraint(name="wallet_default_is_active", condition=Q(is_default=False) | Q(state="active")),
            models.UniqueConstraint(
                name="wallet_one_default", fields=["account", "cluster"], condition=Q(is_default=True)
            ),
            models.UniqueConstraint(name="wallet_name", fields=["account", "cluster", "name"]),
        ]
        ordering = ["account", "id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


class WalletKey(models.Model):
    """A secret, encrypted with AES-256-GCM. Bound to its wallet's address and cluster as associated data."""

    wallet = models.OneToOneField(Wallet, on_delete=models.CASCADE, primary_key=True, related_name="key")
    key_id = models.CharField(max_length=16)
    """Of the encryption key: the first characters of its SHA-256, so that a rotation knows what is left to do."""
    nonce = models.BinaryField(max_length=12)
    ciphertext = models.BinaryField(max_length=128)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"key of {self.wallet_id}"
