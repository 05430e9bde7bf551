"""Pairs and their present prices over REST."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orders.errors import ApiError
from orders.http.schemas import PairsOut, QuotesOut
from orders.http.views import ERRORS, View
from orders.prices import present
from routing.world import tokens, world
from triggers.ticker import market_out


class PairsView(View):
    @extend_schema(responses={200: PairsOut, **ERRORS})
    def get(self, request: Request) -> Response:
        """Every pair of known tokens; `listed`: it is traded now, `polled`: its prices are always kept fresh."""
        listed = set(world().listed_pairs())
        pairs = [
            {
                "pair": pair.name,
                "tokenIn": pair.token_in.symbol,
                "tokenOut": pair.token_out.symbol,
                "listed": pair in listed,
                "polled": pair.name in settings.POLL_PAIRS,
            }
            for pair in tokens().all_pairs()
        ]
        known = [{"symbol": t.symbol, "mint": t.mint, "decimals": t.decimals} for t in tokens().tokens]
        return Response({"pairs": pairs, "tokens": known})


class QuotesView(View):
    @extend_schema(responses={200: QuotesOut, **ERRORS})
    def get(self, request: Request, pair: str) -> Response:
        """Both venues' prices and the better of them; null where a venue does not trade the pair."""
        found = tokens().pair_named(pair)
        if found is None:
            raise ApiError("UNKNOWN_PAIR", f"{pair!r} is no pair.")
        return Response(market_out(present(found), world().router.now()))
