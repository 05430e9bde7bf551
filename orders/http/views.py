"""The REST API beside the two hot endpoints of `orders.http.intake`."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Ticket, digest
from accounts.rest import IsStaff, MayRead, MayTrade
from orders import commands
from orders.errors import ApiError, invalid
from orders.http.schemas import DeadLettersOut, ErrorOut, EventsOut, OrderOut, OrdersOut, QuotesOfOrderOut
from orders.lifecycle import FINAL, Status
from orders.models import DeadLetter, Order, OrderType
from orders.order_in import parse_amend
from orders.representation import event_out, order_out
from orders.wire import timestamp

TICKET_S = 30
PAGE, MAX_PAGE = 50, 200
MAX_SEQ = 2**31 - 1
LIMIT = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
ERRORS = dict.fromkeys((400, 401, 403, 404, 429, 503), ErrorOut)


class View(APIView):  # type: ignore[misc]
    def get_permissions(self) -> list[Any]:
        return [MayRead()] if self.request.method in ("GET", "HEAD", "OPTIONS") else [MayTrade()]

    def order(self, order_id: str) -> Order:
        """The caller's order; staff sees everybody's."""
        caller = self.request.auth
        try:
            return commands.find(UUID(order_id), None if caller.is_staff else caller.account_id)
        except (ValueError, Order.DoesNotExist):
            raise Http404 from None


def whole(parameters: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    text = parameters.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or not least <= int(text) <= most:
        raise invalid(name, f"must be a whole number from {least} to {most}")
    return int(text)


def one_of(parameters: Mapping[str, str], name: str, allowed: list[str]) -> str | None:
    value = parameters.get(name)
    if value is not None and value not in allowed:
        raise invalid(name, f"must be one of {', '.join(allowed)}")
    return value


class OrdersView(View):
    @extend_schema(
        operation_id="orders_list",
        parameters=[
            OpenApiParameter("status", enum=[status.value for status in Status]),
            OpenApiParameter("type", enum=OrderType.values),
            OpenApiParameter("pair", description="`SOL-USDC`"),
            OpenApiParameter("clientOrderId"),
            OpenApiParameter("cursor", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
        ],
        responses={200: OrdersOut, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """The account's orders, newest first."""
        asked = request.query_params
        limit = whole(asked, "limit", PAGE, least=1, most=MAX_PAGE)
        orders = Order.objects.filter(account_id=request.auth.account_id).order_by("-id")
        if status := one_of(asked, "status", [status.value for status in Status]):
            orders = orders.filter(status=status)
            # The partial indexes hang on what changes once in an order's life, not on its status.
            orders = orders.filter(finished_at__isnull=status not in FINAL)
            if status in FINAL and status != Status.CONFIRMED:
                orders = orders.filter(tx_hash=None)
        if kind := one_of(asked, "type", OrderType.values):
            orders = orders.filter(type=kind)
        if pair := asked.get("pair"):
            token_in, _, token_out = text_of(pair, "pair").partition("-")
            orders = orders.filter(token_in=token_in, token_out=token_out)
        if client_order_id := asked.get("clientOrderId"):
            orders = orders.filter(client_order_id=text_of(client_order_id, "clientOrderId"))
        if (cursor := asked.get("cursor")) is not None:
            orders = orders.filter(id__lt=uuid_of(cursor, "cursor"))
        page = list(orders[: limit + 1])
        following = str(page[limit - 1].id) if len(page) > limit else None
        return Response({"orders": [order_out(order) for order in page[:limit]], "next": following})


def text_of(value: str, field: str) -> str:
    if "\0" in value:
        raise invalid(field, "must not contain NUL")
    return value


