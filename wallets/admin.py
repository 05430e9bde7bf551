"""Wallets in the admin: to look at. They are made and retired on a terminal, where the keys are."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from wallets.models import Wallet


@admin.register(Wallet)
class WalletAdmin(ModelAdmin):  # type: ignore[misc]
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
