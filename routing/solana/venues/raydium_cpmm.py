"""Raydium's constant-product pools."""

from solders.instruction import Instruction

from routing.solana.pools import CPMM, Layout
from routing.solana.programs import RAYDIUM_CPMM, SwapRead


class Cpmm:
    """See `Program`."""

    format = CPMM

    def swap(self, layout: Layout, read: SwapRead) -> Instruction:
        assert layout.observation is not None
        return RAYDIUM_CPMM.swap(read, layout.observation)
