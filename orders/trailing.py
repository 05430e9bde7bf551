"""Whether a trailing stop may be given another distance: amending it must not fire it."""

from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import Max

from orders.errors import ApiError
from orders.mints import mint_of
from orders.models import Order, PairHigh
from orders.prices import present
from routing.world import tokens, world
from triggers.rules import LTE, is_due, is_fresh, plain, stop_at


def check_distance(order: Order, trail_bps: int, field: str = "trailBps") -> None:
    """Raises `ApiError`: WOULD_TRIGGER_IMMEDIATELY, PRICE_MISSING.

    A larger distance fires nothing. A smaller one is held against a fresh price: without one nobody knows.
    """
    assert order.trail_bps is not None
    if trail_bps >= order.trail_bps:
        return
    high = followed(order)
    if high is None or order.activation_price is not None and high < order.activation_price:
        return
    pair = tokens().pair(mint_of(order.token_in), mint_of(order.token_out))
    best = None if pair is None else present(pair).best
    if best is None or not is_fresh(best.observed_at, datetime.now(UTC), world().router.max_age):
        raise ApiError("PRICE_MISSING", "No venue has a fresh price that the distance could be held against.")
    if is_due(LTE, stop_at(high, trail_bps), best.net_price):
        raise ApiError(
            "WOULD_TRIGGER_IMMEDIATELY",
            f"It has followed the price to {plain(high)} and would fire at the present {plain(best.net_price)}.",
            {field: ["would trigger immediately"]},
        )


def followed(order: Order) -> Decimal | None:
    """The highest price that counted for the order, as far as Postgres knows it: to the last second or two."""
    pair = f"{mint_of(order.token_in)}-{mint_of(order.token_out)}"
    found = PairHigh.objects.filter(pair=pair, at__gte=order.created_at).aggregate(high=Max("high"))["high"]
    known = [high for high in (found, order.trail_high) if high is not None]
    return max(known, default=None)
