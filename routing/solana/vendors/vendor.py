"""What every vendor does for `HttpVenue`: it offers, and it proposes a swap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.values import Pair

NOBODY = Pubkey.find_program_address([b"quote"], Pubkey.default())[0]
"""Who a quote is for before it is known who signs: an address without a key."""

QUOTED_BPS = 50
"""The slippage that is asked for. What the transaction accepts at least is written by us, so it decides nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: `amount` in base units of tokenIn, of tokenOut with `exact_out`; for `taker`."""

    pair: Pair
    amount: int
    taker: Pubkey = NOBODY
    exact_out: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    pays: int
    """Base units of tokenOut."""
    impact: Decimal
    """The part of the price that the amount itself costs: 0 to 1."""
    fee_bps: int
    seen_at: datetime
    answer: Any
    """The vendor's own, as it came: some want it back to the letter."""
    pools: Sequence[str] = ()
    """Addresses of those that it would be swapped in; empty where the vendor does not say."""
    takes: int | None = None
    """Of an exact output: base units of tokenIn. Else all that was asked for."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The swap alone: whatever else the vendor would put into the transaction is left out."""

    swap: Instruction
    tables: Sequence[Pubkey] = ()
    """Look-up tables that its accounts may come from; the chain says what is in them."""


class Vendor(Protocol):
    async def offer(self, wanted: Wanted, *, wait_s: float) -> Offer:
        """Waits for its turn at the server for `wait_s` at most.

        Raises `NoRoute` also for a route that cannot be read here and so would not be signed, `AmountTooSmall`,
        `InsufficientLiquidity`, `ExactOutUnsupported`, `VenueRateLimited`, `VenueUnavailable`, `VenueTimeout`, `VenueError`.
        """
        ...

    async def propose(self, wanted: Wanted, offer: Offer, *, wait_s: float) -> Proposal:
        """Raises what `offer` raises, `UnsafeTransaction`."""
        ...


def share(value: Any, scale: int = 1) -> Decimal:
    """A price impact as a part of 1, of text or number divided by `scale`; 0 for what is none: it decides nothing."""
    try:
        found = abs(Decimal(str(value)) / scale)
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() and found < 1 else Decimal(0)
