"""A limit in the direction in which it was asked for. Pure.

The engine compares tokenOut per tokenIn. Whoever buys SOL for USDC thinks in USDC per SOL, which is tokenIn per tokenOut: its
inverse seldom ends within 18 places, so the price as asked is kept beside it, and what is promised is computed from that one.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from triggers.rules import GTE

TOKEN_OUT, TOKEN_IN = "tokenOut", "tokenIn"
"""What a limit may be counted in, for one unit of the other token."""
_UNIT = Decimal(1).scaleb(-18)
_UP, _DOWN = Context(prec=80, rounding=ROUND_CEILING), Context(prec=80, rounding=ROUND_FLOOR)
_SHOWN = Context(prec=18)


def per_token_in(asked: Decimal, condition: str) -> Decimal:
    """tokenOut per tokenIn, to 18 places, of a price that was asked for in tokenIn.

    Rounded to what is harder to reach, up for `gte` and down for `lte`, so that a process that knows only this one never
    fills worse than asked.
    """
    context = _UP if condition == GTE else _DOWN
    return context.divide(Decimal(1), asked).quantize(_UNIT, context.rounding, context=context).normalize(context)


def asked_in_token_in(limit_price: Decimal | None, asked: Decimal | None, condition: str | None) -> Decimal | None:
    """The price in tokenIn, if that is what was asked for last.

    A process of the version before amends `limit_price` alone; the price beside it is then not the order's any more.
    """
    if limit_price is None or asked is None or condition is None:
        return None
    return asked if per_token_in(asked, condition) == limit_price else None


def shown_inverse(price: Decimal) -> Decimal:
    """The price in the other direction, to 18 digits, for people."""
    return _SHOWN.divide(Decimal(1), price).normalize(_SHOWN)
