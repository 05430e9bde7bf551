"""A venue that is asked over HTTP. Of what it answers only the swap itself is taken, with a least output that we write; what
comes of it passes the same gate as our own.
"""

import time
from collections.abc import Mapping, Sequence
from decimal import ROUND_UP, Context, Decimal

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey

from routing.selection import bound
from routing.signer import Signer
from routing.solana.accounts import Accounts
from routing.solana.addresses import pubkey
from routing.solana.balances import PROGRAMS
from routing.solana.blockhash import Blockhash
from routing.solana.builder import Builder, Built
from routing.solana.chain import SolanaChain
from routing.solana.nodes import NO_ANSWER
from routing.solana.priority import Priority
from routing.solana.programs import Side, SwapProgram, UnknownLayout
from routing.solana.safety import Asked
from routing.solana.tables import read_tables
from routing.solana.tips import tips
from routing.solana.transaction import compute_limit, compute_price, memo
from routing.solana.vendors.prices import PriceApi
from routing.solana.vendors.vendor import Offer, Vendor, Wanted
from routing.solana.venues.funding import Funding
from routing.values import Pair, Quote, Swap, SwapStatus, Tick, Token, Validity, VenueName
from routing.venue import (
    InsufficientLiquidity,
    NoRoute,
    QuoteDeviates,
    UnsafeTransaction,
    VenueError,
    VenueUnavailable,
)

DIGITS = Context(prec=50)
QUOTE_WAIT_S, BUILD_WAIT_S = 1.5, 5.0
"""For a turn at the server: a quote is compared under a deadline, a transaction is waited for."""
OFFER_AGE_S = 1.5
"""An offer that was compared is built from, while it is so young: one request less."""
ASSUMED_FEE_BPS = 25
"""Of a tick, until an offer has shown what the venue keeps: a trigger must not count on more than is paid."""
MAX_KEPT = 1_000


