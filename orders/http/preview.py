"""What an order would get if it were placed now: the arithmetic that will execute it, on the present prices."""

from decimal import Decimal

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import MayRead
from orders.execution.steps import quote_out
from orders.http.answers import PreviewOut, schema
from orders.http.parameters import pair_of_path
from orders.http.view import ERRORS, View
from orders.order_in import checked_amount, checked_price
from orders.prices import present
from orders.wire import text
from routing.selection import NoQuote, min_out
from routing.values import Pair, Selection
from routing.world import world

DEFAULT_SLIPPAGE_BPS = 50


class PreviewView(View):
    permission = MayRead
    accepts = {"GET": frozenset({"amount", "slippageBps", "limitPrice"})}

    @extend_schema(
        parameters=[
            OpenApiParameter("amount", required=True, description="Of tokenIn"),
            OpenApiParameter("slippageBps", int, description=f"0 to 5000, {DEFAULT_SLIPPAGE_BPS} by default"),
            OpenApiParameter("limitPrice", description="The worst price of a limit order"),
        ],
        responses={200: schema(PreviewOut), **ERRORS},
    )
    def get(self, request: Request, pair: str) -> Response:
        """Expected and least output, price impact, and which venue would be taken and why. Nothing is promised."""
        found, asked = pair_of_path(pair), self.asked
        amount = checked_amount(asked.decimal("amount"), found.token_in)
        limit_price = checked_price("limitPrice", asked.decimal("limitPrice")) if "limitPrice" in asked else None
        slippage_bps = asked.whole("slippageBps", DEFAULT_SLIPPAGE_BPS, least=0, most=5000)
        try:
            selection = chosen(found, amount)
        except NoQuote as error:
            return Response(
                PreviewOut(
                    pair=found.name,
                    amount=text(amount),
                    slippage_bps=slippage_bps,
                    expected_out=None,
                    min_out=None,
                    net_price=None,
                    impact_bps=None,
                    fee_bps=None,
                    venue=None,
                    reason=str(error),
                    quotes=[],
                )
            )
        best = selection.winner
        return Response(
            PreviewOut(
                pair=found.name,
                amount=text(amount),
                slippage_bps=slippage_bps,
                expected_out=text(best.amount_out),
                min_out=text(min_out(found, best, slippage_bps, limit_price)),
                net_price=text(best.net_price),
                impact_bps=text(best.impact_bps),
                fee_bps=best.fee_bps,
                venue=best.venue,
                reason=selection.reason,
                quotes=[quote_out(quote) for quote in selection.quotes],
            )
        )


def chosen(pair: Pair, amount: Decimal) -> Selection:
    """What the router would choose at the present prices. Raises `NoQuote`."""
    return async_to_sync(world().router.estimate)(pair, amount, present(pair).ticks)
