"""What a mock pool pays, and what it takes for that. Pure."""

from decimal import ROUND_UP, Context, Decimal, localcontext

import msgspec

from routing.selection import BPS, EXACT, round_down
from routing.values import Pair, Quote, Tick
from routing.venue import AmountTooSmall, InsufficientLiquidity

MAX_IMPACT_BPS = Decimal(5_000)
"""An order as large as the pool's own side moves the price by half; beyond that the pool is too small for it.
It equals the largest slippage that a client may ask for."""
# Multiplying is several times cheaper than dividing by 10,000, and every order is quoted twice.
_PER_BPS = Decimal("0.0001")
_HUNDREDTH = Decimal("0.01")
_FRACTION = Context(prec=200, rounding=ROUND_UP)
"""Holds the products of the inverse exactly; its one division is rounded up."""


def quote_from_tick(pair: Pair, tick: Tick, amount: Decimal, *, cached: bool) -> Quote:
    """What the pool pays for `amount` of tokenIn, by the constant product x × y = k.

    The venue's fee is taken from the input; selling a value of n into a side of depth L then pays
    1 / (1 + n/L) of the pool's price. Raises `AmountTooSmall` below one base unit of tokenOut,
    `InsufficientLiquidity` beyond `MAX_IMPACT_BPS`.
    """
    with localcontext(EXACT):
        paid = amount * (BPS - tick.fee_bps) * _PER_BPS
        ideal_out = paid * tick.price
        worth = ideal_out if pair.quote_token is pair.token_out else paid
        depth = tick.liquidity
        if depth <= 0 or worth * BPS > (depth + worth) * MAX_IMPACT_BPS:
            raise InsufficientLiquidity(venue=tick.venue)
        amount_out = round_down(ideal_out * depth / (depth + worth), pair.token_out.decimals)
        if amount_out <= 0:
            raise AmountTooSmall(venue=tick.venue)
        impact_bps = (worth * BPS / (depth + worth)).quantize(_HUNDREDTH, ROUND_UP)
    return Quote(
        pair=pair.name,
        venue=tick.venue,
        amount_in=amount,
        amount_out=amount_out,
        price=tick.price,
        fee_bps=tick.fee_bps,
        impact_bps=impact_bps,
        observed_at=tick.observed_at,
        cached=cached,
    )


def quote_for_output(pair: Pair, tick: Tick, wanted: Decimal, *, cached: bool) -> Quote:
    """The inverse of `quote_from_tick`: the least of tokenIn, in base units, for which the pool pays `wanted` or more.

    The quote says `wanted`: the rest, less than the last unit of tokenIn buys, stays in the pool. Raises what
    `quote_from_tick` raises.
    """
    depth, unit = tick.liquidity, Decimal(1).scaleb(-pair.token_in.decimals)
    quoted_in = pair.quote_token is not pair.token_out
    with localcontext(_FRACTION):
        room = (tick.price * depth if quoted_in else depth) - wanted
        if depth <= 0 or room <= 0:
            raise InsufficientLiquidity(venue=tick.venue)
        per_unit = 1 if quoted_in else tick.price
        amount = wanted * depth * BPS / (room * per_unit * (BPS - tick.fee_bps))
        amount = amount.quantize(unit)
    offer = quote_from_tick(pair, tick, amount, cached=cached)
    while offer.amount_out < wanted:  # Its own rounding, at 60 digits.
        offer = quote_from_tick(pair, tick, offer.amount_in + unit, cached=cached)
    return msgspec.structs.replace(offer, amount_out=wanted, exact_out=True)
