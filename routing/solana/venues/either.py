"""A venue that is traded directly and asked over HTTP: its pools that are read here, and those that its server knows besides."""

import asyncio
from decimal import Decimal
from typing import Any

from routing.solana.chain import SolanaChain
from routing.solana.recent import Recent
from routing.solana.venues.direct import DirectVenue
from routing.solana.venues.http import HttpVenue
from routing.solana.venues.signing import Sending
from routing.values import Pair, Quote, Swap, Tick
from routing.venue import InsufficientFunds, NoRoute, UnsafeTransaction, VenueError

FINAL = (InsufficientFunds, UnsafeTransaction)
"""The other way would not end otherwise, or must not be tried."""


class EitherVenue(Sending):
    """The better offer counts. Prices come from the pools where they can be read, else over HTTP."""

    def __init__(self, direct: DirectVenue, http: HttpVenue, chain: SolanaChain) -> None:
        super().__init__(chain)
        self.name = direct.name
        self._direct, self._http = direct, http
        self._better = Recent[tuple[Pair, Decimal, bool], DirectVenue | HttpVenue]()

    async def tick(self, pair: Pair) -> Tick:
        """See `Venue`."""
        try:
            return await self._direct.tick(pair)
        except NoRoute:
            return await self._http.tick(pair)

    async def quote(self, pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Quote:
        """See `Venue`. One that fails leaves the other's offer."""
        both: tuple[DirectVenue | HttpVenue, ...] = (self._direct, self._http)
        asked = (each.quote(pair, amount, exact_out=exact_out) for each in both)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        quotes = [(each, answer) for each, answer in zip(both, answers, strict=True) if isinstance(answer, Quote)]
        if not quotes:
            raise next((each for each in answers if isinstance(each, VenueError)), answers[0])  # type: ignore[misc]
        venue, best = max(quotes, key=lambda found: found[1].net_price)
        self._better[pair, amount, exact_out] = venue
        return best

    def price(self, pair: Pair, tick: Tick, amount: Decimal, *, exact_out: bool = False) -> Quote | None:
        """See `Venue`: a pool that is read here need not be the venue's best one for the amount."""
        return None

    async def build(self, pair: Pair, quote: Quote, **asked: Any) -> Swap:
        """See `Venue`. By the way that offered more; the other one where that fails before anything is signed."""
        amount = quote.amount_out if quote.exact_out else quote.amount_in
        first = self._better.get((pair, amount, quote.exact_out), self._direct)
        second = self._http if first is self._direct else self._direct
        try:
            return await first.build(pair, quote, **asked)
        except FINAL:
            raise
        except VenueError as error:
            try:
                return await second.build(pair, quote, **asked)
            except VenueError:
                raise error from None
