"""A split: an amount divided between two venues' pools, in one transaction that lands as a whole or not at all."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_UP, Decimal

from msgspec import structs
from solders.pubkey import Pubkey

from routing.signer import Signer
from routing.solana.addresses import WRAPPED_SOL
from routing.solana.builder import DISTINCT, Built
from routing.solana.division import divide
from routing.solana.pools import Curve, Pool
from routing.solana.recent import Recent
from routing.solana.safety import Asked
from routing.solana.tips import tips
from routing.solana.venues.direct import DirectVenue, amount_of, price_of, written
from routing.solana.venues.signing import DIGITS, Means, SigningVenue, base_units
from routing.values import SOL_DECIMALS, Pair, Part, Quote, Tick, Token, VenueName
from routing.venue import (
    AmountTooSmall,
    ExactOutUnsupported,
    InsufficientLiquidity,
    NoRoute,
    SimulationFailed,
    SplitRefused,
    TooLarge,
)
from routing.venues import SPLIT

SECOND_SWAP_UNITS = 120_000
"""Compute units that a second swap is taken to need, margin included. Too many only leave a tiny gain unused."""
SOL_PRICE_AGE_S = 60.0
"""Of what a lamport is worth: it only weighs fees."""
SOL = Token("SOL", str(WRAPPED_SOL), SOL_DECIMALS, rank=1)


@dataclass(frozen=True, slots=True)
class Market:
    """A venue's pool, as it is now or as a tick tells it."""

    venue: DirectVenue
    curve: Curve
    price: Decimal
    seen_at: datetime
    pool: Pool | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What a pool takes and pays of a division. Base units."""

    market: Market
    takes: int
    pays: int
    offer: Quote


class SplitVenue(SigningVenue[Sequence[Share]]):
    """Of two venues that are traded directly; of fewer it offers nothing, and still settles what was sent."""

    def __init__(self, venues: Sequence[DirectVenue], means: Means) -> None:
        super().__init__(SPLIT, means)
        self._directly = venues if len(venues) == 2 else ()
        self.venues: Sequence[VenueName] = [venue.name for venue in self._directly]
        self._written = Recent[Pair, tuple[Pubkey, ...]](10_000)
        self._sol_prices = Recent[Token, Decimal]()

    async def offer(self, pair: Pair, amount: Decimal, ticks: Mapping[VenueName, Tick] | None = None) -> Quote | None:
        """See `Splitter`."""
        markets = await self._markets(pair) if ticks is None else self._by_ticks(pair, ticks)
        shares = _divided(pair, amount, markets)
        if len(shares) < 2:
            return None
        bid = self._means.priority.known(self._written.get(pair, ()), cap_lamports=self._means.max_fee_lamports)
        quote = _quoted(pair, amount, shares, cached=ticks is not None)
        return structs.replace(quote, added_fee=await self._added_fee(pair, quote.net_price, bid.price))

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """See `Seller`: what the best division pays, be it in one pool alone."""
        if exact_out:
            raise ExactOutUnsupported(venue=self.name)
        return _quoted(pair, amount, _divided(pair, amount, await self._markets(pair)))

    async def _present(self, pair: Pair, quote: Quote, wallet: Pubkey) -> tuple[Quote, Sequence[Share]]:
        try:
            shares = _divided(pair, quote.amount_in, await self._markets(pair))
        except (NoRoute, InsufficientLiquidity, AmountTooSmall) as error:
            raise SplitRefused(str(error)) from error
        if len(shares) < 2:
            raise SplitRefused("one pool alone pays as much by now")
        return _quoted(pair, quote.amount_in, shares), shares

    async def _signed(self, pair: Pair, asked: Asked, way: Sequence[Share], signer: Signer, expired: int) -> Built:
        means, pools = self._means, [pool for share in way if (pool := share.market.pool) is not None]
        bid = means.priority.bid(self._written.get(pair, ()), expired=expired, cap_lamports=asked.max_fee_lamports)
        await self._check_gain(pair, asked.amount, way, bid.price)
        asked = replace(asked, pools=tuple(pool.layout.address for pool in pools))
        prepared, source, destination = await means.funding.prepare(asked, pools[0].sold, pools[0].bought)
        swaps = [
            share.market.venue.swap(pool, replace(asked, amount=share.takes, least=least), source, destination)
            for share, pool, least in zip(way, pools, _leasts(asked, way), strict=True)
        ]
        try:
            return await means.builder.build(asked, [*prepared, *swaps, *tips(asked.wallet, bid)], signer, bid)
        except (TooLarge, SimulationFailed) as error:
            raise SplitRefused(str(error)) from error

    def _parts(self, pair: Pair, asked: Asked, way: Sequence[Share]) -> tuple[Part, ...]:
        return tuple(
            structs.replace(_part(share), amount_out=amount_of(least, pair.token_out.decimals))
            for share, least in zip(way, _leasts(asked, way), strict=True)
        )

    async def _check_gain(self, pair: Pair, amount: int, shares: Sequence[Share], price: int) -> None:
        """Raises `SplitRefused` where the pools as they are now, and the present bid, make it not worth its fee any more."""
        together = sum(share.pays for share in shares)
        alone = max(share.market.curve.pays(amount) for share in shares)
        net_price = _quoted(pair, amount_of(amount, pair.token_in.decimals), shares).net_price
        costs = base_units(await self._added_fee(pair, net_price, price), pair.token_out)
        if together - alone <= costs:
            raise SplitRefused(f"it would pay {together - alone} base units more by now, and cost {costs} more")

    async def _markets(self, pair: Pair) -> list[Market]:
        """Raises what `DirectVenue.pool` raises."""
        found = await asyncio.gather(*(venue.pool(pair) for venue in self._directly))
        self._written[pair] = tuple(account for pool, _ in found for account in written(pool))
        return [
            Market(venue, pool.curve, price_of(pair, pool.curve), seen_at, pool)
            for venue, (pool, seen_at) in zip(self._directly, found, strict=True)
        ]

    def _by_ticks(self, pair: Pair, ticks: Mapping[VenueName, Tick]) -> list[Market]:
        """Raises `NoRoute`."""
        markets = []
        for venue in self._directly:
            tick = ticks[venue.name]
            if (curve := venue.curve(pair, tick)) is None:
                raise NoRoute(venue=self.name)
            markets.append(Market(venue, curve, tick.price, tick.observed_at))
        return markets

    async def _added_fee(self, pair: Pair, net_price: Decimal, price: int) -> Decimal:
        """What the second swap costs, in tokenOut, rounded up. Both swaps share the wallet's accounts: there is no further rent.

        `price`: micro-lamports a unit. Raises `SplitRefused`.
        """
        lamports = -(-SECOND_SWAP_UNITS * (price + DISTINCT) // 1_000_000)
        worth = await self._sol_in(pair, net_price)
        unit = Decimal(1).scaleb(-pair.token_out.decimals)
        return DIGITS.multiply(amount_of(lamports, SOL_DECIMALS), worth).quantize(unit, ROUND_UP, DIGITS)

    async def _sol_in(self, pair: Pair, net_price: Decimal) -> Decimal:
        """tokenOut per SOL, also by way of tokenIn and the order's own price. Raises `SplitRefused`."""
        for token, times in ((pair.token_out, Decimal(1)), (pair.token_in, net_price)):
            if (price := await self._price_of_sol(token)) is not None:
                return DIGITS.multiply(price, times)
        raise SplitRefused(f"no pool says what its fees are worth in {pair.token_out.label}", venue=self.name)

    async def _price_of_sol(self, token: Token) -> Decimal | None:
        """By a pool that is read here; None where there is none."""
        if token == SOL:
            return Decimal(1)
        known = self._sol_prices.get(token, None, max_age_s=SOL_PRICE_AGE_S)
        if known is not None:
            return known
        for venue in self._directly:
            with suppress(NoRoute):
                price = self._sol_prices[token] = (await venue.tick(Pair(SOL, token))).price
                return price
        return None


