"""What a place in a block costs at present."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from routing.solana.nodes import NO_ANSWER, Nodes

MAX_AGE_S = 10.0
LEAST_PRICE, MOST_PRICE = 1_000, 5_000_000
"""Micro-lamports a compute unit; 100,000 units cost 100 and 500,000 lamports by them. The order's cap holds besides."""


class _Paid(msgspec.Struct, rename="camel"):
    prioritization_fee: int


class Priority:
    """The price that three of four recent blocks with bids took, of those that write the same accounts."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._kept: dict[Pubkey, tuple[float, int]] = {}
        self._asking: dict[Pubkey, asyncio.Task[None]] = {}

    def price(self, pool: Pubkey) -> int:
        """Micro-lamports a compute unit, as far as it is known; it is asked for in the background, no order waits for it."""
        at, price = self._kept.get(pool, (float("-inf"), LEAST_PRICE))
        asking = self._asking.get(pool)
        if time.monotonic() - at > MAX_AGE_S and (asking is None or asking.done()):
            self._asking[pool] = asyncio.get_running_loop().create_task(self._ask(pool))
        return price

    async def _ask(self, pool: Pubkey) -> None:
        try:
            paid = await self._nodes.read(list[_Paid], "getRecentPrioritizationFees", [str(pool)])
        except NO_ANSWER:
            return
        self._kept[pool] = time.monotonic(), usual([each.prioritization_fee for each in paid])


def usual(paid: Sequence[int]) -> int:
    bids = sorted(price for price in paid if price)
    price = bids[len(bids) * 3 // 4] if bids else LEAST_PRICE
    return max(LEAST_PRICE, min(MOST_PRICE, price))
