"""What an order would get if it were placed now: the arithmetic that will execute it, on the present prices."""

from datetime import UTC, datetime
from decimal import Decimal

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import MayRead
from orders.execution.steps import promised, quote_out
from orders.http.answers import PreviewOut, TestedOut, schema
from orders.http.parameters import pair_of_path
from orders.http.view import ERROR, ERRORS, View, json_body
from orders.limits import TOKEN_IN, TOKEN_OUT
from orders.models import TriggerCondition
from orders.order_in import check_ahead, checked, checked_amount, limit_of, parse_order
from orders.prices import check_limit, is_priced, present
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
        pair = tokens().pair(new.token_in, new.token_out)
        if pair is not None and is_priced(new) and not order.allow_far_price:
            check_limit(new, present(pair), now)
        check_risk_now(new.account_id, new)
        told, limit = None, promised(new)
        # A share is decided when the order is executed: nobody knows yet what it comes to. Nor what is yet to be launched.
        if pair is not None and new.exact_out is not None:
            told = preview_out(pair, new.exact_out, new.slippage_bps, limit, new.amount_in_max)
        elif pair is not None and new.amount is not None:
            told = preview(pair, new.amount, new.slippage_bps, limit)
        return Response(TestedOut(new.resting, told))


def preview(pair: Pair, amount: Decimal, slippage_bps: int, limit: Limit) -> PreviewOut:
    """What `amount` would get at the present prices."""
    try:
        selection = chosen(pair, amount)
    except NoQuote as error:
        return told(pair, slippage_bps, str(error), None, amount=text(amount))
    best = selection.winner
    return told(
        pair,
        slippage_bps,
        selection.reason,
        selection,
        amount=text(amount),
        expected_out=text(best.amount_out),
        min_out=text(min_out(pair, best, slippage_bps, limit[0], asked_price=limit[1])),
    )


def preview_out(pair: Pair, wanted: Decimal, slippage_bps: int, limit: Limit, most: Decimal | None) -> PreviewOut:
    """What exactly `wanted` of tokenOut would cost at the present prices."""
    asked = {"exact_out": text(wanted), "amount_in_max": None if most is None else text(most)}
    try:
        selection = chosen(pair, wanted, exact_out=True)
    except NoQuote as error:
        return told(pair, slippage_bps, str(error), None, **asked)
    best = selection.winner
    return told(
        pair,
        slippage_bps,
        selection.reason,
        selection,
        **asked,
        expected_in=text(best.amount_in),
        max_in=text(max_in(pair, best, slippage_bps, limit[0], asked_price=limit[1], most=most)),
        expected_out=text(wanted),
        min_out=text(wanted),
    )


def told(pair: Pair, slippage_bps: int, reason: str, selection: Selection | None, **said: str | None) -> PreviewOut:
    """Nothing of the market where no venue can trade it now."""
    best = None if selection is None else selection.winner
    names = ("amount", "exact_out", "amount_in_max", "expected_in", "max_in", "expected_out", "min_out")
    return PreviewOut(
        pair=pair.name,
        slippage_bps=slippage_bps,
        net_price=None if best is None else text(best.net_price),
        impact_bps=None if best is None else text(best.impact_bps),
        fee_bps=None if best is None else best.fee_bps,
        venue=None if best is None else best.venue,
        reason=reason,
        quotes=[] if selection is None else [quote_out(quote) for quote in selection.quotes],
        **{name: said.get(name) for name in names},
    )


def chosen(pair: Pair, amount: Decimal, *, exact_out: bool = False) -> Selection:
    """What the router would choose at the present prices. Raises `NoQuote`."""
    return async_to_sync(world().router.estimate)(pair, amount, present(pair).ticks, exact_out=exact_out)
