"""A venue that is asked over HTTP. Of what it answers only the swap itself is taken, with a least output that we write; what
comes of it passes the same gate as our own.
"""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey

from routing.signer import Signer
from routing.solana.addresses import pubkey
from routing.solana.balances import PROGRAMS
from routing.solana.blockhash import Blockhash
from routing.solana.builder import Built
from routing.solana.programs import Side, SwapProgram, UnknownLayout, program_of
from routing.solana.recent import Recent
from routing.solana.safety import Asked
from routing.solana.tables import read_tables
from routing.solana.tips import tips
from routing.solana.transaction import compute_limit, compute_price, memo
from routing.solana.vendors.prices import PriceApi
from routing.solana.vendors.vendor import Offer, Vendor, Wanted
from routing.solana.venues.dlmm import DlmmPools
from routing.solana.venues.signing import DIGITS, Means, SigningVenue, base_units
from routing.values import Pair, Quote, Tick, Token, VenueName
from routing.venue import InsufficientLiquidity, NoRoute, UnsafeTransaction, VenueError

QUOTE_WAIT_S, BUILD_WAIT_S = 1.5, 5.0
"""For a turn at the server: a quote is compared under a deadline, a transaction is waited for."""
OFFER_AGE_S = 1.5
"""An offer that was compared is built from, while it is so young: one request less."""
DEPTH_AGE_S = 60.0
ASSUMED_FEE_BPS = 25
"""Of a tick, until an offer has shown what the venue keeps: a trigger must not count on more than is paid."""


