"""The mock world over REST, for staff: move its market, read its chain."""

from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import IsStaff
from orders.errors import ApiError, invalid
from orders.http.market_in import MarketIn, parse_market
from orders.http.parameters import pair_of_path
from orders.http.view import ERROR, ERRORS, View, json_body
from routing.controls import Controls, InvalidMove
from routing.world import world


class MockMarketView(View):
    permission = IsStaff

    @extend_schema(
        request={"application/json": msgspec.json.schema(MarketIn)["$defs"]["MarketIn"]},
        responses={200: {"type": "object"}, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Moves the mock market. A pair trades both ways: moving one direction moves the other with it."""
        wanted = parse_market(json_body(request))
        pair = pair_of_path(wanted.pair)
        try:
            controls().move(pair.name, **wanted.changes())
        except InvalidMove as error:
            raise invalid(error.field, str(error)) from None
        return Response({"pair": pair.name, **{k: str(v) for k, v in wanted.changes().items()}})


class MockChainView(View):
    permission = IsStaff
    accepts = {"GET": frozenset({"orderId"})}

    @extend_schema(
        parameters=[OpenApiParameter("orderId", OpenApiTypes.UUID)], responses={200: {"type": "object"}, **ERRORS}
    )
    def get(self, request: Request) -> Response:
        """The chain's own log: what was sent to it, and what landed. It knows nothing of the engine."""
        reference = self.asked.uuid("orderId")
        report: Any = controls().report(None if reference is None else str(reference))
        return Response(report)


def controls() -> Controls:
    """Raises `ApiError`: NOT_FOUND in a world that cannot be moved."""
    found = world().controls
    if found is None:
        raise ApiError("NOT_FOUND", "This market is real: it is not moved here.")
    return found
