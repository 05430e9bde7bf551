"""The values of routing: tokens, pairs, ticks, quotes, swaps and their outcomes.

Amounts and prices are `Decimal`, never float. A price is tokenOut per tokenIn. Times are aware UTC datetimes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NewType

import msgspec

VenueName = NewType("VenueName", str)
"""Open: `routing.venues` knows those of this process."""

SOL_DECIMALS = 9
"""A lamport is a billionth of a SOL."""

Validity = NewType("Validity", int)
"""Until when a transaction may land, in the chain's own measure: a block height, or a time in microseconds.

Opaque to everybody but the chain that set it: nobody else compares it with anything.
"""


class Program(StrEnum):
    """The program on the chain that keeps a token's accounts."""

    TOKEN = "token"
    TOKEN_2022 = "token-2022"


UNRANKED = 1_000
"""The rank of a token that nobody gave one."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token is its mint: two with the same mint are the same token, whatever else is said of them."""

    symbol: str = field(compare=False)
    """As its maker calls it. Anybody may take any symbol, so it names a token only where it is `verified`."""
    mint: str
    """Base58 address of the token's mint account."""
    decimals: int = field(compare=False)
    program: Program = field(default=Program.TOKEN, compare=False)
    verified: bool = field(default=False, compare=False)
    """An operator has said that this mint, and no other, is meant by the symbol."""
    name: str = field(default="", compare=False)
    """Its long name, for people."""
    extensions: tuple[str, ...] = field(default=(), compare=False)
    """Of a Token-2022 mint, such as `transferFeeConfig`."""
    source: str = field(default="", compare=False)
    """Who said so: the world it came with, a person, the chain."""
    logo: str | None = field(default=None, compare=False)
    """Address of its picture."""
    rank: int = field(default=UNRANKED, compare=False)
    """The lower one of a pair is what its pool is measured in; of equals, the mint that sorts first."""

    @property
    def label(self) -> str:
        """What the engine calls it in names of pairs and to people: its symbol if that is verified, else its mint."""
        return self.symbol if self.verified else self.mint


@dataclass(frozen=True, slots=True)
class Mint:
    """What a mint account on the chain says of its token."""

    decimals: int
    program: Program = Program.TOKEN
    extensions: tuple[str, ...] = ()
    symbol: str = ""
    """From its metadata, which its maker wrote: anything may stand there."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A direction of trade: tokenIn is sold for tokenOut."""

    token_in: Token
    token_out: Token
    name: str = field(init=False, compare=False)
    """`SOL-USDC`: the form used in URLs and Redis keys. Of a token without a verified symbol the mint stands there."""
    pool: "Pair" = field(init=False, compare=False, repr=False)
    """The direction that sells for the quote token: one name for a pool that trades both ways."""

    def __post_init__(self) -> None:
        direct = precedence(self.token_out) < precedence(self.token_in)
        object.__setattr__(self, "name", f"{self.token_in.label}-{self.token_out.label}")
        object.__setattr__(self, "pool", self if direct else self.reverse)

    @property
    def reverse(self) -> "Pair":
        return Pair(self.token_out, self.token_in)

    @property
    def quote_token(self) -> Token:
        """What the pair's pool is measured in: USDC if it takes part, else SOL, and so on; the same both ways."""
        return self.pool.token_out


def precedence(token: Token) -> tuple[int, str]:
    """Sorts tokens by who is the quote token of whom."""
    return token.rank, token.mint


class Tick(msgspec.Struct, frozen=True):
    """A venue's market in a pair at one moment."""

    pair: str
    venue: VenueName
    price: Decimal
    """Before fee and impact."""
    fee_bps: int
    liquidity: Decimal
    """Depth of one side of the pool, in its quote token (`Pair.quote_token`): the same figure both ways."""
    volume: Decimal
    """Traded in the venue's last minute, in the quote token as well."""
    observed_at: datetime

    @property
    def net_price(self) -> Decimal:
        """price × (1 − fee)."""
        return self.price * (10_000 - self.fee_bps) / 10_000


class Part(msgspec.Struct, frozen=True):
    """What one pool has of a transaction that swaps in several."""

    venue: VenueName
    pool: str | None
    """Address; None where the offer is by a cached price, which names none."""
    amount_in: Decimal
    amount_out: Decimal
    """Of a quote what it would pay, of a signed swap what it pays at least, of a fill what it has paid."""


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
    exact_out: bool = False
    """Asked for by `amount_out`: `amount_in` is the least that gives it."""
    parts: tuple[Part, ...] = ()
    """Of a split: what each pool takes and pays. `price` and `fee_bps` are those of the better pool before impact."""
    added_fee: Decimal = Decimal(0)
    """What the chain takes for it more than for a swap in one pool, in tokenOut."""

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


class Bid(msgspec.Struct, frozen=True):
    """What a transaction offers for its place in a block, and why so much."""

    strategy: str
    price: int
    """Micro-lamports a compute unit."""
    lamports: int
    """The most that the chain takes: signature, priority and tip; rent apart."""
    tip: int
    """Lamports for the tip's receiver, only paid if the transaction succeeds."""
    reason: str


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
    """Of exact out what it pays, no less and no more."""
    valid_until: datetime
    """About the time at which its validity ends, for people to read; estimated where the chain counts in something else."""
    validity: Validity
    """Past it the chain refuses the transaction for good."""
    wallet: str | None = None
    """Base58 public key of who pays and signs; None on a chain without wallets."""
    max_in: Decimal | None = None
    """Of exact out the most that it takes of tokenIn; None: it takes its amount, or it is read back from the ledger."""
    bid: Bid | None = None
    """None on a chain without priority, and for a swap that is read back from the ledger."""
    parts: tuple[Part, ...] = ()
    """Of a split; empty too for a swap that is read back from the ledger."""


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
    parts: tuple[Part, ...] = ()
    """Of a split: what each pool took and paid."""


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
