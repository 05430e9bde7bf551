"""What every venue does, and the errors it may answer with."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from routing.signer import Signer
from routing.values import Pair, Quote, Swap, SwapStatus, Tick, VenueName


class VenueError(Exception):
    """A venue's answer that is not what was asked for.

    `code` is stable and shown to clients; `permanent` says that asking again will not help; `details` are figures for programs.
    """

    code = "VENUE_ERROR"
    permanent = False
    logs: tuple[str, ...] = ()
    """The last log lines of a chain's programs, where one of them failed."""

    def __init__(self, message: str = "", *, venue: VenueName | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.venue = venue
        self.details: Mapping[str, str] = {}


class VenueUnavailable(VenueError):
    """The venue does not answer."""

    code = "VENUE_UNAVAILABLE"


class VenueTimeout(VenueError):
    """The venue did not answer in time."""

    code = "VENUE_TIMEOUT"


class VenueRateLimited(VenueError):
    """The venue's rate limit is reached: it is asked again in a moment."""

    code = "VENUE_RATE_LIMITED"


class NoRoute(VenueError):
    """The venue has no pool for the pair."""

    code = "NO_ROUTE"


class VenueNotPermitted(NoRoute):
    """An operator has not permitted the pair to use the venue, or the pool."""

    code = "VENUE_NOT_PERMITTED"
    permanent = True


class PoolTooSmall(NoRoute):
    """The pool holds less than an operator asks for."""

    code = "POOL_TOO_SMALL"


NOT_TRADED = frozenset({NoRoute.code, VenueNotPermitted.code, PoolTooSmall.code})
"""Answers that say that the venue does not trade the pair at present."""


NOT_HEARD = frozenset({VenueUnavailable.code, VenueTimeout.code, VenueRateLimited.code, "VENUE_RESTING"})
"""Answers that say nothing about the market: the venue is late, away, or not asked."""


class AmountTooSmall(VenueError):
    """The amount buys less than one base unit."""

    code = "AMOUNT_TOO_SMALL"
    permanent = True


class InsufficientLiquidity(VenueError):
    """The pool is too small for the amount."""

    code = "INSUFFICIENT_LIQUIDITY"
    permanent = True


class QuoteDeviates(VenueError):
    """The venue pays less now than the order would accept by a cached quote: a transaction would only revert."""

    code = "QUOTE_DEVIATES"


class ExactOutUnsupported(VenueError):
    """The venue does not sell for an exact output."""

    code = "EXACT_OUT_UNSUPPORTED"
    permanent = True


class InsufficientFunds(VenueError):
    """The wallet holds less than the swap takes, fees and rent included."""

    code = "INSUFFICIENT_FUNDS"
    permanent = True


class UnsafeTransaction(VenueError):
    """The transaction would do more than the order asks for, or cost more than it allows: it was not signed."""

    code = "UNSAFE_TRANSACTION"
    permanent = True


class TooLarge(UnsafeTransaction):
    """The transaction has more bytes than the chain takes: it was not signed."""


class SimulationFailed(VenueError):
    """The transaction would fail now: it was not signed. `code` is the failure's own where it is known."""

    code = "SIMULATION_FAILED"


class SwapRefused(VenueError):
    """The transaction was refused before it was sent on: it has not landed and these bytes never will."""

    code = "SWAP_REFUSED"


class SplitRefused(VenueError):
    """The transaction that swaps in several pools cannot be made, or no longer pays for itself: one pool is left to trade at."""

    code = "SPLIT_REFUSED"


class SubmitUnknown(VenueError):
    """Sending ended without an answer: the transaction may or may not land. Never treat it as failed."""

    code = "SUBMIT_UNKNOWN"


class Seller(Protocol):
    """What offers, makes and sends the transaction of an order."""

    name: VenueName

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """The offer for `amount` of tokenIn; with `exact_out` the least of tokenIn that gives `amount` of tokenOut.

        Raises `NoRoute`, `VenueUnavailable`, `VenueTimeout`, `AmountTooSmall`, `InsufficientLiquidity`, `ExactOutUnsupported`.
        """
        ...

    async def build(
        self,
        pair: Pair,
        quote: Quote,
        *,
        min_out: Decimal,
        slippage_bps: int,
        reference: str,
        attempt: int,
        signer: Signer | None = None,
        max_fee_lamports: int | None = None,
        expired: int = 0,
        max_in: Decimal | None = None,
    ) -> Swap:
        """Builds and signs. Nothing is sent.

        The transaction itself pays `min_out` at least. Of a quote for an exact output it pays exactly that, which is `min_out`,
        and takes `max_in` at most.

        `signer` pays and signs; a chain without wallets takes none. `max_fee_lamports`: what the order pays the chain at most,
        rent apart; None: what the world allows. `expired`: how many transactions of the order have expired before: each is a
        reason to bid more.

        A cached quote comes from where others may write. The venue holds it against its own present offer for the amount
        (`routing.selection.bound`): the swap's `min_out` is never further below that offer than `slippage_bps`, nor its
        `max_in` further above it.

        Raises `VenueUnavailable`, `VenueTimeout`; for a cached quote `QuoteDeviates` and what `quote` raises; where
        transactions are simulated `UnsafeTransaction`, `SimulationFailed`, `InsufficientFunds`; for a split `SplitRefused`.
        """
        ...

    async def submit(self, swap: Swap) -> None:
        """Sends; accepted is not landed. Idempotent by signature.

        Raises `SubmitUnknown` when the outcome is open, `SwapRefused` when these bytes certainly never land.
        """
        ...

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """Waits until the transaction's fate is final or the time is up (then `PENDING`).

        Raises `VenueUnavailable`.
        """
        ...

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """What the chain says of each, in order, by the chain's own clock. Raises `VenueUnavailable`."""
        ...


class Venue(Seller, Protocol):
    """A seller with a market of its own."""

    async def tick(self, pair: Pair) -> Tick:
        """The pool's market now. Raises `NoRoute`, `VenueUnavailable`, `VenueTimeout`."""
        ...

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        """The same offer by a tick of this venue that was seen before, marked `cached`.

        None: a tick does not say enough to price this amount, so ask with `quote`. No I/O. Raises `AmountTooSmall`,
        `InsufficientLiquidity`, `ExactOutUnsupported`.
        """
        ...


class Splitter(Seller, Protocol):
    """Sells at several venues in one transaction: lands as a whole or not at all."""

    venues: Sequence[VenueName]
    """Those that it divides an amount between; fewer than two: it offers nothing."""

    async def offer(self, pair: Pair, amount: Decimal, ticks: Mapping[VenueName, Tick] | None = None) -> Quote | None:
        """The best division of `amount` of tokenIn, by the ticks where they are given, else by the pools as they are now.

        None: one pool alone pays as much. Raises `SplitRefused` where what it costs in addition cannot be told, and what
        `quote` raises.
        """
        ...
