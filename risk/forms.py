"""The admin's form of an account's limits, or of everybody's together."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.models import Account
from risk.changes import CapsNotSet, capped, limits_of, stored
from risk.models import Rule
from risk.values import EVERYBODY, Limits, TradingState, plain
from routing.gates import Gates, normal, of_json, problem
from routing.world import tokens

NOTHING = "nothing"
"""In place of a list: an empty one, where an empty field means that there is none."""
MAX_WHOLE = 1_000_000


def above_zero(amount: Decimal) -> None:
    if amount <= 0:
        raise ValidationError("Must be greater than 0.")


class MoneyField(forms.DecimalField):
    """`of` says what is limited; the unit is said here."""

    def __init__(self, of: str) -> None:
        super().__init__(
            max_digits=36,
            decimal_places=18,
            required=False,
            widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
            validators=[above_zero],
            help_text=f"{of}, in {settings.QUOTE_TOKENS[0]}. Empty: no limit.",
        )

    def prepare_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, Decimal) else value


class WholeField(forms.IntegerField):
    def __init__(self, least: int, of: str) -> None:
        widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"})
        help_text = f"{of}. Empty: no limit."
        super().__init__(min_value=least, max_value=MAX_WHOLE, required=False, widget=widget, help_text=help_text)


class TokensField(forms.CharField):
    """Symbols and mints with commas between; its value is a tuple of mints, or None where the field is empty."""

    def __init__(self, help_text: str) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 2})
        super().__init__(required=False, widget=widget, help_text=help_text)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return ", ".join(tokens().label(mint) for mint in value) or NOTHING
        return value

    def clean(self, value: Any) -> tuple[str, ...] | None:
        given = super().clean(value)
        if given.lower() == NOTHING:
            return ()
        names = given.replace(",", " ").split()
        found = {name: tokens().resolve(name) for name in names}
        if unknown := [name for name, token in found.items() if token is None]:
            raise ValidationError(f"No token that is traded here: {', '.join(unknown)}.")
        return tuple(dict.fromkeys(token.mint for token in found.values() if token is not None)) or None


class GatesField(forms.CharField):
    """The JSON of `routing.gates.Gates`; its value is that of the column, or None where the field is empty."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "placeholder": '{"maxTopHoldersBps": 3000}'}),
            help_text="JSON, as `gates` of an order: what has to hold of tokens that snipers buy. Names that are left out are as"
            " everybody's, then as the engine's; false, and a threshold that everything passes, switch a gate off.",
        )

    def prepare_value(self, value: Any) -> Any:
        return msgspec.json.encode(value).decode() if isinstance(value, Gates) else value

    def clean(self, value: Any) -> Any:
        given = super().clean(value)
        if not given.strip():
            return None
        try:
            found = msgspec.json.decode(given, type=Gates)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ValidationError(f"{error}.") from None
        if wrong := problem(found):
            raise ValidationError(f"{wrong[0]} {wrong[1]}.")
        return stored(normal(found))


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A field that is empty limits nothing. What the form has passed is in `limits`."""

    account = forms.ModelChoiceField(Account.objects.order_by("name"), widget=UnfoldAdminSelectWidget)
    max_notional_per_order = MoneyField("What one order may be worth")
    max_open_orders = WholeField(0, "Orders that have not ended, at a time")
    max_orders_per_minute = WholeField(0, "Orders that are taken in a minute")
    max_daily_spend = MoneyField("What may be spent on a day (UTC)")
    max_daily_loss = MoneyField("What may be lost on a day (UTC)")
    price_collar_bps = WholeField(1, "How far an order's price may be from the market, in basis points (100 are 1 %)")
    allowed_tokens = TokensField(
        f"Symbols or mints, with commas between; beside the quote tokens these alone may be bought. “{NOTHING}”: none."
    )
    denied_tokens = TokensField("Symbols or mints that may not be bought.")
    gates = GatesField()

    class Meta:
        model = Rule
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            return
        del self.fields["account"]
        limits = limits_of(self.instance)
        for name in Limits.__struct_fields__:
            self.fields[name].initial = getattr(limits, name)
        self.fields["denied_tokens"].initial = limits.denied_tokens or None

    def clean_account(self) -> Account:
        account: Account = self.cleaned_data["account"]
        if Rule.objects.filter(pk=account.pk).exists():
            raise ValidationError("It has limits already: change those.")
        return account

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        halted = self.instance.state == TradingState.HALTED
        if self.instance.pk == EVERYBODY and not halted and not self.errors and not capped(self.limits):
            raise ValidationError(CapsNotSet.__doc__ or "")
        if account := given.get("account"):
            self.instance.pk = account.pk
        return given

    @property
    def limits(self) -> Limits:
        given = {name: self.cleaned_data[name] for name in Limits.__struct_fields__}
        return Limits(**given | {"denied_tokens": given["denied_tokens"] or (), "gates": of_json(given["gates"])})
