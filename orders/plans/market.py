"""What the present market has to say to a plan that is about to be made."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from asgiref.sync import async_to_sync
from msgspec.structs import replace

from orders.errors import ApiError
from orders.models import SniperKind
from orders.plans.exits import by_field, check_waits, filled_at
from orders.plans.values import Bracket, Exit, Schedule, Spec, Terms
from orders.prices import ASK_S, check_limit, is_priced, present
from orders.risk import check_risk_now, denied
from risk.rules import rules
from risk.values import Denial, TradingState, strictest
from routing.poller import listed
from routing.selection import NoQuote
from routing.values import Pair
from routing.venue import AmountTooSmall
from routing.world import tokens, world
from triggers.rules import plain


def screened(spec: Spec, *, allow_far_price: bool = False) -> Spec:
    """The spec, completed by the prices it is relative to.

    Raises `ApiError`: PRICE_NOT_SENSIBLE, WOULD_TRIGGER_IMMEDIATELY, AMOUNT_TOO_SMALL.
    """
    if isinstance(spec, Schedule):
        check_slice(spec)
        return spec
    if spec.entry is not None:
        check_exits(spec, by_field(spec))
        return replace(spec, entry=_entry(spec, allow_far_price))
    return _reference(spec)


def check_plan(account_id: int, spec: Spec) -> None:
    """Raises `ApiError` as `check_risk_now`, of a bracket's entry and a schedule's slice. HALTED alone stops exits."""
    if isinstance(spec, Schedule):
        check_risk_now(
            account_id,
            Terms(
                type="slice",
                token_in=spec.token_in,
                token_out=spec.token_out,
                amount=spec.slice_amount,
                slippage_bps=spec.slippage_bps,
            ),
        )
    elif spec.entry is not None:
        check_risk_now(account_id, spec.entry)
    elif strictest(rules.of(account_id)) is TradingState.HALTED:
        raise denied(Denial(code="TRADING_HALTED"))


def pair_of(token_in: str, token_out: str) -> Pair:
    pair = tokens().pair(token_in, token_out)
    if pair is None:
        raise ApiError("UNKNOWN_TOKEN", "The tokens make no pair that is traded here.", {"tokenOut": ["is unknown"]})
    return pair


def _entry(spec: Bracket, allow_far_price: bool) -> Terms:
    entry = spec.entry
    assert entry is not None
    pair = pair_of(entry.token_in, entry.token_out)
    if is_priced(entry) and not allow_far_price:
        check_limit(entry, present(pair), datetime.now(UTC))
    if entry.trigger_kind == SniperKind.TOKEN_LAUNCH:
        # While the venues do not answer it counts as listed: a launch sniper must not fire by mistake.
        known = listed(async_to_sync(world().router.ticks)(pair, deadline_s=ASK_S))
        return replace(entry, launched_before=known is not False)
    return entry


def _reference(spec: Bracket) -> Bracket:
    """Exits of what is held already: they are measured from the present price, and must not fire at it."""
    best = present(pair_of(spec.token, spec.quote)).best
    if best is None:
        if any(exit.at_bps is not None for exit in spec.exits):
            raise ApiError(
                "PRICE_NOT_SENSIBLE", "There is no present price that atBps could be measured from; give prices."
            )
        return replace(spec, reference=Decimal(1))
    check_waits(by_field(spec), best.net_price, best.net_price)
    return replace(spec, reference=best.net_price)


def check_exits(spec: Bracket, exits: Mapping[str, Exit], cost: Decimal | None = None) -> None:
    """Of a bracket, by the fields that name them; `cost`: what its position has cost, None before there is one.

    Raises `ApiError` WOULD_TRIGGER_IMMEDIATELY. A market without a price refuses nothing.
    """
    best = present(pair_of(spec.token, spec.quote)).best
    price = None if best is None else best.net_price
    if cost is None:
        # Those relative to the cost lie on their sides of it.
        exits = {field: exit for field, exit in exits.items() if exit.price is not None}
        if not exits:
            return
        back = present(pair_of(spec.quote, spec.token)).best
        price = filled_at(spec, None if back is None else back.net_price, price)
    if price is not None:
        check_waits(exits, price, cost or price)


def check_slice(spec: Schedule) -> None:
    """Raises `ApiError` AMOUNT_TOO_SMALL where every venue that can be asked now refuses a slice as too small."""
    pair = pair_of(spec.token_in, spec.token_out)
    try:
        async_to_sync(world().router.estimate)(pair, spec.slice_amount, present(pair).ticks)
    except NoQuote as error:
        if error.code == AmountTooSmall.code:
            raise ApiError(
                AmountTooSmall.code,
                f"A slice of {plain(spec.slice_amount)} is too small: {error}",
                {"slices": ["are too small"]},
            ) from None
