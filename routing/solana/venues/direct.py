"""A venue whose pools are read and traded on the chain itself, without its server: quotes are exact, and cost no request of
their own while the pool was read within the last slot.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_UP, Context, Decimal
from typing import Protocol

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.selection import bound
from routing.signer import Signer
from routing.solana.accounts import Accounts
from routing.solana.addresses import pubkey
from routing.solana.builder import Builder
from routing.solana.chain import SolanaChain
from routing.solana.nodes import NO_ANSWER
from routing.solana.pool_index import PoolIndex
from routing.solana.pools import Curve, Layout, NotQuotable, Pool, PoolFormat, pool_of
from routing.solana.priority import Priority
from routing.solana.programs import SwapRead
from routing.solana.safety import Asked
from routing.solana.tips import tips
from routing.solana.venues.funding import Funding
from routing.solana.venues.volume import Traded
from routing.values import Pair, Quote, Swap, SwapStatus, Tick, Validity, VenueName
from routing.venue import (
    AmountTooSmall,
    InsufficientLiquidity,
    NoRoute,
    QuoteDeviates,
    UnsafeTransaction,
    VenueError,
    VenueUnavailable,
)

DIGITS = Context(prec=50)
"""Of a price: enough that the reserves come back out of it, see `price`."""
LAYOUT_AGE_S, CONFIG_AGE_S = 2.0, 60.0
MAX_IMPACT = 2
"""An order as large as the pool's own side moves the price by half: beyond that the pool is too small for it."""
U64 = 2**64


class Program(Protocol):
    """The pool program of a venue: its format, and the instruction of a swap."""

    @property
    def format(self) -> PoolFormat: ...

    def swap(self, layout: Layout, read: SwapRead) -> Instruction:
        """`read.sides`: (sold, bought)."""
        ...


