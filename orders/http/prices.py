"""Pairs and their present prices over REST."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orders.http.answers import PairOut, PairsOut, PermitOut, QuotesOut, schema
from orders.http.parameters import pair_of_path
from orders.http.tokens import token_out
from orders.http.view import ERRORS, View
from orders.prices import present
from orders.wire import text
from routing.permits import Permit
from routing.world import permits, tokens, world
from triggers.ticker import market_out


class PairsView(View):
    @extend_schema(responses={200: schema(PairsOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """Every pair of a quote token and a verified one, and every other that is traded.

        `listed`: it is traded now, `polled`: its prices are always kept fresh, `permits`: the only venues and pools that it
        may use.
        """
        listed, permitted = dict.fromkeys(world().listed_pairs()), permits()
        pairs = [
            PairOut(
                pair.name,
                pair.token_in.label,
                pair.token_out.label,
                pair in listed,
                pair.name in settings.POLL_PAIRS,
                [permit_out(permit) for permit in permitted.of(pair)] or None,
            )
            for pair in dict.fromkeys([*tokens().all_pairs(), *listed])
        ]
        return Response(PairsOut(pairs, [token_out(token) for token in tokens().tokens]))


def permit_out(permit: Permit) -> PermitOut:
    return PermitOut(permit.venue, permit.pool or None, text(permit.least))


class QuotesView(View):
    @extend_schema(responses={200: schema(QuotesOut), **ERRORS})
    def get(self, request: Request, pair: str) -> Response:
        """Both venues' prices and the better of them; null where a venue does not trade the pair."""
        return Response(market_out(present(pair_of_path(pair)), world().router.now()))