def leasts(least: int, pays: Sequence[int]) -> list[int]:
    """What each pool has to pay at least: in sum `least`, and of each the same part of what it offers.

    None is more than it offers while `least` is not. Raises `SplitRefused` where one would accept nothing.
    """
    *first, last = pays
    found = [least * each // sum(pays) for each in first]
    found.append(least - sum(found))
    if min(found) <= 0:
        raise SplitRefused("a part of it would accept nothing")
    return found


def _leasts(asked: Asked, way: Sequence[Share]) -> list[int]:
    return leasts(asked.least, [share.pays for share in way])


def _divided(pair: Pair, amount: Decimal, markets: Sequence[Market]) -> list[Share]:
    """The best division; one share where one pool alone pays as much. Raises `AmountTooSmall`, `InsufficientLiquidity`."""
    if not markets:
        raise NoRoute(venue=SPLIT)
    first, second = markets
    whole = base_units(amount, pair.token_in)
    to_first = divide(first.curve, second.curve, whole)
    shares = []
    for market, takes in ((first, to_first), (second, whole - to_first)):
        if takes:
            part = amount_of(takes, pair.token_in.decimals)
            offer = market.venue.offer(pair, market.curve, part, market.price, market.seen_at, exact_out=False)
            shares.append(Share(market, takes, market.curve.pays(takes), offer))
    return shares


def _quoted(pair: Pair, amount: Decimal, shares: Sequence[Share], *, cached: bool = False) -> Quote:
    offers = [share.offer for share in shares]
    better = max(offers, key=lambda offer: offer.price * (10_000 - offer.fee_bps))
    return Quote(
        pair=pair.name,
        venue=SPLIT,
        amount_in=amount,
        amount_out=sum((offer.amount_out for offer in offers), Decimal(0)),
        price=better.price,
        fee_bps=better.fee_bps,
        impact_bps=max(offer.impact_bps for offer in offers),
        observed_at=min(offer.observed_at for offer in offers),
        cached=cached,
        parts=tuple(_part(share) for share in shares),
    )


def _part(share: Share) -> Part:
    offer, pool = share.offer, share.market.pool
    address = None if pool is None else str(pool.layout.address)
    return Part(offer.venue, address, offer.amount_in, offer.amount_out)
