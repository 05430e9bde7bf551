"""A mock venue: it quotes the shared mock market, with the delays and the failures of a real one."""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec

from routing.chain import Chain
from routing.clock import Clock, utc_now
from routing.mock import rows, settlement
from routing.mock.market import Market
from routing.mock.market_file import Health
from routing.mock.pool import quote_for_output, quote_from_tick
from routing.mock.settlement import Terms
from routing.mock.tokens import market_name
from routing.permits import Permits
from routing.selection import bound, bound_in
from routing.signer import Signer
from routing.values import Pair, Quote, Swap, SwapStatus, Tick, Validity, VenueName
from routing.venue import VenueUnavailable

# Seconds, from and to; with the chain's landing they make an order of 2 to 3 s.
_TICK_S = (0.02, 0.06)
_QUOTE_S = (0.20, 0.40)
_BUILD_S = (0.05, 0.15)
_SUBMIT_S = (0.10, 0.20)
_STEP_S = 0.01
_SLOW_S = 5.0
"""What a slow venue takes on top: past every deadline. Not scaled by the latency: a venue is made slow to be late."""


class MockVenue:
    """`latency` is a factor on the waits, 0 = none; `failure_rate` (0..1) the part of calls that fail.

    `clock` dates ticks and quotes for those who judge their age; `world_clock` is that of market and chain, the same by default.
    """

    def __init__(
        self,
        name: VenueName,
        market: Market,
        chain: Chain,
        *,
        valid_s: float,
        latency: float = 1.0,
        failure_rate: float = 0.0,
        clock: Clock = utc_now,
        world_clock: Clock | None = None,
        rng: random.Random | None = None,
        permits: Callable[[], Permits] = Permits,
    ) -> None:
        self.name = name
        self._market = market
        self._chain = chain
        self._valid = timedelta(seconds=valid_s)
        self._latency = latency
        self._failure_rate = failure_rate
        self._clock = clock
        self._world_clock = world_clock or clock
        self._rng = rng or random.Random()
        self._permits = permits

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`."""
        await self._answer(pair, _TICK_S)
        return self._tick(pair)

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """See `Venue`."""
        await self._answer(pair, _QUOTE_S)
        return (quote_for_output if exact_out else quote_from_tick)(pair, self._tick(pair), amount, cached=False)

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        """See `Venue`. All of a mock pool's state is in its tick."""
        return (quote_for_output if exact_out else quote_from_tick)(pair, tick, amount, cached=True)

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
        """See `Venue`. Valid for `valid_s` from now; the mock chain has no wallets and takes no fees."""
        await self._answer(pair, _BUILD_S)
        if quote.cached:
            # The pool is at hand: its offer takes no time of its own.
            if max_in is not None:
                offer = quote_for_output(pair, self._tick(pair), quote.amount_out, cached=False)
                max_in = bound_in(pair, offer, most=max_in, slippage_bps=slippage_bps)
            else:
                offer = quote_from_tick(pair, self._tick(pair), quote.amount_in, cached=False)
                min_out = bound(pair, offer, least=min_out, slippage_bps=slippage_bps)
        valid_until = self._world_clock() + self._valid
        payload = settlement.encode(
            Terms(
                reference=reference,
                attempt=attempt,
                venue=self.name,
                pair=market_name(pair),
                amount_in=quote.amount_in if max_in is None else max_in,
                quoted_price=quote.price,
                min_out=min_out,
                valid_until=valid_until,
                nonce=settlement.nonce(),
                exact_out=max_in is not None,
            )
        )
        return Swap(
            reference=reference,
            attempt=attempt,
            venue=self.name,
            signature=settlement.sign(payload),
            payload=payload,
            min_out=min_out,
            max_in=max_in,
            validity=Validity(rows.micros(valid_until)),
            valid_until=valid_until,
        )

    async def submit(self, swap: Swap) -> None:
        """See `Venue`. The chain's own misbehaviour aside, a mock venue always reaches its chain."""
        await self._pause(_SUBMIT_S)
        await self._chain.submit(swap)

    async def wait(self, swap: Swap, *, timeout_s: float) -> SwapStatus:
        """See `Venue`."""
        return await self._chain.wait(swap, timeout_s=timeout_s)

    async def status(self, swaps: Sequence[Swap]) -> list[SwapStatus]:
        """See `Venue`."""
        return await self._chain.status(swaps)

    def _tick(self, pair: Pair) -> Tick:
        tick = self._market.tick(pair, self.name, self._world_clock())
        self._permits().at(pair, self.name).check_depth(tick.liquidity)
        return msgspec.structs.replace(tick, observed_at=self._clock())

    async def _answer(self, pair: Pair, seconds: tuple[float, float]) -> None:
        """Takes a venue's time; raises `VenueUnavailable` when it is set to fail or does so at random."""
        await self._pause(seconds)
        health = self._market.health(pair, self.name)
        if health is Health.SLOW:
            await asyncio.sleep(_SLOW_S)
        if health is Health.ERROR or (self._failure_rate and self._rng.random() < self._failure_rate):
            raise VenueUnavailable(venue=self.name)

    async def _pause(self, seconds: tuple[float, float]) -> None:
        if self._latency:
            # Until a step of the clock: whoever waits for a venue wakes the process together with others.
            now = asyncio.get_running_loop().time()
            ends = now + self._rng.uniform(*seconds) * self._latency
            await asyncio.sleep(math.ceil(ends / _STEP_S) * _STEP_S - now)
