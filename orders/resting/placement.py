"""Where an order at rest belongs in the trigger book."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from orders.ledger.statements import Claimed, NewOrder
from orders.models import Order, OrderType
from triggers import rules
from triggers.arming import Arming
from triggers.book import LISTED, Arm, Left, Rest

if TYPE_CHECKING:
    from orders.resting.keeper import Row

SNIPER_PAUSE_S, MAX_SNIPER_PAUSE_S = 4, 300
EVENTS_A_ROUND = 7
"""Of a sniper that fires, tries three times and goes back to rest."""
HIGHER_FOR_S = 30
REVERT_PAUSE_S, MAX_REVERT_PAUSE_S = 1, 60
EVENTS_A_REVERT = 4
"""Of a limit: routing, building, submitted, and back to pending."""


@cache
def arming() -> Arming:
    """This process' way to the book."""
    return Arming(settings.REDIS_URL)


def rest_of(order: "NewOrder | Order | Row", seq: int) -> Rest:
    """The order's place in the book, at rest since its event `seq`."""
    if order.type == OrderType.LIMIT:
        kind, price = order.trigger_condition, order.limit_price
    else:
        kind = order.trigger_kind or rules.LAUNCH
        if kind == rules.LIQUIDITY:
            price = order.min_liquidity
        elif kind == rules.VOLUME:
            price = order.volume_factor
        else:
            kind, price = LISTED if order.launched_before else rules.LAUNCH, rules.NOTHING
    assert kind is not None and price is not None
    return Rest(order.id, f"{order.token_in}-{order.token_out}", seq, kind, price)


def left(order: Order | Claimed, seq: int) -> Left:
    """The order rests no more since its event `seq`."""
    return Left(order.id, f"{order.token_in}-{order.token_out}", seq, order.type == OrderType.SNIPER)


def taken(orders: Iterable[Claimed]) -> None:
    """An executor has the orders."""
    if gone := [left(order, order.seq) for order in orders if order.type != OrderType.MARKET]:
        arming().tell(*gone)


def rested(order: Claimed, seq: int, data: Mapping[str, Any]) -> None:
    """The order is back at rest since its event `seq`, which said `data`."""
    arming().tell(arm_again(order, seq, data))


def arm_again(order: Claimed, seq: int, data: Mapping[str, Any]) -> Arm:
    """Where the order belongs now. Events grow with every firing, so `seq` tells how often it has been back.

    A limit whose own impact kept it from filling waits for the price at which it would fill, else it would fire again at every
    tick; pools get deeper, so after a while it is armed at its limit again. A limit whose transaction reverted has paid the
    network for nothing: like a sniper that found nothing it waits a while, longer every time.
    """
    pair = f"{order.token_in}-{order.token_out}"
    if order.type == OrderType.SNIPER:
        pause_ms = paused_ms(seq // EVENTS_A_ROUND, SNIPER_PAUSE_S, MAX_SNIPER_PAUSE_S)
        return Arm(Rest(order.id, pair, seq, rules.LAUNCH, rules.NOTHING), again_in_ms=pause_ms, shelved=True)
    assert order.trigger_condition is not None and order.limit_price is not None
    price = Decimal(data.get("firesAt", order.limit_price))
    rest = Rest(order.id, pair, seq, order.trigger_condition, price)
    if "signature" in data:
        pause_ms = paused_ms(seq // EVENTS_A_REVERT - 1, REVERT_PAUSE_S, MAX_REVERT_PAUSE_S)
        return Arm(rest, again_in_ms=pause_ms, shelved=True)
    return Arm(rest, again_in_ms=HIGHER_FOR_S * 1000 if price != order.limit_price else 0)


def paused_ms(times: int, first_s: int, most_s: int) -> int:
    """Doubled for each of the `times` before."""
    return min(most_s, first_s << max(0, min(times, 16))) * 1000