class DirectVenue:
    """`max_fee_lamports`: what an order pays the chain at most."""

    def __init__(
        self,
        name: VenueName,
        program: Program,
        *,
        index: PoolIndex,
        accounts: Accounts,
        builder: Builder,
        priority: Priority,
        funding: Funding,
        chain: SolanaChain,
        max_fee_lamports: int,
    ) -> None:
        self.name = name
        self._program, self._format = program, program.format
        self._index, self._accounts = index, accounts
        self._builder, self._priority, self._funding, self._chain = builder, priority, funding, chain
        self._max_fee_lamports = max_fee_lamports
        self._traded = Traded()

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`. `volume` is what the pool's reserve is seen to have moved by in the last minute."""
        pool, seen_at = await self._pool(pair)
        quote_token = pair.quote_token
        reserve = pool.curve.bought if quote_token == pair.token_out else pool.curve.sold
        moved = self._traded.saw(pool.layout.address, reserve, time.monotonic())
        return Tick(
            pair=pair.name,
            venue=self.name,
            price=_price(pair, pool.curve),
            fee_bps=pool.curve.fee_bps,
            liquidity=_amount(reserve, quote_token.decimals),
            volume=_amount(moved, quote_token.decimals),
            observed_at=seen_at,
        )

    async def quote(self, pair: Pair, amount: Decimal) -> Quote:
        """See `Venue`."""
        pool, seen_at = await self._pool(pair)
        return self._offer(pair, pool.curve, amount, _price(pair, pool.curve), seen_at)

    def price(self, pair: Pair, tick: Tick, amount: Decimal) -> Quote | None:
        """See `Venue`. A tick has one reserve, and its price gives the other; its fee is the pool's, rounded up."""
        on_output, denominator = self._format.fee_on_output, self._format.denominator
        depth, quote_token = tick.liquidity, pair.quote_token
        if tick.price <= 0 or depth <= 0:
            return None
        if quote_token == pair.token_out:
            sold, bought = DIGITS.divide(depth, tick.price), depth
        else:
            sold, bought = depth, DIGITS.multiply(depth, tick.price)
        reserves = _units(sold, pair.token_in.decimals), _units(bought, pair.token_out.decimals)
        curve = Curve(*reserves, tick.fee_bps * denominator // 10_000, denominator, on_output)
        offer = self._offer(pair, curve, amount, tick.price, tick.observed_at)
        return msgspec.structs.replace(offer, cached=True)

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
        pool, seen_at = await self._pool(pair)
        offer = self._offer(pair, pool.curve, quote.amount_in, _price(pair, pool.curve), seen_at)
        if quote.cached:
            min_out = bound(pair, offer, least=min_out, slippage_bps=slippage_bps)
        elif offer.amount_out < min_out:
            raise QuoteDeviates(venue=self.name)
        wallet = pubkey(signer.address)
        cap = self._max_fee_lamports
        asked = Asked(
            wallet=wallet,
            sold=pool.sold.mint,
            bought=pool.bought.mint,
            amount=_units(quote.amount_in, pair.token_in.decimals),
            least=_units(min_out, pair.token_out.decimals),
            memo=f"{reference}/{attempt}",
            max_fee_lamports=cap if max_fee_lamports is None else min(cap, max_fee_lamports),
        )
        try:
            instructions = await self._instructions(pool, asked)
            written = (pool.layout.address, pool.sold.vault, pool.bought.vault)
            bid = self._priority.bid(written, expired=expired, cap_lamports=asked.max_fee_lamports)
            built = await self._builder.build(asked, [*instructions, *tips(wallet, bid)], signer, bid)
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

    async def _instructions(self, pool: Pool, asked: Asked) -> list[Instruction]:
        prepared, source, destination = await self._funding.prepare(asked, pool.sold, pool.bought)
        read = SwapRead(
            payer=asked.wallet,
            pool=pool.layout.address,
            source=source,
            destination=destination,
            sides=(pool.sold, pool.bought),
            amount=asked.amount,
            least=asked.least,
            config=pool.layout.config,
        )
        return [*prepared, self._program.swap(pool.layout, read)]

    async def _pool(self, pair: Pair) -> tuple[Pool, datetime]:
        """The deepest pool of the pair, and when it was seen. Raises `NoRoute`, `VenueUnavailable`."""
        sold, bought = pubkey(pair.token_in.mint), pubkey(pair.token_out.mint)
        try:
            addresses = await self._index.of(sold, bought)
            # Together: what is asked within one turn of the loop goes in one request.
            read = await asyncio.gather(*(self._read(address, sold) for address in addresses))
            pools = [pool for pool in read if pool is not None]
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error), venue=self.name) from error
        if not pools:
            raise NoRoute(venue=self.name)
        return max(pools, key=lambda found: found[0].curve.bought)

    async def _read(self, address: Pubkey, sold: Pubkey) -> tuple[Pool, datetime] | None:
        """None where it cannot be quoted (now)."""
        account = (await self._accounts.get([address], max_age_s=LAYOUT_AGE_S))[address]
        if account is None or account.owner != self._format.program:
            return None
        try:
            layout = self._format.layout(address, account.data)
            if layout.opens_at > time.time():
                return None
            held = await self._accounts.get(layout.needs)
            seen = min(found.seen_at for found in held.values() if found is not None)
            if layout.config is not None:
                held |= await self._accounts.get([layout.config], max_age_s=CONFIG_AGE_S)
            if await self._funding.takes_fees(layout.sides):
                return None
            pool = pool_of(self._format, layout, held, sold)
        except (NotQuotable, ValueError):
            return None
        return pool, seen

    def _offer(self, pair: Pair, curve: Curve, amount: Decimal, price: Decimal, seen_at: datetime) -> Quote:
        """Raises `AmountTooSmall`, `InsufficientLiquidity`."""
        units = _units(amount, pair.token_in.decimals)
        into = curve.into(units)
        if units >= U64 or into * MAX_IMPACT > curve.sold + into:
            raise InsufficientLiquidity(venue=self.name)
        out = curve.pays(units)
        if out <= 0:
            raise AmountTooSmall(venue=self.name)
        return Quote(
            pair=pair.name,
            venue=self.name,
            amount_in=amount,
            amount_out=_amount(out, pair.token_out.decimals),
            price=price,
            fee_bps=curve.fee_bps,
            impact_bps=(Decimal(into * 10_000) / (curve.sold + into)).quantize(Decimal("0.01"), ROUND_UP),
            observed_at=seen_at,
        )


def _price(pair: Pair, curve: Curve) -> Decimal:
    """tokenOut per tokenIn, before fee and impact."""
    scale = pair.token_in.decimals - pair.token_out.decimals
    return DIGITS.divide(Decimal(curve.bought), Decimal(curve.sold)).scaleb(scale, DIGITS).normalize(DIGITS)


def _amount(units: int, decimals: int) -> Decimal:
    return Decimal(units).scaleb(-decimals, DIGITS)


def _units(amount: Decimal, decimals: int) -> int:
    return round(amount.scaleb(decimals, DIGITS))
