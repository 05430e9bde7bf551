"""A venue whose pools are read and traded on the chain itself, without its server: quotes are exact, and cost no request of
their own while the pool was read within the last slot.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Protocol

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.permits import AtVenue
from routing.signer import Signer
from routing.solana.addresses import pubkey
from routing.solana.builder import Built
from routing.solana.nodes import NO_ANSWER
from routing.solana.pool_index import PoolIndex
from routing.solana.pools import Curve, Layout, NotQuotable, Pool, PoolFormat, pool_of
from routing.solana.programs import SwapRead
from routing.solana.recent import Recent
from routing.solana.safety import Asked
from routing.solana.tips import tips
from routing.solana.venues.signing import DIGITS, Means, SigningVenue, base_units
from routing.solana.venues.volume import Traded
from routing.values import Pair, Quote, Tick, VenueName
from routing.venue import AmountTooSmall, InsufficientLiquidity, NoRoute, VenueUnavailable

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


class DirectVenue(SigningVenue[Pool]):
    def __init__(self, name: VenueName, program: Program, *, index: PoolIndex, means: Means) -> None:
        super().__init__(name, means)
        self._program, self._format = program, program.format
        self._index, self._accounts, self._funding = index, means.accounts, means.funding
        self._traded = Traded()
        self._vaults = Recent[Pair, list[tuple[Pubkey, ...]]](10_000)

    def vaults(self, pair: Pair) -> Sequence[tuple[Pubkey, ...]]:
        """Of the pools that the pair was last priced by."""
        return self._vaults.get(pair, ())

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`. `volume` is what the pool's reserve is seen to have moved by in the last minute."""
        pool, seen_at = await self.pool(pair)
        quote_token, reserve = pair.quote_token, _depth(pair, pool.curve)
        moved = self._traded.saw(pool.layout.address, reserve, time.monotonic())
        return Tick(
            pair=pair.name,
            venue=self.name,
            price=price_of(pair, pool.curve),
            fee_bps=pool.curve.fee_bps,
            liquidity=amount_of(reserve, quote_token.decimals),
            volume=amount_of(moved, quote_token.decimals),
            observed_at=seen_at,
        )

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """See `Venue`."""
        pool, seen_at = await self.pool(pair)
        return self.offer(pair, pool.curve, amount, price_of(pair, pool.curve), seen_at, exact_out=exact_out)

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        """See `Venue`."""
        curve = self.curve(pair, tick)
        if curve is None:
            return None
        offer = self.offer(pair, curve, amount, tick.price, tick.observed_at, exact_out=exact_out)
        return msgspec.structs.replace(offer, cached=True)

    def curve(self, pair: Pair, tick: Tick) -> Curve | None:
        """The pool's by a tick: it has one reserve, and its price gives the other; its fee is the pool's, rounded up.

        None: it is no tick of a pool.
        """
        on_output, denominator = self._format.fee_on_output, self._format.denominator
        depth, quote_token = tick.liquidity, pair.quote_token
        if tick.price <= 0 or depth <= 0:
            return None
        if quote_token == pair.token_out:
            sold, bought = DIGITS.divide(depth, tick.price), depth
        else:
            sold, bought = depth, DIGITS.multiply(depth, tick.price)
        reserves = base_units(sold, pair.token_in), base_units(bought, pair.token_out)
        return Curve(*reserves, tick.fee_bps * denominator // 10_000, denominator, on_output)

    async def _present(self, pair: Pair, quote: Quote, wallet: Pubkey) -> tuple[Quote, Pool]:
        pool, seen_at = await self.pool(pair)
        price, amount = price_of(pair, pool.curve), quote.amount_out if quote.exact_out else quote.amount_in
        return self.offer(pair, pool.curve, amount, price, seen_at, exact_out=quote.exact_out), pool

    async def _signed(self, pair: Pair, asked: Asked, way: Pool, signer: Signer, expired: int) -> Built:
        prepared, source, destination = await self._funding.prepare(asked, way.sold, way.bought)
        swap = self.swap(way, asked, source, destination)
        bid = self._means.priority.bid(written(way), expired=expired, cap_lamports=asked.max_fee_lamports)
        return await self._means.builder.build(asked, [*prepared, swap, *tips(asked.wallet, bid)], signer, bid)

    def swap(self, pool: Pool, asked: Asked, source: Pubkey, destination: Pubkey) -> Instruction:
        """Sells in the pool what is asked, from and to the wallet's accounts."""
        read = SwapRead(
            payer=asked.wallet,
            pool=pool.layout.address,
            source=source,
            destination=destination,
            sides=(pool.sold, pool.bought),
            amount=asked.amount,
            least=asked.least,
            exact_out=asked.exact_out,
            config=pool.layout.config,
        )
        return self._program.swap(pool.layout, read)

    async def pool(self, pair: Pair) -> tuple[Pool, datetime]:
        """The deepest pool that the pair may use, and when it was seen. Raises `NoRoute`, `VenueUnavailable`."""
        sold, bought = pubkey(pair.token_in.mint), pubkey(pair.token_out.mint)
        permit = self._means.permits().at(pair, self.name)
        permit.check_venue()
        try:
            named = permit.pools
            addresses = await self._index.of(sold, bought) if named is None else [pubkey(each) for each in named]
            # Together: what is asked within one turn of the loop goes in one request.
            read = await asyncio.gather(*(self._read(address, sold, bought) for address in addresses))
            pools = [pool for pool in read if pool is not None]
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error), venue=self.name) from error
        self._vaults[pair] = [pool.layout.needs for pool, _ in pools]
        return self._deepest(pair, pools, permit)

    def _deepest(self, pair: Pair, pools: list[tuple[Pool, datetime]], permit: AtVenue) -> tuple[Pool, datetime]:
        """Raises `NoRoute`; where none is permitted, what is said of the deepest one."""
        refused: NoRoute | None = None
        for pool, seen_at in sorted(pools, key=lambda found: found[0].curve.bought, reverse=True):
            try:
                permit.check_depth(
                    amount_of(_depth(pair, pool.curve), pair.quote_token.decimals), str(pool.layout.address)
                )
                return pool, seen_at
            except NoRoute as error:
                refused = refused or error
        nowhere = "" if permit.pools is None else f"no pool that {pair.name} may use can be traded now"
        raise refused or NoRoute(nowhere, venue=self.name)

    async def _read(self, address: Pubkey, sold: Pubkey, bought: Pubkey) -> tuple[Pool, datetime] | None:
        """None where it cannot be quoted (now)."""
        account = (await self._accounts.get([address], max_age_s=LAYOUT_AGE_S))[address]
        if account is None or account.owner != self._format.program:
            return None
        try:
            layout = self._format.layout(address, account.data)
            if layout.curved or {side.mint for side in layout.sides} != {sold, bought} or layout.opens_at > time.time():
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

    def offer(
        self, pair: Pair, curve: Curve, amount: Decimal, price: Decimal, seen_at: datetime, *, exact_out: bool
    ) -> Quote:
        """What a pool of that curve offers; `price`: before fee and impact. Raises `AmountTooSmall`, `InsufficientLiquidity`."""
        wanted = base_units(amount, pair.token_out) if exact_out else None
        units = base_units(amount, pair.token_in) if wanted is None else curve.takes(wanted)
        if units is None:
            raise InsufficientLiquidity(venue=self.name)
        into = curve.into(units)
        if units >= U64 or into * MAX_IMPACT > curve.sold + into:
            raise InsufficientLiquidity(venue=self.name)
        out = curve.pays(units) if wanted is None else wanted
        if out <= 0:
            raise AmountTooSmall(venue=self.name)
        return Quote(
            pair=pair.name,
            venue=self.name,
            amount_in=amount_of(units, pair.token_in.decimals) if exact_out else amount,
            amount_out=amount if exact_out else amount_of(out, pair.token_out.decimals),
            price=price,
            fee_bps=curve.fee_bps,
            impact_bps=(Decimal(into * 10_000) / (curve.sold + into)).quantize(Decimal("0.01"), ROUND_UP),
            observed_at=seen_at,
            exact_out=exact_out,
        )


def written(pool: Pool) -> tuple[Pubkey, ...]:
    """The accounts of the pool that a swap writes."""
    return (pool.layout.address, pool.sold.vault, pool.bought.vault)


def price_of(pair: Pair, curve: Curve) -> Decimal:
    """tokenOut per tokenIn, before fee and impact."""
    scale = pair.token_in.decimals - pair.token_out.decimals
    return DIGITS.divide(Decimal(curve.bought), Decimal(curve.sold)).scaleb(scale, DIGITS).normalize(DIGITS)


def _depth(pair: Pair, curve: Curve) -> int:
    """Base units of the pair's quote token."""
    return curve.bought if pair.quote_token == pair.token_out else curve.sold


def amount_of(units: int, decimals: int) -> Decimal:
    return Decimal(units).scaleb(-decimals, DIGITS)
