"""What a cluster's venues share, whichever way they find a swap: from the offer of the moment to the signed transaction, and
then what the chain makes of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Generic, TypeVar

from solders.pubkey import Pubkey

from routing.permits import Permits
from routing.selection import bound, bound_in
from routing.signer import Signer
from routing.solana.accounts import Accounts
from routing.solana.addresses import pubkey
from routing.solana.builder import Builder, Built
from routing.solana.chain import SolanaChain
from routing.solana.nodes import NO_ANSWER
from routing.solana.priority import Priority
from routing.solana.safety import Asked
from routing.solana.venues.funding import Funding
from routing.values import Pair, Part, Quote, Swap, SwapStatus, Token, Validity, VenueName
from routing.venue import QuoteDeviates, UnsafeTransaction, VenueError, VenueUnavailable

DIGITS = Context(prec=50)
"""Of a price: enough that a pool's reserves come back out of it."""
Way = TypeVar("Way")
"""What a venue builds its present offer from: a pool, or a vendor's answer."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a world's venues build and send with. `max_fee_lamports`: what an order pays the chain at most; `permits`: what pairs
    may use at present."""

    accounts: Accounts
    builder: Builder
    priority: Priority
    funding: Funding
    chain: SolanaChain
    max_fee_lamports: int
    permits: Callable[[], Permits] = Permits


class Sending:
    """A venue's part after the signature: it is the chain's."""

    def __init__(self, chain: SolanaChain) -> None:
        self._chain = chain

    async def submit(self, swap: Swap) -> None:
        """See `Venue`."""
        await self._chain.submit(swap)

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Venue`."""
        return await self._chain.wait(swap, timeout_s=timeout_s)

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Venue`."""
        return await self._chain.status(swaps)


class SigningVenue(Sending, ABC, Generic[Way]):
    def __init__(self, name: VenueName, means: Means) -> None:
        super().__init__(means.chain)
        self.name = name
        self._means = means

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
        """See `Venue`."""
        if signer is None:
            raise UnsafeTransaction("no wallet is named that pays and signs", venue=self.name)
        wallet, cap = pubkey(signer.address), self._means.max_fee_lamports
        try:
            offer, way = await self._present(pair, quote, wallet)
            if max_in is not None:
                # What was asked now is as good as a cached quote at the least: the smaller of both bounds it.
                max_in = bound_in(pair, offer, most=max_in, slippage_bps=slippage_bps)
            elif quote.cached:
                min_out = bound(pair, offer, least=min_out, slippage_bps=slippage_bps)
            elif offer.amount_out < min_out:
                raise QuoteDeviates
            asked = Asked(
                wallet=wallet,
                sold=pubkey(pair.token_in.mint),
                bought=pubkey(pair.token_out.mint),
                amount=base_units(quote.amount_in if max_in is None else max_in, pair.token_in),
                least=base_units(min_out, pair.token_out),
                exact_out=max_in is not None,
                memo=f"{reference}/{attempt}",
                max_fee_lamports=cap if max_fee_lamports is None else min(cap, max_fee_lamports),
            )
            built = await self._signed(pair, asked, way, signer, expired)
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error), venue=self.name) from error
        except VenueError as error:
            error.venue = self.name
            raise
        return Swap(
            reference=reference,
            attempt=attempt,
            venue=self.name,
            signature=built.signature,
            payload=built.payload,
            min_out=min_out,
            max_in=max_in,
            valid_until=built.valid_until,
            validity=Validity(built.last_valid_height),
            wallet=signer.address,
            bid=built.bid,
            parts=self._parts(pair, asked, way),
        )

    def _parts(self, pair: Pair, asked: Asked, way: Way) -> tuple[Part, ...]:
        """What each pool sells and accepts at least, where there are several."""
        return ()

    @abstractmethod
    async def _present(self, pair: Pair, quote: Quote, wallet: Pubkey) -> tuple[Quote, Way]:
        """What the venue offers now for the quote's amount, and what the swap is made from. Raises what `Venue.quote` raises."""

    @abstractmethod
    async def _signed(self, pair: Pair, asked: Asked, way: Way, signer: Signer, expired: int) -> Built:
        """Raises what `Venue.build` raises, `RpcError`, `NoAnswer`."""


def base_units(amount: Decimal, token: Token) -> int:
    return round(amount.scaleb(token.decimals, DIGITS))
