"""The values of routing: tokens, pairs, ticks, quotes, swaps and their outcomes.

Amounts and prices are `Decimal`, never float. A price is tokenOut per tokenIn. Times are aware UTC datetimes.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NewType

import msgspec

VenueName = NewType("VenueName", str)
"""Open: `routing.venues` knows those of this process."""

Validity = NewType("Validity", int)
"""Until when a transaction may land, in the chain's own measure: a block height, or a time in microseconds.

Opaque to everybody but the chain that set it: nobody else compares it with anything.
"""


@dataclass(frozen=True, slots=True)
class Token:
    symbol: str
    mint: str
    """Base58 address of the token's mint account."""
    decimals: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A direction of trade: tokenIn is sold for tokenOut."""

    token_in: Token
    token_out: Token

    @property
    def name(self) -> str:
        """`SOL-USDC`: the form used in URLs and Redis keys."""
        return f"{self.token_in.symbol}-{self.token_out.symbol}"


class Tick(msgspec.Struct, frozen=True):
    """A venue's market in a pair at one moment."""

    pair: str
    venue: VenueName
    price: Decimal
    """Before fee and impact."""
    fee_bps: int
    liquidity: Decimal
    """Depth of one side of the pool, in its quote token (`Tokens.quote_token`): the same figure both ways."""
    volume: Decimal
    """Traded in the venue's last minute, in the quote token as well."""
    observed_at: datetime

    @property
    def net_price(self) -> Decimal:
        """price × (1 − fee)."""
        return self.price * (10_000 - self.fee_bps) / 10_000


class Quote(msgspec.Struct, frozen=True):
    """What a venue offers for an amount."""

    pair: str
    venue: VenueName
    amount_in: Decimal
    amount_out: Decimal
    """Net: after fee and price impact, rounded down to the base units of tokenOut."""
    price: Decimal
    """The pool's price before fee and impact."""
    fee_bps: int
    impact_bps: Decimal
    observed_at: datetime
    cached: bool = False
    """Computed from a tick that the poller stored, not asked for this order."""

    @property
    def net_price(self) -> Decimal:
        """amount_out per amount_in: what the order would really get."""
        return self.amount_out / self.amount_in


class Refusal(msgspec.Struct, frozen=True):
    """Why a venue is not in the comparison."""

    venue: VenueName
    code: str
    message: str
    permanent: bool = False
    """Asking this venue again will not help."""


class Selection(msgspec.Struct, frozen=True):
    """The complete comparison of one attempt, kept so that the choice can be explained."""

    winner: Quote
    reason: str
    quotes: tuple[Quote, ...]
    refusals: tuple[Refusal, ...]


class Swap(msgspec.Struct, frozen=True):
    """A signed transaction: the write-ahead intent.

    Sending it again is harmless, its signature is the same.
    """

    reference: str
    """The order's id, carried in the transaction so that the chain can be asked for it."""
    attempt: int
    venue: VenueName
    signature: str
    payload: bytes
    min_out: Decimal
    valid_until: datetime
    """About the time at which its validity ends, for people to read; estimated where the chain counts in something else."""
    validity: Validity
    """Past it the chain refuses the transaction for good."""
    wallet: str | None = None
    """Base58 public key of who pays and signs; None on a chain without wallets."""


FeeKind = Literal["venue", "network", "priority", "tip", "rent"]


class Fee(msgspec.Struct, frozen=True):
    """A part of what a transaction cost.

    `rent` is no cost of the trade but a deposit for an account that was made; it comes back when the account is closed.
    """

    kind: FeeKind
    token: str
    """Mint; fees of the chain itself are in that of wrapped SOL."""
    amount: Decimal


class Fill(msgspec.Struct, frozen=True):
    """A landed transaction that traded."""

    signature: str
    amount_out: Decimal
    executed_price: Decimal
    """amount_out per amount in."""
    fee: Decimal
    """Venue's fee, in tokenOut."""
    landed_at: datetime
    amount_in: Decimal | None = None
    """What was really taken of tokenIn; None where the chain does not say."""
    slot: int | None = None
    fees: tuple[Fee, ...] = ()
    """All of them, by kind and token; one of a kind and token."""
    units: int | None = None
    """Compute units used."""


class Fate(StrEnum):
    """The state of a signature on the chain."""

    LANDED = "landed"
    """It traded: there is a `Fill`."""
    REVERTED = "reverted"
    """It landed with an error (slippage, funds): nothing was traded and it never will."""
    PENDING = "pending"
    """Not seen (yet), and still valid: it may land. The same bytes may be sent again."""
    EXPIRED = "expired"
    """Not landed and no longer valid: it never will. Only now may a new transaction be built."""


class SwapStatus(msgspec.Struct, frozen=True):
    signature: str
    fate: Fate
    fill: Fill | None = None
    error: str | None = None
    """For `REVERTED`: the stable code, such as `SLIPPAGE_EXCEEDED` or `INSUFFICIENT_FUNDS`."""
    message: str | None = None
    """For `REVERTED`: the failure in words, where the chain says more than a code."""
    logs: tuple[str, ...] = ()
    """For `REVERTED`: the last log lines of the programs, where the chain keeps them."""
