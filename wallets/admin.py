"""Wallets in the admin: to look at. They are made and retired on a terminal, where the keys are."""

from django.contrib import admin
from unfold.decorators import display

from accounts.read_only import ReadOnlyAdmin
from wallets.models import Wallet


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("name", "account", "address", "mode", "shown_state", "is_default", "source", "created_at")
    list_select_related = ("account",)
    list_filter = ("state", "mode", "source")
    search_fields = ("address", "name", "account__name")
    fields = readonly_fields = (
        "account",
        "name",
        "address",
        "mode",
        "cluster",
        "state",
        "is_default",
        "source",
        "created_at",
        "retired_at",
    )

    @display(description="state", label={"active": "success", "retired": "danger"})
    def shown_state(self, wallet: Wallet) -> str:
        return wallet.state
