"""Which venues and pools a pair may use, in the admin. Each change is in the admin's log."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from routing.models import PermitRow
from routing.permitting import InvalidPermit, checked, pair_of
from routing.venues import registered
from routing.world import tokens


class PermitForm(forms.ModelForm):  # type: ignore[type-arg]
    pair = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        help_text="Such as SOL-USDC; counts for both directions. From its first permit on a pair uses nothing else.",
    )
    venue = forms.ChoiceField(choices=lambda: [(name, name) for name in registered()], widget=UnfoldAdminSelectWidget)
    pool = forms.CharField(
        max_length=44,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Address of one pool; empty: every pool of the venue.",
    )
    min_liquidity = forms.DecimalField(
        min_value=0,
        initial=0,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="What one side of a pool must hold, in the pair's quote token. Below it the pool is not chosen.",
    )

    class Meta:
        model = PermitRow
        fields = ("venue", "pool", "min_liquidity")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return values
        row = self.instance
        try:
            pair = pair_of(f"{row.base}-{row.quote}" if row.pk else values["pair"])
            venue, pool = (row.venue, row.pool) if row.pk else (values["venue"], values["pool"].strip())
            self.permit = checked(pair, venue, pool, Decimal(values["min_liquidity"]))
        except InvalidPermit as error:
            self.add_error(error.field if error.field in self.fields else None, f"{error.field} {error}")
            return values
        if not row.pk and self.permit.pk:
            self.add_error("pool" if pool else "venue", "is permitted already: change that permit")
        return values

    def _post_clean(self) -> None:
        """The checks of `permitting` take the place of the model's own."""


@admin.register(PermitRow)
class PermitAdmin(ModelAdmin):  # type: ignore[misc]
    form = PermitForm
    list_display = ("pair", "venue", "shown_pool", "least")
    list_display_links = ("pair",)
    list_filter = ("venue",)
    search_fields = ("base", "quote", "pool")
    ordering = ("base", "quote", "venue", "pool")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("pair", "venue", "pool", "min_liquidity")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("pair", "venue", "pool")

    @display(description="pair")
    def pair(self, row: PermitRow) -> str:
        return tokens().name(f"{row.base}-{row.quote}")

    @display(description="pool")
    def shown_pool(self, row: PermitRow) -> str:
        return row.pool or "every pool"

    @display(description="minimum liquidity")
    def least(self, row: PermitRow) -> str:
        return f"{row.min_liquidity.normalize():f} {tokens().label(row.quote)}"

    def save_model(self, request: HttpRequest, obj: PermitRow, form: Any, change: bool) -> None:
        form.permit.save()
        obj.__dict__.update(form.permit.__dict__)
