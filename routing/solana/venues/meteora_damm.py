"""Meteora's DAMM v2 pools."""

from dataclasses import replace

from solders.instruction import Instruction

from routing.solana.pools import DAMM, Layout
from routing.solana.programs import METEORA_DAMM, SwapRead


class Damm:
    """See `Program`."""

    format = DAMM

    def swap(self, layout: Layout, read: SwapRead) -> Instruction:
        return METEORA_DAMM.swap(replace(read, sides=layout.sides))
