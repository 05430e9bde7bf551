"""What exits must not be, among themselves and against a price. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from orders.errors import ApiError, invalid
from orders.plans.bracket import WHOLE, trigger_of
from orders.plans.values import Bracket, Exit
from triggers.rules import is_due, plain


def check_together(exits: Sequence[Exit]) -> None:
    """Prices relative to the cost lie on their sides of it; absolute ones are compared. Raises `ApiError`: VALIDATION_FAILED."""
    if sum(exit.portion_bps for exit in exits if not exit.protects) > WHOLE:
        raise invalid("exits", f"the portions of the take-profits are more than the whole, {WHOLE}")
    stops = [exit.price for exit in exits if exit.kind == "stopLoss" and exit.price is not None]
    takes = [exit.price for exit in exits if exit.kind == "takeProfit" and exit.price is not None]
    if stops and takes and min(takes) <= stops[0]:
        raise invalid("exits", "a take-profit is not above the stop")


def by_field(spec: Bracket) -> dict[str, Exit]:
    """The exits, by what a body that makes them calls them."""
    return {f"exits[{n}]": exit for n, exit in enumerate(spec.exits)}


def check_waits(exits: Mapping[str, Exit], price: Decimal, cost: Decimal) -> None:
    """Raises `ApiError` WOULD_TRIGGER_IMMEDIATELY for the first of the exits, by their fields, that is due at the price."""
    for field, exit in exits.items():
        trigger = trigger_of(exit, cost)
        if exit.kind in ("takeProfit", "stopLoss") and is_due(
            trigger["trigger_condition"], trigger["limit_price"], price
        ):
            raise ApiError(
                "WOULD_TRIGGER_IMMEDIATELY",
                f"{field} would trigger immediately at a price of {plain(price)}.",
                {field: ["would trigger immediately"]},
            )


def filled_at(spec: Bracket, best: Decimal | None, best_back: Decimal | None) -> Decimal | None:
    """About the price, quote per token, at which the exits find the market when the entry has filled; None: who knows.

    `best`: the present price of the entry's pair, tokens per quote; `best_back`: that of the exits' pair.
    """
    entry = spec.entry
    assert entry is not None
    if entry.type == "market":
        return best_back
    if entry.type != "limit" or entry.trail_bps is not None or entry.limit_price is None:
        return None
    if best is not None and is_due(entry.trigger_condition or "gte", entry.limit_price, best):
        return best_back
    return 1 / entry.limit_price
