"""A world of our own over REST, for staff: move its market, read its chain, make it fail."""

from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import IsStaff
from orders.errors import ApiError, invalid
from orders.http.market_in import FaultIn, MarketIn, PoolIn, parse_fault, parse_market, parse_pool
from orders.http.parameters import pair_of_path
from orders.http.view import ERROR, ERRORS, View, json_body
from routing.controls import ChainControls, Controls, InvalidMove, Reports
from routing.world import world


class MockMarketView(View):
    permission = IsStaff

    @extend_schema(
        request={"application/json": msgspec.json.schema(MarketIn)["$defs"]["MarketIn"]},
        responses={200: {"type": "object"}, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Moves the market of the mock or of the localnet. A pair trades both ways: one direction moves the other with it."""
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
        found = controls()
        if not isinstance(found, Reports):
            raise ApiError("NOT_FOUND", "This chain is read over RPC: see docs/solana.md.")
        report: Any = found.report(None if reference is None else str(reference))
        return Response(report)


class LocalnetFaultView(View):
    permission = IsStaff

    @extend_schema(
        request={"application/json": msgspec.json.schema(FaultIn)["$defs"]["FaultIn"]},
        responses={200: {"type": "object"}, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Makes the localnet fail, so many times; `node` (1, 2, …) names one of its nodes."""
        wanted = parse_fault(json_body(request))
        try:
            return Response(chain_controls().fault(wanted.fault, wanted.count, wanted.node))
        except InvalidMove as error:
            raise invalid(error.field, str(error)) from None


class LocalnetPoolView(View):
    permission = IsStaff

    @extend_schema(
        request={"application/json": msgspec.json.schema(PoolIn)["$defs"]["PoolIn"]},
        responses={200: {"type": "object"}, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Trades one venue's pool to a price, and makes the pool where there is none: a launch."""
        wanted = parse_pool(json_body(request))
        pair = pair_of_path(wanted.pair)
        try:
            return Response({"pair": pair.name, **chain_controls().pool(pair.name, wanted.venue, wanted.price)})
        except InvalidMove as error:
            raise invalid(error.field, str(error)) from None


def controls() -> Controls:
    """Raises `ApiError`: NOT_FOUND in a world that cannot be moved."""
    found = world().controls
    if found is None:
        raise ApiError("NOT_FOUND", "This market is real: it is not moved here.")
    return found


def chain_controls() -> ChainControls:
    """Raises `ApiError`: NOT_FOUND where the chain is not a localnet."""
    found = controls()
    if not isinstance(found, ChainControls):
        raise ApiError("NOT_FOUND", "There is no localnet here: set EXECUTION_MODE=localnet.")
    return found
