"""Present prices: on a web process' event loop for sockets and for the check of new orders, in its threads for REST."""

import asyncio
import logging
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any, Protocol

import redis
from asgiref.sync import async_to_sync
from msgspec.structs import replace

from orders.errors import ApiError
from orders.ledger.statements import NewOrder
from orders.limits import shown_inverse
from orders.models import SniperKind
from orders.order_in import OrderIn
from routing.poller import listed, prices_of
from routing.prices import PairPrices, PriceFeed
from routing.router import Router
from routing.values import Pair, Refusal, Tick, VenueName
from routing.world import price_store, tokens, world
from triggers.rules import is_far, plain
from triggers.ticker import market_out

log = logging.getLogger(__name__)

ASK_S = 0.3
"""For the venues' answer: accepting an order waits no longer than this."""
ASKED_FOR_S = 0.1
"""Orders that arrive together share an answer."""
SENSIBLE_FOR = timedelta(minutes=1)
"""A price of this age is still good enough to recognise a typing error."""
TRIES = 3

Answers = dict[VenueName, Tick | Refusal]


class Quotes:
    """The poller's prices, or the venues' own for a pair that is not polled."""

    def __init__(self, router: Router, feed: PriceFeed) -> None:
        self._router = router
        self._feed = feed
        self._asked: dict[str, tuple[float, asyncio.Task[Answers]]] = {}

    async def market(self, pair: Pair) -> PairPrices:
        """Fresh prices from the poller or the venues, else the last known; without any tick where no venue trades the pair."""
        cached = await self._feed.market(pair)
        if cached is not None and cached.best is not None and self._age(cached) <= self._router.max_age:
            return cached
        asked = prices_of(pair, (await self.ask(pair)).values(), self._router)
        return cached if cached is not None and asked.best is None else asked

    async def ask(self, pair: Pair) -> Answers:
        """The venues' answers; orders that ask within `ASKED_FOR_S` share them."""
        at, asking = self._asked.get(pair.name, (0.0, None))
        if asking is None or monotonic() - at > ASKED_FOR_S:
            asking = asyncio.ensure_future(self._router.ticks(pair, deadline_s=ASK_S))
            self._asked[pair.name] = (monotonic(), asking)
        return await asyncio.shield(asking)

    async def message(self, pair: Pair) -> dict[str, Any]:
        """The WebSocket message of the present prices."""
        return {"type": "quotes", **market_out(await self.market(pair), self._router.now())}

    async def watch(self, pair: Pair) -> None:
        """A client watches the pair: it is polled for a while, if Redis answers."""
        await self._feed.watch(pair)

    async def screen(self, order: OrderIn, new: NewOrder) -> NewOrder:
        """The order, completed by what its trigger needs to know of the present market.

        Raises `ApiError`: PRICE_NOT_SENSIBLE.
        """
        pair = tokens().pair(new.token_in, new.token_out)
        if pair is None:  # A mint that is not known yet: its launch is to come.
            return replace(new, launched_before=False)
        if is_priced(new) and not order.allow_far_price:
            await self._check_price(pair, new)
        elif new.trigger_kind == SniperKind.TOKEN_LAUNCH:
            return replace(new, launched_before=await self._is_listed(pair))
        return new

    async def _check_price(self, pair: Pair, new: NewOrder) -> None:
        cached = await self._feed.market(pair)
        if cached is None or cached.best is None or self._age(cached) > SENSIBLE_FOR:
            cached = await self.market(pair)
        check_limit(new, cached, self._router.now())

    async def _is_listed(self, pair: Pair) -> bool:
        """While the venues do not answer, it counts as listed: a launch sniper must not fire by mistake."""
        for _ in range(TRIES):
            known = listed(await self.ask(pair))
            if known is not None:
                return known
            await asyncio.sleep(ASKED_FOR_S)
        return True

    def _age(self, market: PairPrices) -> timedelta:
        return self._router.now() - market.best.observed_at if market.best else timedelta.max


async def latest(pair: Pair) -> PairPrices:
    """The poller's prices while they are fresh, else the venues' own, else the last known. For requests of their own, where no
    other asks at the same time: `Quotes` shares answers."""
    router, store = world().router, price_store()
    cached = None
    try:
        cached = (await asyncio.to_thread(store.read, [pair.name])).get(pair.name)
        if cached and cached.best and router.now() - cached.best.observed_at <= router.max_age:
            return cached
        await asyncio.to_thread(store.watch, pair.name)
    except redis.RedisError as error:
        log.warning("no cached prices: %s", error)
    asked = prices_of(pair, (await router.ticks(pair, deadline_s=ASK_S)).values(), router)
    return cached if cached and not asked.ticks else asked


def present(pair: Pair) -> PairPrices:
    """`latest`, blocking."""
    return async_to_sync(latest)(pair)


class Priced(Protocol):
    """The columns of an order that say at what price it trades."""

    @property
    def limit_price(self) -> Decimal | None: ...
    @property
    def asked_price(self) -> Decimal | None: ...
    @property
    def trail_bps(self) -> int | None: ...


def is_priced(order: Priced) -> bool:
    """Whether the order names a price. A trailing stop has none until it has followed one."""
    return order.limit_price is not None and order.trail_bps is None


def check_limit(order: Priced, market: PairPrices, now: datetime) -> None:
    """`check_price` of an order that is priced."""
    assert order.limit_price is not None
    check_price(order.limit_price, market, now, asked_price=order.asked_price)


def check_price(limit_price: Decimal, market: PairPrices, now: datetime, *, asked_price: Decimal | None = None) -> None:
    """Raises `ApiError`: PRICE_NOT_SENSIBLE. A market not seen for a minute refuses nothing.

    `asked_price`: the limit was asked for in tokenIn.
    """
    if (
        market.best is None
        or now - market.best.observed_at > SENSIBLE_FOR
        or not is_far(limit_price, market.best.net_price)
    ):
        return
    best = plain(market.best.net_price if asked_price is None else shown_inverse(market.best.net_price))
    text = f"is more than 10 times away from the present price of {best}; say allowFarPrice if you mean it"
    raise ApiError("PRICE_NOT_SENSIBLE", f"limitPrice {text}", {"limitPrice": [text]})
