"""Orders over REST, beside the two hot endpoints of `orders.http.intake`."""

import secrets
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Annotated, Literal

import msgspec
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, Ticket, digest
from accounts.rest import MayRead
from orders import commands
from orders.errors import ApiError
from orders.http.answers import (
    AttemptOut,
    CancelAfterOut,
    CancelErrorOut,
    CancelledOut,
    CancelResultOut,
    ChangedOut,
    EventsOut,
    OrdersOut,
    QuotesOfOrderOut,
    TicketOut,
    schema,
)
from orders.http.parameters import MAX_SEQ, PAGE, Parameters
from orders.http.view import ERROR, ERRORS, IF_MATCH, IF_NONE_MATCH, LIMIT, View, is_known, json_body, page, polled
from orders.ids import first_id
from orders.json_in import Reader
from orders.lifecycle import FINAL, Status
from orders.mints import stored_as
from orders.models import DeadMan, Order, OrderType
from orders.order_in import parse_amend
from orders.representation import OrderOut, event_out, order_out
from orders.wire import timestamp

TICKET_S = 30
MAX_CANCELLED = 1_000
STATUSES = [status.value for status in Status]
ORDERS = ["desc", "asc"]


class OrdersView(View):
    accepts = {
        "GET": frozenset(
            {
                "status",
                "type",
                "pair",
                "token",
                "clientOrderId",
                "from",
                "to",
                "updatedAfter",
                "order",
                "cursor",
                "limit",
            }
        ),
        "DELETE": frozenset({"pair", "type", "clientOrderId", "clientPrefix"}),
    }

    @extend_schema(
        operation_id="orders_list",
        parameters=[
            OpenApiParameter("status", enum=STATUSES, many=True, explode=False, description="One or several"),
            OpenApiParameter("type", enum=OrderType.values),
            OpenApiParameter("pair", description="`SOL-USDC`; symbols in any case, or mints"),
            OpenApiParameter("token", description="Sold or bought; a symbol in any case, or a mint"),
            OpenApiParameter("clientOrderId"),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="Placed then or later"),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="Placed before"),
            OpenApiParameter("updatedAfter", OpenApiTypes.DATETIME, description="Changed later than that"),
            OpenApiParameter("order", enum=ORDERS, description="By the time of placing; `desc` by default"),
            OpenApiParameter("cursor", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
            IF_NONE_MATCH,
        ],
        responses={200: schema(OrdersOut), 304: None, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """The account's orders, newest first unless `order=asc`."""
        ascending = self.asked.one_of("order", ORDERS) == "asc"
        orders = Order.objects.filter(wanted(self.asked, ascending=ascending), account_id=request.auth.account_id)
        orders = orders.order_by("id" if ascending else "-id")
        found, following = page(orders, self.asked.limit(), lambda order: order.id)
        return polled(request, OrdersOut([order_out(order) for order in found], following))

    @extend_schema(
        operation_id="orders_cancel",
        parameters=[
            OpenApiParameter("pair", description="`SOL-USDC`; symbols in any case, or mints"),
            OpenApiParameter("type", enum=OrderType.values),
            OpenApiParameter("clientOrderId", description="The one of that name; no result where it is not open"),
            OpenApiParameter("clientPrefix", description="What clientOrderId begins with"),
        ],
        responses={200: schema(CancelledOut), **ERRORS},
    )
    def delete(self, request: Request) -> Response:
        """Cancels the account's open orders, all or those that are named; with an answer for each. At most 1,000 at a time,
        the oldest first."""
        orders = Order.objects.filter(wanted(self.asked), account_id=request.auth.account_id, finished_at=None)
        if prefix := self.asked.text("clientPrefix"):
            orders = orders.filter(client_order_id__startswith=prefix)
        found = list(orders.order_by("id")[:MAX_CANCELLED])
        ended = commands.cancel_many(found, self.asker())
        return Response(CancelledOut([cancelled_out(*pair) for pair in zip(found, ended, strict=True)]))


def cancelled_out(order: Order, ended: Order | ApiError) -> CancelResultOut:
    if isinstance(ended, ApiError):
        return CancelResultOut(str(order.pk), error=CancelErrorOut(ended.code, ended.message))
    return CancelResultOut(str(order.pk), status=ended.status)


class CancelAfterIn(msgspec.Struct, forbid_unknown_fields=True):
    seconds: Annotated[int, msgspec.Meta(ge=0, le=86_400)]
    scope: Literal["entries", "all"] = "entries"


cancel_after_reader = Reader(CancelAfterIn)


class CancelAfterView(View):
    @extend_schema(
        operation_id="cancel_after",
        request={
            "application/json": {
                "type": "object",
                "required": ["seconds"],
                "properties": {
                    "seconds": {"type": "integer", "minimum": 0, "maximum": 86400},
                    "scope": {"type": "string", "enum": ["entries", "all"], "default": "entries"},
                },
                "additionalProperties": False,
            }
        },
        responses={200: schema(CancelAfterOut), 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Cancels the account's orders unless this is asked for again within the time (a dead man's switch); 0: not at all."""
        asked: CancelAfterIn = cancel_after_reader.read(json_body(request))
        account_id = request.auth.account_id
        if not asked.seconds:
            DeadMan.objects.filter(account_id=account_id).delete()
            return Response(CancelAfterOut(None))
        with connection.cursor() as cursor:  # By Postgres' clock, which ends it, too.
            cursor.execute(SET_DEAD_MAN, [account_id, asked.seconds, asked.seconds, asked.scope])
            [at] = cursor.fetchone()
        return Response(CancelAfterOut(timestamp(at)))


SET_DEAD_MAN = """
INSERT INTO orders_deadman (account_id, at, seconds, scope, extended)
VALUES (%s, now() + %s * interval '1 second', %s, %s, false)
ON CONFLICT (account_id) DO UPDATE SET at = EXCLUDED.at, seconds = EXCLUDED.seconds, scope = EXCLUDED.scope, extended = false
RETURNING at
"""


def wanted(asked: Parameters, *, ascending: bool = False) -> Q:
    """The conditions of a list."""
    conditions = Q()
    if statuses := asked.some_of("status", STATUSES):
        conditions &= reduce(or_, map(at_status, statuses))
    if kind := asked.one_of("type", OrderType.values):
        conditions &= Q(type=kind)
    if pair := asked.pair("pair"):
        conditions &= Q(token_in__in=stored_as(pair.token_in.mint), token_out__in=stored_as(pair.token_out.mint))
    if token := asked.token("token"):
        stored = stored_as(token.mint)
        conditions &= Q(token_in__in=stored) | Q(token_out__in=stored)
    if client_order_id := asked.text("clientOrderId"):
        conditions &= Q(client_order_id=client_order_id)
    # An id begins with its time, so a range of time is a range of the index that the list is read from.
    if placed_from := asked.moment("from"):
        conditions &= Q(id__gte=first_id(placed_from))
    if placed_to := asked.moment("to"):
        conditions &= Q(id__lt=first_id(placed_to))
    if updated_after := asked.moment("updatedAfter"):
        conditions &= Q(finished_at=None, updated_at__gt=updated_after) | Q(finished_at__gt=updated_after)
    if cursor := asked.uuid("cursor"):
        conditions &= Q(id__gt=cursor) if ascending else Q(id__lt=cursor)
    return conditions


def at_status(status: str) -> Q:
    """The partial indexes hang on what changes once in an order's life, not on its status."""
    found = Q(status=status, finished_at__isnull=status not in FINAL)
    return found & Q(tx_hash=None) if status in FINAL and status != Status.CONFIRMED else found


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
                    "priceIn": {"type": "string", "enum": ["tokenOut", "tokenIn"]},
                    "amount": {"type": "string"},
                    "amountOut": {"type": "string"},
                    "amountInMax": {"type": "string"},
                    "expiresAt": {"type": "string", "format": "date-time", "nullable": True},
                    "slippageBps": {"type": "integer", "minimum": 0, "maximum": 5000},
                    "trailBps": {"type": "integer", "minimum": 50, "maximum": 9000},
                    "allowFarPrice": {"type": "boolean", "default": False},
                },
                "additionalProperties": False,
                "minProperties": 1,
            }
        },
        responses={200: schema(OrderOut), 409: ERROR, 412: ERROR, 415: ERROR, 422: ERROR, **ERRORS},
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
