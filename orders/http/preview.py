"""What an order would get if it were placed now: the arithmetic that will execute it, on the present prices."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.errors import ApiError, invalid
from orders.execution.steps import quote_out
from orders.http.schemas import PreviewOut
from orders.http.views import ERRORS, whole
from orders.order_in import checked_amount, checked_price
from orders.prices import present
from orders.wire import text
from routing.selection import NoQuote, min_out
from routing.values import Pair, Selection
from routing.world import tokens, world

MAX_NUMBER = 80
DEFAULT_SLIPPAGE_BPS = 50


class PreviewView(APIView):  # type: ignore[misc]
    @extend_schema(
        parameters=[
            OpenApiParameter("amount", required=True, description="Of tokenIn"),
            OpenApiParameter("slippageBps", int, description=f"0 to 5000, {DEFAULT_SLIPPAGE_BPS} by default"),
            OpenApiParameter("limitPrice", description="The worst price of a limit order"),
        ],
        responses={200: PreviewOut, **ERRORS},
    )
    def get(self, request: Request, pair: str) -> Response:
        """Expected and least output, price impact, and which venue would be taken and why. Nothing is promised."""
        found = tokens().pair_named(pair)
        if found is None:
            raise ApiError("UNKNOWN_PAIR", f"{pair!r} is no pair.")
        asked = request.query_params
        amount = checked_amount(decimal(asked, "amount"), found.token_in)
        limit_price = checked_price("limitPrice", decimal(asked, "limitPrice")) if "limitPrice" in asked else None
        slippage_bps = whole(asked, "slippageBps", DEFAULT_SLIPPAGE_BPS, least=0, most=5000)
        answer: dict[str, Any] = {"pair": found.name, "amount": text(amount), "slippageBps": slippage_bps}
        try:
            selection = chosen(found, amount)
        except NoQuote as error:
            nothing = dict.fromkeys(("expectedOut", "minOut", "netPrice", "impactBps", "feeBps", "venue"))
            return Response({**answer, **nothing, "reason": str(error), "quotes": []})
        best = selection.winner
        return Response(
            {
                **answer,
                "expectedOut": text(best.amount_out),
                "minOut": text(min_out(found, best, slippage_bps, limit_price)),
                "netPrice": text(best.net_price),
                "impactBps": text(best.impact_bps),
                "feeBps": best.fee_bps,
                "venue": best.venue,
                "reason": selection.reason,
                "quotes": [msgspec.to_builtins(quote_out(quote)) for quote in selection.quotes],
            }
        )


def chosen(pair: Pair, amount: Decimal) -> Selection:
    """What the router would choose at the present prices. Raises `NoQuote`."""
    return async_to_sync(world().router.estimate)(pair, amount, present(pair).ticks)


def decimal(parameters: Any, name: str) -> Decimal:
    given = parameters.get(name, "")
    try:
        if len(given) > MAX_NUMBER:
            raise InvalidOperation
        return Decimal(given)
    except InvalidOperation:
        raise invalid(name, "must be a number") from None
