"""How an amount is divided between two pools so that both together pay the most. Pure; base units.

Apart from rounding a pool pays `Y·a ÷ (X + a)` for `a`: with the fee on the output `X` is what it holds of what is sold and `Y`
what it holds of what is bought, less the fee; with the fee on the input `Y` is whole and `X` is divided by what the fee leaves.
The next unit pays `X·Y ÷ (X + a)²`. The most is paid where it pays the same at both pools, which has one solution:
`a = (s·(X' + amount) - s'·X) ÷ (s + s')` with `s = √(X·Y)`. No division pays more than `Y + Y' - (s + s')² ÷ (X + X' + amount)`.

The programs round, so the best division lies near it, not at it. Each step of the first pool's input and of its output next to
the solution is tried with the programs' own arithmetic, until one pays that bound or `REACH` steps are tried. In small pools that
is every division that could be the best; in large ones rounding is all that a better one could still bring: what a base unit of
the amount is worth at each pool, and two units.
"""

from collections.abc import Iterator
from math import isqrt

from routing.solana.pools import Curve

BITS = 64
"""Of the fractions: enough that reserves and amounts of 64 bits are exact to far below a base unit."""
REACH = 64


def divide(first: Curve, second: Curve, amount: int) -> int:
    """What of `amount` is sold to the first pool; the rest to the second. All or nothing where dividing brings no unit more."""
    near, bound = _solution(first, second, amount)
    best, most = max(((whole, _pay(first, second, whole, amount)) for whole in (0, amount)), key=lambda found: found[1])
    for tried in _steps(first, min(max(near, 0), amount), amount):
        if most >= bound:
            break
        if (paid := _pay(first, second, tried, amount)) > most:
            best, most = tried, paid
    return best


def _pay(first: Curve, second: Curve, to_first: int, amount: int) -> int:
    return first.pays(to_first) + second.pays(amount - to_first)


def _solution(first: Curve, second: Curve, amount: int) -> tuple[int, int]:
    """(what the first pool takes, what both pay at most); the former may lie beyond 0 or the amount."""
    (x, y), (x_, y_) = _terms(first), _terms(second)
    s, s_, whole = isqrt(x * y), isqrt(x_ * y_), amount << BITS
    near = (s * (x_ + whole) - s_ * x) // (s + s_)
    # Its fractions are rounded, so the bound is taken a little higher: one too low would end the search too early.
    bound = y + y_ + 4 - (s + s_) ** 2 // (x + x_ + whole)
    return near >> BITS, bound >> BITS


def _terms(curve: Curve) -> tuple[int, int]:
    """(X, Y) in fractions of a base unit."""
    sold, bought, left = curve.sold << BITS, curve.bought << BITS, curve.denominator - curve.rate
    if curve.fee_on_output:
        return sold, -(-bought * left // curve.denominator)
    return sold * curve.denominator // left, bought


def _steps(first: Curve, near: int, amount: int) -> Iterator[int]:
    """Inputs of the first pool next to `near`, the nearest first: by units of input, and the least for each unit of output."""
    paid = first.pays(near)
    for step in range(REACH + 1):
        for away in {step, -step}:
            found = near + away, first.takes(paid + away) if paid + away > 0 else None
            yield from (each for each in found if each is not None and 0 < each < amount)
