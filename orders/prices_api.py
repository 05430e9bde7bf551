"""Pairs and their present prices over REST."""

import logging
from time import time

import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orders.api import ERRORS, View
from orders.errors import ApiError
from orders.quotes import ASK_S
from orders.serializers import PairsOut, QuotesOut
from routing import tokens
from routing.poller import prices_of
from routing.prices import PairPrices, PriceStore
from routing.values import Pair
from routing.world import world
from triggers.ticker import WATCHED, WATCHED_S, market_out

log = logging.getLogger(__name__)


class PairsView(View):
    @extend_schema(responses={200: PairsOut, **ERRORS})
    def get(self, request: Request) -> Response:
        """Every pair of known tokens; `listed`: it is traded now, `polled`: its prices are always kept fresh."""
        listed = set(world().market.listed_pairs())
        pairs = [
            {
                "pair": pair.name,
                "tokenIn": pair.token_in.symbol,
                "tokenOut": pair.token_out.symbol,
                "listed": pair in listed,
                "polled": pair.name in settings.POLL_PAIRS,
            }
            for pair in tokens.all_pairs()
        ]
        known = [{"symbol": t.symbol, "mint": t.mint, "decimals": t.decimals} for t in tokens.TOKENS]
        return Response({"pairs": pairs, "tokens": known})


class QuotesView(View):
    @extend_schema(responses={200: QuotesOut, **ERRORS})
    def get(self, request: Request, pair: str) -> Response:
        """Both venues' prices and the better of them; null where a venue does not trade the pair."""
        found = tokens.pair_named(pair)
        if found is None:
            raise ApiError("UNKNOWN_PAIR", f"{pair!r} is no pair.")
        return Response(market_out(present(found), world().router.now()))


def present(pair: Pair) -> PairPrices:
    """The poller's prices while they are fresh, else the venues' own, else the last known."""
    router = world().router
    store = PriceStore(settings.REDIS_URL)
    cached = None
    try:
        cached = store.read([pair.name]).get(pair.name)
        if cached and cached.best and router.now() - cached.best.observed_at <= router.max_age:
            return cached
        store.redis.zadd(WATCHED, {pair.name: (time() + WATCHED_S) * 1000})
    except redis.RedisError as error:
        log.warning("no cached prices: %s", error)
    finally:
        store.close()
    asked = prices_of(pair, async_to_sync(router.ticks)(pair, deadline_s=ASK_S).values(), router)
    return cached if cached and not asked.ticks else asked
