"""What a place in a block costs at present: recent fees of those that write the same accounts, and the bid that follows."""

import asyncio
from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from routing.solana.fees import Fees, Strategy, chosen
from routing.solana.nodes import NO_ANSWER, Nodes
from routing.solana.recent import Recent
from routing.values import Bid

MAX_AGE_S = 10.0
FOLLOW = (Strategy.PERCENTILE, Strategy.AUTO)
Written = tuple[Pubkey, ...]


class _Paid(msgspec.Struct, rename="camel"):
    prioritization_fee: int


class Priority:
    def __init__(self, nodes: Nodes, fees: Fees) -> None:
        self._nodes, self._fees = nodes, fees
        self._kept = Recent[Written, Sequence[int]]()
        self._asking: dict[Written, asyncio.Task[None]] = {}

    def bid(self, written: Written, *, expired: int, cap_lamports: int) -> Bid:
        """For a transaction that writes these accounts. What others pay is asked for in the background: no order waits for it."""
        known = self._kept.get(written, None, max_age_s=MAX_AGE_S) is not None
        if self._fees.strategy in FOLLOW and not known and written not in self._asking:
            asking = self._asking[written] = asyncio.get_running_loop().create_task(self._ask(written))
            asking.add_done_callback(lambda _: self._asking.pop(written))
        return chosen(self._fees, self._kept.get(written, ()), expired=expired, cap_lamports=cap_lamports)

    def known(self, written: Written, *, cap_lamports: int) -> Bid:
        """The same by what is known already: nobody is asked."""
        return chosen(self._fees, self._kept.get(written, ()), expired=0, cap_lamports=cap_lamports)

    async def _ask(self, written: Written) -> None:
        try:
            paid = await self._nodes.read(
                list[_Paid], "getRecentPrioritizationFees", [str(account) for account in written]
            )
        except NO_ANSWER:
            return
        self._kept[written] = [each.prioritization_fee for each in paid]
