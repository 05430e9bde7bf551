"""The mock world over REST, for staff: move its market, read its chain."""

from typing import Any
from uuid import UUID

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import IsStaff
from orders.errors import ApiError, invalid
from orders.http.schemas import ErrorOut
from orders.http.views import ERRORS, uuid_of
from orders.order_in import MarketIn, parse_market
from routing.controls import Controls, InvalidMove
from routing.world import tokens, world


class MockMarketView(APIView):  # type: ignore[misc]
    permission_classes = [IsStaff]

    @extend_schema(
        request={"application/json": msgspec.json.schema(MarketIn)["$defs"]["MarketIn"]},
        responses={200: {"type": "object"}, 415: ErrorOut, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Moves the mock market. A pair trades both ways: moving one direction moves the other with it."""
        if request.content_type.partition(";")[0].strip().lower() != "application/json":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
        wanted = parse_market(request._request.body)
        pair = tokens().pair_named(wanted.pair)
        if pair is None:
            raise ApiError("UNKNOWN_PAIR", f"{wanted.pair!r} is no pair.")
        try:
            controls().move(pair.name, **wanted.changes())
        except InvalidMove as error:
            raise invalid(error.field, str(error)) from None
        return Response({"pair": pair.name, **{k: str(v) for k, v in wanted.changes().items()}})


class MockChainView(APIView):  # type: ignore[misc]
    permission_classes = [IsStaff]

    @extend_schema(
        parameters=[OpenApiParameter("orderId", OpenApiTypes.UUID)], responses={200: {"type": "object"}, **ERRORS}
    )
    def get(self, request: Request) -> Response:
        """The chain's own log: what was sent to it, and what landed. It knows nothing of the engine."""
        order_id = request.query_params.get("orderId")
        reference: UUID | None = None if order_id is None else uuid_of(order_id, "orderId")
        report: Any = controls().report(None if reference is None else str(reference))
        return Response(report)


def controls() -> Controls:
    """Raises `ApiError`: NOT_FOUND in a world that cannot be moved."""
    found = world().controls
    if found is None:
        raise ApiError("NOT_FOUND", "This market is real: it is not moved here.")
    return found
