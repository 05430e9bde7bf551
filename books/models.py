"""Checkpoints of the books. Fills themselves are read from orders."""

from django.db import models


class Checkpoint(models.Model):
    """What the fills of an account in one mode come to, up to one of them. Derived: it can be deleted at any time."""

    account_id = models.BigIntegerField()
    mode = models.CharField(max_length=16)
    at = models.DateTimeField()
    """Of the last fill that is in it, by which fills are ordered; then by `order_id`."""
    order_id = models.UUIDField()
    fills = models.BigIntegerField()
    """In it, since the first."""
    positions = models.JSONField()
    """The JSON of `books.statement.Held`, a list."""

    class Meta:
        constraints = [
            # Two processes that follow the same fills write the same.
            models.UniqueConstraint(name="checkpoint_of_fills", fields=["account_id", "mode", "fills"]),
        ]
        indexes = [
            # What is asked for is the newest one before a time.
            models.Index(name="checkpoint_before", fields=["account_id", "mode", "-at"]),
        ]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.mode}, {self.fills} fills"
