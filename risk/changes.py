"""The only code that changes rules of risk: each change is one transaction, and leaves a row that says who, when, from and to."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from risk.models import Budget, Change, Rule
from risk.values import EVERYBODY, SEVERITY, Limits, TradingState, plain
from routing.gates import Gates, of_json

FIRST_START = "the first start on mainnet"
"""Who halts it, as the log of changes names it."""
CAPS = ("max_notional_per_order", "max_daily_spend")
"""Of everybody together; on mainnet nothing trades without them."""


class SetByStaff(Exception):
    """An operator has set this: the account itself may not loosen it."""


class CapsNotSet(Exception):
    """On mainnet nobody trades before everybody's caps per order and per day are set, and they stay set while anybody does."""


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a rule."""

    name: str
    """As `accounts.auth.Caller` has it."""
    staff: bool = False
    request_id: str | None = None


def set_state(account_id: int, state: TradingState, by: By) -> Rule:
    """Sets the trading state of an account, or of `EVERYBODY`; again: the same, and no change is noted.

    Raises `SetByStaff` where an account would loosen what an operator has set; `CapsNotSet`.
    """
    with transaction.atomic():
        rule = _locked(account_id)
        if account_id == EVERYBODY and state != TradingState.HALTED and not capped(rule):
            raise CapsNotSet
        looser = SEVERITY.index(state) < SEVERITY.index(TradingState(rule.state))
        if looser and rule.state_by_staff and not by.staff:
            raise SetByStaff
        before = {"state": rule.state}
        # Whoever stops more than the operator has, does not lift what the operator has stopped.
        stays = rule.state_by_staff and not by.staff
        rule.state, rule.state_by_staff = state, stays or by.staff and state != TradingState.ACTIVE
        rule.save()
        _note(rule, by, before, {"state": rule.state})
    return rule


def set_limits(account_id: int, limits: Limits, by: By) -> Rule:
    """Sets all limits; those that `limits` leaves out are none any more. Raises `SetByStaff`, `CapsNotSet`."""
    with transaction.atomic():
        rule = _locked(account_id)
        if rule.limits_by_staff and not by.staff:
            raise SetByStaff
        if account_id == EVERYBODY and rule.state != TradingState.HALTED and not capped(limits):
            raise CapsNotSet
        before = told(limits_of(rule))
        rule.limits_by_staff = by.staff
        for name in Limits.__struct_fields__:
            value = getattr(limits, name)
            setattr(rule, name, stored(value))
        rule.denied_tokens = rule.denied_tokens or None
        rule.save()
        _note(rule, by, before, told(limits))
    return rule


def told(limits: Limits) -> dict[str, Any]:
    """As the log of changes has them: numbers as people write them, so that the same one is no change."""
    numbers = {name: value for name in Limits.__struct_fields__ if isinstance(value := getattr(limits, name), Decimal)}
    names = dict(zip(Limits.__struct_fields__, Limits.__struct_encode_fields__, strict=True))
    written: dict[str, Any] = msgspec.to_builtins(limits, builtin_types=())
    return written | {names[name]: plain(value) for name, value in numbers.items()}


def capped(limits: Rule | Limits) -> bool:
    """Whether these limits of everybody are enough for this mode."""
    return not settings.CAPS_REQUIRED or all(getattr(limits, name) is not None for name in CAPS)


def halt_first_start() -> None:
    """Halts everybody where this database has never been on mainnet before. Nothing in any other mode."""
    if not settings.CAPS_REQUIRED:
        return
    with transaction.atomic():
        rule = _locked(EVERYBODY)
        if Change.objects.filter(account_id=EVERYBODY, by=FIRST_START).exists():
            return
        before = {"state": rule.state}
        rule.state, rule.state_by_staff = TradingState.HALTED.value, True
        rule.save()
        # Noted even where it was halted before: the row is what says that mainnet has been started.
        Change.objects.create(
            account_id=EVERYBODY, at=Now(), by=FIRST_START, before=before, after={"state": rule.state}
        )


def _locked(account_id: int) -> Rule:
    """The rule, made where there is none. Everybody's is locked first, so that changes are numbered as they are committed."""
    Rule.objects.select_for_update().get(pk=EVERYBODY)
    Rule.objects.get_or_create(pk=account_id)
    Budget.objects.get_or_create(pk=account_id, defaults={"day": timezone.now().date()})
    return Rule.objects.select_for_update().get(pk=account_id)


def _note(rule: Rule, by: By, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    changed = [name for name in after if before.get(name) != after[name]]
    if changed:
        Change.objects.create(
            account_id=rule.account_id,
            at=Now(),
            by=by.name,
            request_id=by.request_id,
            before={name: before.get(name) for name in changed},
            after={name: after[name] for name in changed},
        )


def limits_of(rule: Rule) -> Limits:
    values = {name: getattr(rule, name) for name in Limits.__struct_fields__}
    gates = values.pop("gates")
    values |= {name: value.normalize() for name, value in values.items() if isinstance(value, Decimal)}
    allowed, denied = values.pop("allowed_tokens"), values.pop("denied_tokens")
    return Limits(
        **values,
        allowed_tokens=None if allowed is None else tuple(allowed),
        denied_tokens=tuple(denied or ()),
        gates=of_json(gates),
    )


def stored(value: Any) -> Any:
    """A limit as its column has it."""
    if isinstance(value, Gates):
        return msgspec.to_builtins(value)
    return list(value) if isinstance(value, tuple) else value