def uuid_of(value: str, field: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise invalid(field, "is not valid") from None


class OrderView(View):
    @extend_schema(responses={200: OrderOut, **ERRORS})
    def get(self, request: Request, order_id: str) -> Response:
        """One order."""
        return Response(order_out(self.order(order_id)))

    @extend_schema(responses={200: OrderOut, 409: ErrorOut, **ERRORS})
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancels an order that is not being executed yet; again: the same answer."""
        return Response(order_out(commands.cancel(self.order(order_id))))

    @extend_schema(
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
        responses={200: OrderOut, 409: ErrorOut, 415: ErrorOut, **ERRORS},
    )
    def patch(self, request: Request, order_id: str) -> Response:
        """Changes an order that waits for its trigger."""
        order = self.order(order_id)
        if request.content_type.partition(";")[0].strip().lower() != "application/json":
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
        return Response(order_out(commands.amend(order, parse_amend(request._request.body))))


class EventsView(View):
    @extend_schema(
        parameters=[
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "maximum": MAX_SEQ},
                description="Only events after this seq",
            )
        ],
        responses={200: EventsOut, **ERRORS},
    )
    def get(self, request: Request, order_id: str) -> Response:
        """What happened to an order, in order."""
        after = whole(request.query_params, "after", 0, least=0, most=MAX_SEQ)
        events = self.order(order_id).events.filter(seq__gt=after).order_by("seq")
        return Response({"events": [event_out(*event) for event in events.values_list("seq", "status", "at", "data")]})


class QuotesOfOrderView(View):
    @extend_schema(responses={200: QuotesOfOrderOut, **ERRORS})
    def get(self, request: Request, order_id: str) -> Response:
        """Every venue's quote of every attempt, the winner and why it won."""
        events = self.order(order_id).events.filter(data__has_key="quotes").order_by("seq")
        attempts = [
            {
                "attempt": event.data.get("attempt"),
                "at": timestamp(event.at),
                "quotes": event.data["quotes"],
                "refusals": event.data.get("refusals", []),
                "winner": event.data.get("venue"),
                "reason": event.data.get("reason"),
            }
            for event in events
        ]
        return Response({"attempts": attempts})


class TicketView(View):
    @extend_schema(
        request=None,
        responses={200: {"type": "object", "properties": {"ticket": {"type": "string"}}}, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """A ticket that opens one WebSocket within thirty seconds: `/ws/…?ticket=…`."""
        secret = secrets.token_urlsafe(32)
        now = timezone.now()
        Ticket.objects.filter(expires_at__lt=now).delete()
        Ticket.objects.create(
            hash=digest(secret),
            account_id=request.auth.account_id,
            scopes=sorted(request.auth.scopes),
            expires_at=now + timedelta(seconds=TICKET_S),
        )
        return Response({"ticket": secret, "expiresInS": TICKET_S})

    def get_permissions(self) -> list[Any]:
        return [MayRead()]


def dead_letter_out(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.pk,
        "orderId": str(letter.order_id),
        "epoch": letter.epoch,
        "reason": letter.reason,
        "history": letter.history,
        "createdAt": timestamp(letter.created_at),
        "resolvedAt": letter.resolved_at and timestamp(letter.resolved_at),
        "resolvedBy": letter.resolved_by,
    }


class DeadLettersView(APIView):  # type: ignore[misc]
    permission_classes = [IsStaff]

    @extend_schema(
        parameters=[
            OpenApiParameter("resolved", enum=["true", "false"], description="`false` by default"),
            OpenApiParameter("cursor", {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
        ],
        responses={200: DeadLettersOut, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Failed orders that nobody has dealt with, newest first."""
        asked = request.query_params
        limit = whole(asked, "limit", PAGE, least=1, most=MAX_PAGE)
        resolved = one_of(asked, "resolved", ["true", "false"]) == "true"
        letters = DeadLetter.objects.filter(resolved_at__isnull=not resolved).order_by("-id")
        if "cursor" in asked:
            letters = letters.filter(id__lt=whole(asked, "cursor", 0, least=1, most=MAX_SEQ))
        page = list(letters[: limit + 1])
        following = str(page[limit - 1].pk) if len(page) > limit else None
        return Response({"deadLetters": [dead_letter_out(letter) for letter in page[:limit]], "next": following})


class RequeueView(APIView):  # type: ignore[misc]
    permission_classes = [IsStaff]

    @extend_schema(request=None, responses={200: OrderOut, 409: ErrorOut, **ERRORS})
    def post(self, request: Request, letter_id: int) -> Response:
        """Sends a failed order round again: the same order, a new epoch."""
        letter = DeadLetter.objects.filter(pk=min(letter_id, 2**63 - 1)).select_related("order").first()
        if letter is None:
            raise Http404
        by = request.user.get_username() if request.user and request.user.is_authenticated else "staff key"
        return Response(order_out(commands.requeue(letter.order, by)))
