"""Tokens in the admin: add one, say what its symbol is, verify it. A token stays once it is there: orders name it."""

from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from routing import listing
from routing.listing import SAID
from routing.models import TokenRow
from routing.venue import VenueError
from routing.world import registry


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    mint = forms.CharField(max_length=44, widget=UnfoldAdminTextInputWidget)
    decimals = forms.IntegerField(
        required=False,
        min_value=0,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="On the mock. On a chain the mint account says it.",
    )

    class Meta:
        model = TokenRow
        fields = SAID

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        mint = self.instance.mint or values.get("mint")
        if not mint or self.errors:
            return values
        try:
            self.read = async_to_sync(listing.read_mint)(mint)
            listing.checked(mint, self.said(), self.read, source="admin")
        except listing.InvalidToken as error:
            self.add_error(error.field if error.field in self.fields else None, f"{error.field} {error}")
        except VenueError as error:
            self.add_error(None, f"The chain does not answer: {error}")
        return values

    def said(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in (*SAID, "decimals") if name in self.cleaned_data}

    def _post_clean(self) -> None:
        """The checks of `listing` take the place of the model's own."""


@admin.register(TokenRow)
class TokenAdmin(ModelAdmin):  # type: ignore[misc]
    form = TokenForm
    list_display = ("shown_symbol", "name", "mint", "decimals", "program", "shown_extensions", "source", "shown_state")
    list_display_links = ("shown_symbol", "mint")
    list_filter = ("verified", "program", "source")
    search_fields = ("symbol", "name", "mint")
    ordering = ("-verified", "rank", "symbol")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("mint", "decimals", *SAID)
        return (*self.get_readonly_fields(request, obj), *SAID)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("mint", "decimals", "program", "shown_extensions", "source", "created_at")

    @display(description="symbol")
    def shown_symbol(self, row: TokenRow) -> str:
        """Set apart, so that letters from right to left change nothing around them."""
        return format_html("<bdi>{}</bdi>", row.symbol or "–")

    @display(description="extensions")
    def shown_extensions(self, row: TokenRow) -> str:
        return ", ".join(row.extensions) or "–"

    @display(description="state", label={"verified": "success", "not verified": "warning"})
    def shown_state(self, row: TokenRow) -> str:
        return "verified" if row.verified else "not verified"

    def save_model(self, request: HttpRequest, obj: TokenRow, form: Any, change: bool) -> None:
        mint = obj.mint or form.cleaned_data["mint"]
        saved = listing.save(mint, form.said(), form.read, source="admin")
        obj.__dict__.update(saved.__dict__)
        transaction.on_commit(registry.refresh)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
