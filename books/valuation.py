"""What positions are worth now: the best net price of the direction that closes them, while it is fresh; else it is unknown."""

import asyncio
import logging
from collections.abc import Iterable
from decimal import Decimal

import redis
from asgiref.sync import async_to_sync

from books.positions import CALCULATED, Position, rounded
from orders.prices import ASK_S
from routing.poller import prices_of
from routing.prices import PairPrices
from routing.values import Pair
from routing.world import price_store, tokens, world

log = logging.getLogger(__name__)

MAX_ASKED = 20
"""Pairs whose venues are asked for one answer; asking also has them polled, so that the next answer has more."""


def prices(positions: Iterable[tuple[tuple[str, str], Position]]) -> dict[tuple[str, str], Decimal]:
    """Quote per base of each (base, quote) whose price is known."""
    closing = {}
    for key, position in positions:
        pair = tokens().pair(*key)
        if pair is not None and position.amount:
            closing[key] = pair if position.amount > 0 else pair.reverse
    best = fresh(dict.fromkeys(closing.values()))
    return {
        key: price if pair.token_in.mint == key[0] else rounded(CALCULATED.divide(Decimal(1), price))
        for key, pair in closing.items()
        if (price := best.get(pair)) is not None
    }


def fresh(pairs: Iterable[Pair]) -> dict[Pair, Decimal]:
    """The best net price of each pair: the poller's while it is fresh, else the venues' own."""
    wanted, router, store = list(pairs), world().router, price_store()
    found: dict[Pair, Decimal] = {}

    def take(pair: Pair, market: PairPrices | None) -> None:
        best = None if market is None else market.best
        if best is not None and router.now() - best.observed_at <= router.max_age:
            found[pair] = best.net_price

    try:
        cached = store.read([pair.name for pair in wanted])
        for pair in wanted:
            take(pair, cached.get(pair.name))
        for pair in wanted:
            if pair not in found:
                store.watch(pair.name)
    except redis.RedisError as error:
        log.warning("no cached prices: %s", error)
    missing = [pair for pair in wanted if pair not in found][:MAX_ASKED]

    async def ask() -> list[PairPrices]:
        answers = await asyncio.gather(*(router.ticks(pair, deadline_s=ASK_S) for pair in missing))
        return [prices_of(pair, each.values(), router) for pair, each in zip(missing, answers, strict=True)]

    if missing:
        for pair, market in zip(missing, async_to_sync(ask)(), strict=True):
            take(pair, market)
    return found