class HttpVenue(SigningVenue[Offer]):
    """`programs`: those whose swaps may be signed; `prices`: where ticks come from. `pools` of the venue's that are read here
    come before prices and offers.
    """

    def __init__(
        self,
        name: VenueName,
        vendor: Vendor,
        *,
        prices: PriceApi,
        programs: Mapping[Pubkey, SwapProgram],
        means: Means,
        pools: DlmmPools | None = None,
    ) -> None:
        super().__init__(name, means)
        self._vendor, self._prices, self._programs, self._pools = vendor, prices, programs, pools
        self._offers = Recent[tuple[Pair, int, bool], Offer]()
        self._fees: dict[Pair, int] = {}
        self._depths = Recent[Pair, Decimal]()

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`. One request tells the prices of all pairs of a poll; volume is not told."""
        if self._pools is not None:
            read = await self._pools.tick(pair, self._means.permits().at(pair, self.name), self.name)
            if read is not None:
                return read
        tick = await self._told(pair)
        self._means.permits().at(pair, self.name).check_depth(tick.liquidity)
        return tick

    async def _told(self, pair: Pair) -> Tick:
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
        depth = DIGITS.divide(base.liquidity / 2, quoted.usd).quantize(Decimal("1e-6"))
        self._depths[pair.pool] = depth
        return Tick(
            pair=pair.name,
            venue=self.name,
            price=DIGITS.divide(sold.usd, bought.usd).normalize(DIGITS),
            fee_bps=self._fees.get(pair.pool, ASSUMED_FEE_BPS),
            liquidity=depth,
            volume=Decimal(0),
            observed_at=min(sold.seen_at, bought.seen_at),
        )

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """See `Venue`."""
        units = self._units(amount, pair.token_out if exact_out else pair.token_in)
        if self._pools is not None and not exact_out:
            permit = self._means.permits().at(pair, self.name)
            if (read := await self._pools.quote(pair, amount, units, permit, self.name)) is not None:
                return read
        offer = await self._asked(Wanted(pair, units, exact_out=exact_out), QUOTE_WAIT_S)
        return self._quoted(pair, amount, offer)

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        """See `Venue`: a tick of many pools says nothing about an amount."""
        return None

    async def _present(self, pair: Pair, quote: Quote, wallet: Pubkey) -> tuple[Quote, Offer]:
        amount, of = (quote.amount_out, pair.token_out) if quote.exact_out else (quote.amount_in, pair.token_in)
        wanted = Wanted(pair, self._units(amount, of), wallet, quote.exact_out)
        offer = self._offers.get((pair, wanted.amount, wanted.exact_out), None, max_age_s=OFFER_AGE_S)
        if offer is None:
            offer = await self._asked(wanted, BUILD_WAIT_S)
        else:
            await self._check(pair, offer)
        return self._quoted(pair, amount, offer), offer

    async def _signed(self, pair: Pair, asked: Asked, way: Offer, signer: Signer, expired: int) -> Built:
        means, exact = self._means, asked.least if asked.exact_out else asked.amount
        wanted = Wanted(pair, exact, asked.wallet, asked.exact_out)
        proposal = await self._vendor.propose(wanted, way, wait_s=BUILD_WAIT_S)
        tables = await read_tables(means.accounts, proposal.tables)
        swap = self._bounded(proposal.swap, asked)
        self._takes(pair, swap, way)
        prepared, source, destination = await means.funding.prepare(asked, _side(pair.token_in), _side(pair.token_out))
        looked_up = [AddressLookupTableAccount(address, list(held)) for address, held in tables.items()]
        own = {asked.wallet, source, destination}
        written = tuple(meta.pubkey for meta in swap.accounts if meta.is_writable and meta.pubkey not in own)
        bid = means.priority.bid(written, expired=expired, cap_lamports=asked.max_fee_lamports)

        def assemble(blockhash: Blockhash, units: int, price: int) -> MessageV0:
            ours = [*prepared, swap, *tips(asked.wallet, bid), memo(asked.memo)]
            try:
                return MessageV0.try_compile(
                    asked.wallet, [compute_limit(units), compute_price(price), *ours], looked_up, blockhash.hash
                )
            except Exception as error:  # solders raises types of its own, by what does not fit.
                raise UnsafeTransaction(f"its accounts do not fit a transaction: {type(error).__name__}") from None

        return await means.builder.finish(asked, assemble, tables, signer, bid)

    def _bounded(self, proposed: Instruction, asked: Asked) -> Instruction:
        """The proposed swap with our least output, or with the exact one. Raises `UnsafeTransaction` where it cannot be read."""
        try:
            program = program_of(self._programs, proposed)
            if asked.exact_out:
                data = program.for_output(asked.amount, asked.least)
            else:
                data = program.bounded(bytes(proposed.data), asked.least)
        except UnknownLayout as error:
            raise UnsafeTransaction(str(error)) from None
        return Instruction(proposed.program_id, data, list(proposed.accounts))

    def _takes(self, pair: Pair, swap: Instruction, offer: Offer) -> None:
        """Where pools are named, the swap goes through those that were offered. Raises `UnsafeTransaction`."""
        used = {str(meta.pubkey) for meta in swap.accounts}
        if self._means.permits().at(pair, self.name).pools is not None and not used.issuperset(offer.pools):
            raise UnsafeTransaction("it swaps in another pool than was offered")

    async def _asked(self, wanted: Wanted, wait_s: float) -> Offer:
        self._means.permits().at(wanted.pair, self.name).check_venue()
        try:
            offer = await self._vendor.offer(wanted, wait_s=wait_s)
        except VenueError as error:
            raise _of(error, self.name) from error
        await self._check(wanted.pair, offer)
        self._offers[wanted.pair, wanted.amount, wanted.exact_out] = offer
        self._fees[wanted.pair.pool] = offer.fee_bps or ASSUMED_FEE_BPS
        return offer

    async def _check(self, pair: Pair, offer: Offer) -> None:
        """Raises `VenueNotPermitted`, `PoolTooSmall` by the venue's last tick: a depth is told of all pools together, and changes
        slowly."""
        permit = self._means.permits().at(pair, self.name)
        permit.check_pools(offer.pools)
        if any(each.least for each in permit.permits or ()):
            known = self._depths.get(pair.pool, None, max_age_s=DEPTH_AGE_S)
            permit.check_depth((await self._told(pair)).liquidity if known is None else known)

    def _quoted(self, pair: Pair, amount: Decimal, offer: Offer) -> Quote:
        out = Decimal(offer.pays).scaleb(-pair.token_out.decimals, DIGITS)
        if offer.takes is not None:
            amount = Decimal(offer.takes).scaleb(-pair.token_in.decimals, DIGITS)
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
            exact_out=offer.takes is not None,
        )

    def _units(self, amount: Decimal, token: Token) -> int:
        units = base_units(amount, token)
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
