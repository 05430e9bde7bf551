"""Orders over REST, beside the two hot endpoints of `orders.http.intake`."""

import secrets
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, Ticket, digest
from accounts.rest import MayRead
from orders import commands
from orders.http.answers import (
    AttemptOut,
    ChangedOut,
    EventsOut,
    OrdersOut,
    QuotesOfOrderOut,
    TicketOut,
    schema,
)
from orders.http.parameters import MAX_SEQ, PAGE, Parameters
from orders.http.view import ERROR, ERRORS, IF_MATCH, IF_NONE_MATCH, LIMIT, View, is_known, json_body, page
from orders.lifecycle import FINAL, Status
from orders.models import Order, OrderType
from orders.order_in import parse_amend
from orders.representation import OrderOut, event_out, order_out
from orders.wire import timestamp

TICKET_S = 30
STATUSES = [status.value for status in Status]


class OrdersView(View):
    accepts = {"GET": frozenset({"status", "type", "pair", "clientOrderId", "cursor", "limit"})}

    @extend_schema(
        operation_id="orders_list",
        parameters=[
            OpenApiParameter("status", enum=STATUSES),
            OpenApiParameter("type", enum=OrderType.values),
            OpenApiParameter("pair", description="`SOL-USDC`; symbols in any case, or mints"),
            OpenApiParameter("clientOrderId"),
            OpenApiParameter("cursor", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
        ],
        responses={200: schema(OrdersOut), **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """The account's orders, newest first."""
        orders = Order.objects.filter(account_id=request.auth.account_id, **wanted(self.asked)).order_by("-id")
        found, following = page(orders, self.asked.limit(), lambda order: order.id)
        return Response(OrdersOut([order_out(order) for order in found], following))


def wanted(asked: Parameters) -> dict[str, Any]:
    """The conditions of a list."""
    conditions: dict[str, Any] = {}
    if status := asked.one_of("status", STATUSES):
        # The partial indexes hang on what changes once in an order's life, not on its status.
        conditions |= {"status": status, "finished_at__isnull": status not in FINAL}
        if status in FINAL and status != Status.CONFIRMED:
            conditions["tx_hash"] = None
    if kind := asked.one_of("type", OrderType.values):
        conditions["type"] = kind
    if pair := asked.pair("pair"):
        conditions |= {"token_in": pair.token_in.symbol, "token_out": pair.token_out.symbol}
    if client_order_id := asked.text("clientOrderId"):
        conditions["client_order_id"] = client_order_id
    if cursor := asked.uuid("cursor"):
        conditions["id__lt"] = cursor
    return conditions


class OrderView(View):
    @extend_schema(parameters=[IF_NONE_MATCH], responses={200: schema(OrderOut), 304: None, **ERRORS})
    def get(self, request: Request, order_id: str) -> Response:
        """One order. `ETag` is its seq."""
        order = self.order(order_id)
        if is_known(request, entity_tag(order)):
            return Response(status=304, headers={"ETag": entity_tag(order)})
        return Response(order_out(order), headers={"ETag": entity_tag(order)})

    @extend_schema(parameters=[IF_MATCH], responses={200: schema(OrderOut), 409: ERROR, 412: ERROR, **ERRORS})
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancels an order that is not being executed yet; again: the same answer."""
        return self.changed(commands.cancel(self.order(order_id), self.asker()))

    @extend_schema(
        parameters=[IF_MATCH],
        request={
            "application/json": {
                "type": "object",
                "properties": {
                    "limitPrice": {"type": "string"},
                    "amount": {"type": "string"},
                    "expiresAt": {"type": "string", "format": "date-time", "nullable": True},
                    "slippageBps": {"type": "integer", "minimum": 0, "maximum": 5000},
                    "allowFarPrice": {"type": "boolean", "default": False},
                },
                "additionalProperties": False,
                "minProperties": 1,
            }
        },
        responses={200: schema(OrderOut), 409: ERROR, 412: ERROR, 415: ERROR, **ERRORS},
    )
    def patch(self, request: Request, order_id: str) -> Response:
        """Changes an order that waits for its trigger."""
        order = self.order(order_id)
        return self.changed(commands.amend(order, parse_amend(json_body(request)), self.asker()))

    def changed(self, order: Order) -> Response:
        """A key that may only trade is not shown the order."""
        if self.request.auth.may(Scope.READ):
            return Response(order_out(order), headers={"ETag": entity_tag(order)})
        return Response(ChangedOut(str(order.id), order.status, order.seq), headers={"ETag": entity_tag(order)})


def entity_tag(order: Order) -> str:
    """For `If-Match` and `If-None-Match`: an order changes only with its seq."""
    return f'"{order.seq}"'


class EventsView(View):
    accepts = {"GET": frozenset({"after"})}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "maximum": MAX_SEQ},
                description="Only events after this seq",
            )
        ],
        responses={200: schema(EventsOut), **ERRORS},
    )
    def get(self, request: Request, order_id: str) -> Response:
        """What happened to an order, in order."""
        after = self.asked.whole("after", 0, least=0, most=MAX_SEQ)
        events = self.order(order_id).events.filter(seq__gt=after).order_by("seq")
        return Response(EventsOut([event_out(*row) for row in events.values_list("seq", "status", "at", "data")]))


class QuotesOfOrderView(View):
    @extend_schema(responses={200: schema(QuotesOfOrderOut), **ERRORS})
    def get(self, request: Request, order_id: str) -> Response:
        """Every venue's quote of every attempt, the winner and why it won."""
        events = self.order(order_id).events.filter(data__has_key="quotes").order_by("seq")
        attempts = [
            AttemptOut(
                event.data.get("attempt"),
                timestamp(event.at),
                event.data["quotes"],
                event.data.get("refusals", []),
                event.data.get("venue"),
                event.data.get("reason"),
            )
            for event in events
        ]
        return Response(QuotesOfOrderOut(attempts))


class TicketView(View):
    permission = MayRead

    @extend_schema(request=None, responses={200: schema(TicketOut), **ERRORS})
    def post(self, request: Request) -> Response:
        """A ticket that opens one WebSocket within thirty seconds: `/ws/…?ticket=…`."""
        secret = secrets.token_urlsafe(32)
        now = timezone.now()
        Ticket.objects.filter(expires_at__lt=now).delete()
        Ticket.objects.create(
            hash=digest(secret),
            account_id=request.auth.account_id,
            scopes=sorted(request.auth.scopes),
            issuer=request.auth.credential or None,
            expires_at=now + timedelta(seconds=TICKET_S),
        )
        return Response(TicketOut(secret, TICKET_S))
