"""What a transaction bids for its place in a block, and why. Pure.

A bid rises only after a transaction of the order has expired: while an earlier one may land, the same bytes are sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from routing.values import Bid

MOST_PRICE = 1_000_000_000
"""Micro-lamports a compute unit; the order's and the engine's cap in lamports hold besides, and far below it."""
RAISE = 2
"""Times, after each transaction that expired."""
AUTO_PERCENTILES = (50, 75, 90, 100)
"""Of `auto`, by how many transactions of the order have expired."""


class Strategy(StrEnum):
    NONE = "none"
    FIXED = "fixed"
    PERCENTILE = "percentile"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Fees:
    """`price`: micro-lamports a compute unit, of `fixed`, and the least of those that follow the market."""

    strategy: Strategy = Strategy.AUTO
    price: int = 1_000
    percentile: int = 75
    tip_lamports: int = 0


AUTO = Fees()


def chosen(fees: Fees, paid: Sequence[int], *, expired: int, cap_lamports: int) -> Bid:
    """`paid`: what recent blocks took at least, micro-lamports a unit, of transactions that write the same accounts.

    The tip is at most half of the cap: the rest is for the fee, without which a transaction lands nowhere.
    """
    if fees.strategy is Strategy.NONE:
        price, reason = 0, "no priority is asked for"
    elif fees.strategy is Strategy.FIXED:
        price, reason = fees.price, f"fixed at {fees.price}"
    else:
        price, reason = _followed(fees, paid, expired)
    times = 1
    if expired and fees.strategy is not Strategy.NONE:
        times = RAISE ** min(expired, 20)
        reason += f", times {times} after {expired} expired"
    tip = min(fees.tip_lamports, cap_lamports // 2)
    if tip:
        reason += ", and a tip"
    return Bid(str(fees.strategy), min(MOST_PRICE, price * times), 0, tip, reason)


def _followed(fees: Fees, paid: Sequence[int], expired: int) -> tuple[int, str]:
    percentile = fees.percentile
    if fees.strategy is Strategy.AUTO:
        percentile = AUTO_PERCENTILES[min(expired, len(AUTO_PERCENTILES) - 1)]
    bids = sorted(price for price in paid if price > 0)
    if not bids:
        return fees.price, f"nothing was paid lately that is known: the least, {fees.price}"
    price = bids[-(-len(bids) * percentile // 100) - 1]
    if price < fees.price:
        return fees.price, f"{percentile} % of {len(bids)} blocks paid {price} or less: the least, {fees.price}"
    return price, f"{percentile} % of {len(bids)} blocks paid {price} or less"
