"""Positions by average cost, and what was realised. Pure; all sums are exact.

A position is what an account's fills have changed of one token against another, not what a wallet holds: a token that came
into the wallet otherwise and is sold makes a negative position, as a short sale does. Of the two tokens of a fill the one of
higher precedence (USDC, then SOL, …) is the quote token; nothing is ever converted, so a token that is bought for USDC and sold
for SOL has two positions. Fees of the chain are apart, each in its token; the venue's is within the amounts.
"""

from collections.abc import Callable
from decimal import Context, Decimal

import msgspec

CALCULATED = Context(prec=120)
"""Sums and products of amounts of 38 digits are exact at this precision. Python's own operators, `-x` and `abs(x)` among them,
round to 28 digits: amounts meet each other in this context only."""
PLACE = Decimal("1e-18")
"""What a share of a cost is rounded to; the rest stays with the other share, so that none is lost."""
ZERO = Decimal(0)

Precedence = Callable[[str], tuple[int, str]]
"""Of a mint: the lower of a pair is the quote token (`routing.values.precedence`)."""


class Trade(msgspec.Struct, frozen=True):
    """A fill, as it changes the position of `base` in `quote` (mints)."""

    base: str
    quote: str
    amount: Decimal
    """Of base: bought, or sold where it is negative."""
    paid: Decimal
    """Of quote: paid, or received where it is negative."""


class Position(msgspec.Struct, frozen=True):
    """`cost` minus `realised` is what was paid in all, to the last place: buying and selling leave nothing behind."""

    amount: Decimal = ZERO
    """Of base. Negative: more was sold than bought."""
    cost: Decimal = ZERO
    """Of quote: what the amount was bought for; of a negative amount, negative: what it was sold for."""
    realised: Decimal = ZERO
    """Of quote: received beyond the cost of what was closed."""

    @property
    def average(self) -> Decimal | None:
        """Cost of one; None of nothing."""
        return rounded(CALCULATED.divide(self.cost, self.amount)) if self.amount else None


def trade_of(mint_in: str, mint_out: str, amount_in: Decimal, amount_out: Decimal, precedence: Precedence) -> Trade:
    if precedence(mint_out) < precedence(mint_in):
        return Trade(mint_in, mint_out, amount_in.copy_negate(), amount_out.copy_negate())
    return Trade(mint_out, mint_in, amount_out, amount_in)


def traded(position: Position, amount: Decimal, paid: Decimal) -> Position:
    """The position after a trade; `amount` and `paid` as in `Trade`."""
    if not position.amount or (position.amount > 0) == (amount > 0):
        return Position(added(position.amount, amount), added(position.cost, paid), position.realised)
    if amount.copy_abs() <= position.amount.copy_abs():
        return closed(position, amount, paid)
    # It goes through zero: one part closes what there was, the rest opens the other side.
    part = share(paid, position.amount, amount)
    flat = closed(position, position.amount.copy_negate(), part)
    return Position(added(position.amount, amount), CALCULATED.subtract(paid, part), flat.realised)


def closed(position: Position, amount: Decimal, paid: Decimal) -> Position:
    """`amount` is at most the position, and opposite to it."""
    left = added(position.amount, amount)
    released = share(position.cost, amount, position.amount) if left else position.cost
    gained = CALCULATED.subtract(paid.copy_negate(), released)
    return Position(left, CALCULATED.subtract(position.cost, released), added(position.realised, gained))


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """whole × |part ÷ of|, rounded."""
    return rounded(CALCULATED.divide(CALCULATED.multiply(whole, part.copy_abs()), of.copy_abs()))


def added(one: Decimal, other: Decimal) -> Decimal:
    return CALCULATED.add(one, other)


def rounded(value: Decimal) -> Decimal:
    return value.quantize(PLACE, context=CALCULATED)


def unrealised(position: Position, price: Decimal | None) -> Decimal | None:
    """What closing the position at `price` (quote per base) would realise. None: the price is not known."""
    if price is None:
        return None
    return rounded(CALCULATED.subtract(CALCULATED.multiply(position.amount, price), position.cost))
