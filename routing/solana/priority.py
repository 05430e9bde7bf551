"""What a place in a block costs at present: recent fees of those that write the same accounts, and the bid that follows."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from routing.solana.fees import Fees, Strategy, chosen
from routing.solana.nodes import NO_ANSWER, Nodes
from routing.values import Bid

MAX_AGE_S = 10.0
FOLLOW = (Strategy.PERCENTILE, Strategy.AUTO)
Written = tuple[Pubkey, ...]


class _Paid(msgspec.Struct, rename="camel"):
    prioritization_fee: int


class Priority:
    def __init__(self, nodes: Nodes, fees: Fees) -> None:
        self._nodes, self._fees = nodes, fees
        self._kept: dict[Written, tuple[float, Sequence[int]]] = {}
        self._asking: dict[Written, asyncio.Task[None]] = {}

    def bid(self, written: Written, *, expired: int, cap_lamports: int) -> Bid:
        """For a transaction that writes these accounts. What others pay is asked for in the background: no order waits for it."""
        at, paid = self._kept.get(written, (float("-inf"), ()))
        asking = self._asking.get(written)
        if self._fees.strategy in FOLLOW and time.monotonic() - at > MAX_AGE_S and (asking is None or asking.done()):
            self._asking[written] = asyncio.get_running_loop().create_task(self._ask(written))
        return chosen(self._fees, paid, expired=expired, cap_lamports=cap_lamports)

    async def _ask(self, written: Written) -> None:
        try:
            paid = await self._nodes.read(
                list[_Paid], "getRecentPrioritizationFees", [str(account) for account in written]
            )
        except NO_ANSWER:
            return
        self._kept[written] = time.monotonic(), [each.prioritization_fee for each in paid]