class HttpVenue:
    """`programs`: those whose swaps may be signed; `prices`: where ticks come from."""

    def __init__(
        self,
        name: VenueName,
        vendor: Vendor,
        *,
        prices: PriceApi,
        accounts: Accounts,
        builder: Builder,
        programs: Mapping[Pubkey, SwapProgram],
        priority: Priority,
        funding: Funding,
        chain: SolanaChain,
        max_fee_lamports: int,
    ) -> None:
        self.name = name
        self._vendor, self._prices, self._programs = vendor, prices, programs
        self._accounts, self._builder, self._priority, self._funding = accounts, builder, priority, funding
        self._chain, self._max_fee_lamports = chain, max_fee_lamports
        self._offers: dict[tuple[Pair, int], tuple[float, Offer]] = {}
        self._fees: dict[Pair, int] = {}

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`. One request tells the prices of all pairs of a poll; volume is not told."""
        mints = pair.token_in.mint, pair.token_out.mint
        try:
            found = await self._prices.get(mints)
        except VenueError as error:
            raise _of(error, self.name) from error
        sold, bought = (found[mint] for mint in mints)
        if sold is None or bought is None:
            raise NoRoute(venue=self.name)
        quote_token = pair.quote_token
        base, quoted = (bought, sold) if quote_token == pair.token_in else (sold, bought)
        return Tick(
            pair=pair.name,
            venue=self.name,
            price=DIGITS.divide(sold.usd, bought.usd).normalize(DIGITS),
            fee_bps=self._fees.get(pair.pool, ASSUMED_FEE_BPS),
            liquidity=DIGITS.divide(base.liquidity / 2, quoted.usd).quantize(Decimal("1e-6")),
            volume=Decimal(0),
            observed_at=min(sold.seen_at, bought.seen_at),
        )

    async def quote(self, pair: Pair, amount: Decimal) -> Quote:
        """See `Venue`."""
        units = self._units(amount, pair.token_in)
        offer = await self._asked(Wanted(pair, units), QUOTE_WAIT_S)
        return self._quoted(pair, amount, offer)

    def price(self, pair: Pair, tick: Tick, amount: Decimal) -> Quote | None:
        """See `Venue`: a tick of many pools says nothing about an amount."""
        return None

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
    ) -> Swap:
        """See `Venue`."""
        if signer is None:
            raise UnsafeTransaction("no wallet is named that pays and signs", venue=self.name)
        cap = self._max_fee_lamports
        wanted = Wanted(pair, self._units(quote.amount_in, pair.token_in), pubkey(signer.address))
        try:
            offer = self._kept(wanted) or await self._asked(wanted, BUILD_WAIT_S)
            if quote.cached:
                here = self._quoted(pair, quote.amount_in, offer)
                min_out = bound(pair, here, least=min_out, slippage_bps=slippage_bps)
            asked = Asked(
                wallet=wanted.taker,
                sold=pubkey(pair.token_in.mint),
                bought=pubkey(pair.token_out.mint),
                amount=wanted.amount,
                least=round(min_out.scaleb(pair.token_out.decimals)),
                memo=f"{reference}/{attempt}",
                max_fee_lamports=cap if max_fee_lamports is None else min(cap, max_fee_lamports),
            )
            if offer.pays < asked.least:
                raise QuoteDeviates
            built = await self._built(wanted, asked, offer, signer, expired)
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
            valid_until=built.valid_until,
            validity=Validity(built.last_valid_height),
            wallet=signer.address,
            bid=built.bid,
        )

    async def submit(self, swap: Swap) -> None:
        """See `Venue`."""
        await self._chain.submit(swap)

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Venue`."""
        return await self._chain.wait(swap, timeout_s=timeout_s)

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Venue`."""
        return await self._chain.status(swaps)

    async def close(self) -> None:
        await self._vendor.close()

    async def _built(self, wanted: Wanted, asked: Asked, offer: Offer, signer: Signer, expired: int) -> Built:
        proposal = await self._vendor.propose(wanted, offer, wait_s=BUILD_WAIT_S)
        tables = await read_tables(self._accounts, proposal.tables)
        swap = self._bounded(proposal.swap, asked.least)
        prepared, source, destination = await self._funding.prepare(
            asked, _side(wanted.pair.token_in), _side(wanted.pair.token_out)
        )
        looked_up = [AddressLookupTableAccount(address, list(held)) for address, held in tables.items()]
        own = {asked.wallet, source, destination}
        written = tuple(meta.pubkey for meta in swap.accounts if meta.is_writable and meta.pubkey not in own)
        bid = self._priority.bid(written, expired=expired, cap_lamports=asked.max_fee_lamports)

        def assemble(blockhash: Blockhash, units: int, price: int) -> MessageV0:
            ours = [*prepared, swap, *tips(asked.wallet, bid), memo(asked.memo)]
            try:
                return MessageV0.try_compile(
                    asked.wallet, [compute_limit(units), compute_price(price), *ours], looked_up, blockhash.hash
                )
            except Exception as error:  # solders raises types of its own, by what does not fit.
                raise UnsafeTransaction(f"its accounts do not fit a transaction: {type(error).__name__}") from None

        return await self._builder.finish(asked, assemble, tables, signer, bid)

    def _bounded(self, proposed: Instruction, least: int) -> Instruction:
        """The proposed swap with our least output. Raises `UnsafeTransaction` for one that cannot be read."""
        program = self._programs.get(proposed.program_id)
        try:
            if program is None:
                raise UnknownLayout(f"the swap calls {proposed.program_id}, which is not read here")
            program.read(bytes(proposed.data), [meta.pubkey for meta in proposed.accounts])
            data = program.bounded(bytes(proposed.data), least)
        except UnknownLayout as error:
            raise UnsafeTransaction(str(error)) from None
        return Instruction(proposed.program_id, data, list(proposed.accounts))

    async def _asked(self, wanted: Wanted, wait_s: float) -> Offer:
        try:
            offer = await self._vendor.offer(wanted, wait_s=wait_s)
        except VenueError as error:
            raise _of(error, self.name) from error
        if len(self._offers) >= MAX_KEPT:
            self._offers.clear()
        self._offers[wanted.pair, wanted.amount] = time.monotonic(), offer
        self._fees[wanted.pair.pool] = offer.fee_bps or ASSUMED_FEE_BPS
        return offer

    def _kept(self, wanted: Wanted) -> Offer | None:
        at, offer = self._offers.get((wanted.pair, wanted.amount), (float("-inf"), None))
        return offer if time.monotonic() - at <= OFFER_AGE_S else None

    def _quoted(self, pair: Pair, amount: Decimal, offer: Offer) -> Quote:
        out = Decimal(offer.pays).scaleb(-pair.token_out.decimals, DIGITS)
        kept = (1 - offer.impact) * (10_000 - offer.fee_bps) / 10_000
        return Quote(
            pair=pair.name,
            venue=self.name,
            amount_in=amount,
            amount_out=out,
            price=DIGITS.divide(DIGITS.divide(out, amount), kept or Decimal(1)).normalize(DIGITS),
            fee_bps=offer.fee_bps,
            impact_bps=(offer.impact * 10_000).quantize(Decimal("0.01"), ROUND_UP),
            observed_at=offer.seen_at,
        )

    def _units(self, amount: Decimal, token: Token) -> int:
        units = round(amount.scaleb(token.decimals, DIGITS))
        if not 0 < units < 2**64:
            raise InsufficientLiquidity(venue=self.name)
        return units


def _side(token: Token) -> Side:
    mint = pubkey(token.mint)
    return Side(mint, mint, PROGRAMS[token.program])


def _of(error: VenueError, name: VenueName) -> VenueError:
    """The same for this venue: one answer may be several askers'."""
    made = type(error)(str(error), venue=name)
    made.code, made.permanent = error.code, error.permanent
    return made
