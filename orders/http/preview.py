"""What an order would get if it were placed now: the arithmetic that will execute it, on the present prices."""

from datetime import UTC, datetime
from decimal import Decimal

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import MayRead
from orders.events import QuoteData
from orders.execution.steps import promised, quote_out
from orders.http.answers import PreviewOut, TestedOut, schema
from orders.http.brackets import check_bracket
from orders.http.parameters import pair_of_path
from orders.http.view import ERROR, ERRORS, View, json_body
from orders.limits import TOKEN_IN, TOKEN_OUT
from orders.models import OrderType, TriggerCondition
from orders.order_in import check_ahead, checked, checked_amount, limit_of, parse_order
from orders.plans.plan_in import plan_of_order
from orders.prices import check_limit, is_priced, present
from orders.representation import number
from orders.risk import check_risk_now
from orders.wire import text
from routing.selection import NoQuote, max_in, min_out
from routing.values import Pair, Selection
from routing.world import tokens, world

DEFAULT_SLIPPAGE_BPS = 50
PRICES_IN = [TOKEN_OUT, TOKEN_IN]
Limit = tuple[Decimal | None, Decimal | None]
"""See `limit_of`."""


class PreviewView(View):
    permission = MayRead
    accepts = {"GET": frozenset({"amount", "slippageBps", "limitPrice", "priceIn"})}

    @extend_schema(
        parameters=[
            OpenApiParameter("amount", required=True, description="Of tokenIn"),
            OpenApiParameter("slippageBps", int, description=f"0 to 5000, {DEFAULT_SLIPPAGE_BPS} by default"),
            OpenApiParameter("limitPrice", description="The worst price of a limit order"),
            OpenApiParameter("priceIn", enum=PRICES_IN, description="What limitPrice counts: tokenOut by default"),
        ],
        responses={200: schema(PreviewOut), **ERRORS},
    )
    def get(self, request: Request, pair: str) -> Response:
        """Expected and least output, price impact, and which venue would be taken and why. Nothing is promised."""
        found, asked = pair_of_path(pair), self.asked
        amount = checked_amount(asked.decimal("amount"), found.token_in)
        limit = limit_of(
            asked.decimal("limitPrice") if "limitPrice" in asked else None,
            asked.one_of("priceIn", PRICES_IN) or TOKEN_OUT,
            TriggerCondition.GTE,
        )
        slippage_bps = asked.whole("slippageBps", DEFAULT_SLIPPAGE_BPS, least=0, most=5000)
        return Response(preview(found, amount, slippage_bps, limit))


class TestView(View):
    @extend_schema(
        operation_id="orders_test",
        request={"application/json": {"$ref": "#/components/schemas/OrderIn"}},
        responses={200: schema(TestedOut), 415: ERROR, 422: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Checks an order as placing it would, and says what it would get now. Nothing is placed, and no key is used up."""
        order, now = parse_order(json_body(request)), datetime.now(UTC)
        new = checked(order, account_id=request.auth.account_id, idempotency_key=None, now=now)
        check_ahead(new.expires_at, now)
        bracket = None if order.exits is None else plan_of_order(order, new, None).spec
        pair = tokens().pair(new.token_in, new.token_out)
        if pair is not None and is_priced(new) and not order.allow_far_price:
            check_limit(new, present(pair), now)
        if bracket is not None:
            check_bracket(bracket)
        check_risk_now(new.account_id, new)
        told, limit = None, promised(new)
        # A share is decided when the order is executed: nobody knows yet what it comes to. Nor what is yet to be launched.
        if pair is not None and new.exact_out is not None:
            told = preview(pair, new.exact_out, new.slippage_bps, limit, exact_out=True, most=new.amount_in_max)
        elif pair is not None and new.amount is not None:
            told = preview(pair, new.amount, new.slippage_bps, limit, split=new.type != OrderType.SNIPER)
        return Response(TestedOut(new.resting, told))


def preview(
    pair: Pair,
    amount: Decimal,
    slippage_bps: int,
    limit: Limit,
    *,
    exact_out: bool = False,
    most: Decimal | None = None,
    split: bool = True,
) -> PreviewOut:
    """What `amount` would get at the present prices; with `exact_out` what exactly that of tokenOut would cost, `most` at the
    most; `split`: whether it may be divided. Nothing of the market where no venue can trade it now."""
    best = least = costs = None
    quotes: list[QuoteData] = []
    try:
        selection = chosen(pair, amount, exact_out=exact_out, split=split)
    except NoQuote as error:
        reason = str(error)
    else:
        best, reason = selection.winner, selection.reason
        quotes = [quote_out(quote) for quote in selection.quotes]
        if exact_out:
            least, costs = amount, max_in(pair, best, slippage_bps, limit[0], asked_price=limit[1], most=most)
        else:
            least = min_out(pair, best, slippage_bps, limit[0], asked_price=limit[1])
    expected = None if best is None else amount if exact_out else best.amount_out
    return PreviewOut(
        pair=pair.name,
        amount=None if exact_out else text(amount),
        exact_out=text(amount) if exact_out else None,
        amount_in_max=number(most),
        slippage_bps=slippage_bps,
        expected_in=number(best.amount_in) if best is not None and exact_out else None,
        max_in=number(costs),
        expected_out=number(expected),
        min_out=number(least),
        net_price=None if best is None else text(best.net_price),
        impact_bps=None if best is None else text(best.impact_bps),
        fee_bps=None if best is None else best.fee_bps,
        venue=None if best is None else best.venue,
        reason=reason,
        quotes=quotes,
    )


def chosen(pair: Pair, amount: Decimal, *, exact_out: bool = False, split: bool = True) -> Selection:
    """What the router would choose at the present prices. Raises `NoQuote`."""
    return async_to_sync(world().router.estimate)(pair, amount, present(pair).ticks, exact_out=exact_out, split=split)
