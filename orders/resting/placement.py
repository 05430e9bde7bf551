"""Where a resting order belongs in the trigger book. Pure."""

from decimal import Decimal
from typing import Protocol
from uuid import UUID

from msgspec import UNSET

from orders.events import RestData
from orders.ledger.values import LIMIT, SNIPER
from orders.mints import mint_of
from triggers import rules
from triggers.changes import LISTED, Arm, Left, Rest

SNIPER_PAUSE_S, MAX_SNIPER_PAUSE_S = 4, 300
EVENTS_A_ROUND = 7
"""Events of a sniper that fires, tries three times and rests again."""
HIGHER_FOR_S = 30
REVERT_PAUSE_S, MAX_REVERT_PAUSE_S = 1, 60
EVENTS_A_REVERT = 4
"""Events of a limit whose transaction reverts: routing, building, submitted, and pending again."""


class OfPair(Protocol):
    """An order's type and pair."""

    @property
    def type(self) -> str: ...
    @property
    def token_in(self) -> str: ...
    @property
    def token_out(self) -> str: ...


class Resting(OfPair, Protocol):
    """The columns that say what an order waits for."""

    @property
    def limit_price(self) -> Decimal | None: ...
    @property
    def trigger_condition(self) -> str | None: ...
    @property
    def trigger_kind(self) -> str | None: ...
    @property
    def min_liquidity(self) -> Decimal | None: ...
    @property
    def volume_factor(self) -> Decimal | None: ...
    @property
    def launched_before(self) -> bool | None: ...
    @property
    def trail_bps(self) -> int | None: ...
    @property
    def activation_price(self) -> Decimal | None: ...
    @property
    def trail_high(self) -> Decimal | None: ...


def pair_of(order: OfPair) -> str:
    """By mints. The book gives it the pair's present name."""
    return f"{mint_of(order.token_in)}-{mint_of(order.token_out)}"


def rest_of(order_id: UUID, order: Resting, seq: int) -> Rest:
    """The order's place in the book, resting since its event `seq`."""
    if order.trail_bps is not None:
        high, activation = order.trail_high or rules.NOTHING, order.activation_price or rules.NOTHING
        return Rest(order_id, pair_of(order), seq, rules.TRAILING, high, bps=order.trail_bps, activation=activation)
    if order.type == LIMIT:
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
    return Rest(order_id, pair_of(order), seq, kind, price)


def left(order_id: UUID, order: OfPair, seq: int) -> Left:
    """The order does not rest any more since its event `seq`."""
    return Left(order_id, pair_of(order), seq, order.type == SNIPER)


def arm_again(order_id: UUID, order: Resting, seq: int, data: RestData) -> Arm:
    """Where the order belongs that rests again. Every firing adds events, so `seq` shows how often it has been back.

    A limit whose own impact kept it from filling waits for the price at which it would fill; without that it would fire
    again at every tick. Pools get deeper, so after a while it is armed at its limit again. A limit whose transaction
    reverted has paid the network for nothing: like a sniper that found nothing it waits a while, longer every time.
    """
    pair = pair_of(order)
    if order.type == SNIPER:
        pause_ms = paused_ms(seq // EVENTS_A_ROUND, SNIPER_PAUSE_S, MAX_SNIPER_PAUSE_S)
        return Arm(Rest(order_id, pair, seq, rules.LAUNCH, rules.NOTHING), again_in_ms=pause_ms, shelved=True)
    assert order.trigger_condition is not None and order.limit_price is not None
    if order.trail_bps is not None:
        rest = rest_of(order_id, order, seq)
        if data.signature is UNSET:
            return Arm(rest)
        return Arm(rest, again_in_ms=reverted_ms(seq), shelved=True)
    price = order.limit_price if data.fires_at is UNSET else Decimal(data.fires_at)
    rest = Rest(order_id, pair, seq, order.trigger_condition, price)
    if data.signature is not UNSET:
        return Arm(rest, again_in_ms=reverted_ms(seq), shelved=True)
    return Arm(rest, again_in_ms=HIGHER_FOR_S * 1000 if price != order.limit_price else 0)


def reverted_ms(seq: int) -> int:
    return paused_ms(seq // EVENTS_A_REVERT - 1, REVERT_PAUSE_S, MAX_REVERT_PAUSE_S)


def paused_ms(times: int, first_s: int, most_s: int) -> int:
    """The pause after `times` earlier ones: doubled each time, at most `most_s`; in milliseconds."""
    return min(most_s, first_s << max(0, min(times, 16))) * 1000
