"""Webhooks over REST."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from msgspec import UNSET
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from accounts.rest import MayRead, MayTrade
from orders.http.answers import schema
from orders.http.parameters import MAX_SEQ, PAGE
from orders.http.view import ERROR, ERRORS, IF_NONE_MATCH, LIMIT, READING, View, json_body, page, polled
from webhooks import commands
from webhooks.answers import (
    DeliveriesOut,
    WebhookOut,
    WebhookSecretOut,
    WebhooksOut,
    delivery_out,
    webhook_out,
    with_secret,
)
from webhooks.endpoint_in import (
    ReplayIn,
    RotateIn,
    WebhookAmendIn,
    WebhookIn,
    amend_reader,
    replay_reader,
    rotate_reader,
    webhook_reader,
)
from webhooks.models import Delivery, Endpoint, State
from webhooks.types import DEFAULT, TYPES

STATES = list(State.values)


def body(name: str) -> dict[str, Any]:
    return {"application/json": {"$ref": f"#/components/schemas/{name}"}}


class Base(View):
    def get_permissions(self) -> list[BasePermission]:
        """Whoever says where events go reads them: that takes both scopes."""
        return [MayRead()] if self.request.method in READING else [MayRead(), MayTrade()]

    def endpoint(self, webhook_id: str) -> Endpoint:
        return self.owned(Endpoint, webhook_id)


class WebhooksView(Base):
    @extend_schema(operation_id="webhooks_list", responses={200: schema(WebhooksOut), **ERRORS})
    def get(self, request: Request) -> Response:
        """The account's webhooks, the oldest first."""
        own = Endpoint.objects.filter(account_id=request.auth.account_id).order_by("pk")
        return Response(WebhooksOut([webhook_out(each) for each in own]))

    @extend_schema(
        operation_id="webhooks_create",
        request=body("WebhookIn"),
        responses={200: schema(WebhookSecretOut), 409: ERROR, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Has events sent to a URL from now on. The secret is in this answer only."""
        asked: WebhookIn = webhook_reader.read(json_body(request))
        if asked.all_accounts and not request.auth.may(Scope.STAFF):
            raise PermissionDenied
        made = commands.create(
            request.auth.account_id,
            asked.url,
            DEFAULT if asked.types is UNSET else asked.types,
            description=asked.description,
            all_accounts=asked.all_accounts,
        )
        return Response(with_secret(*made))


class WebhookView(Base):
    @extend_schema(operation_id="webhooks_read", responses={200: schema(WebhookOut), **ERRORS})
    def get(self, request: Request, webhook_id: str) -> Response:
        """One webhook."""
        return Response(webhook_out(self.endpoint(webhook_id)))

    @extend_schema(
        operation_id="webhooks_amend",
        request=body("WebhookAmendIn"),
        responses={200: schema(WebhookOut), 415: ERROR, **ERRORS},
    )
    def patch(self, request: Request, webhook_id: str) -> Response:
        """Changes it. What happens while it is disabled is sent by a replay only."""
        asked: WebhookAmendIn = amend_reader.read(json_body(request))
        return Response(webhook_out(commands.amend(self.endpoint(webhook_id), asked)))

    @extend_schema(operation_id="webhooks_delete", responses={200: schema(WebhookOut), **ERRORS})
    def delete(self, request: Request, webhook_id: str) -> Response:
        """Ends it; nothing more is sent."""
        endpoint = self.endpoint(webhook_id)
        answer = webhook_out(endpoint)
        endpoint.delete()
        return Response(answer)


class RotateView(Base):
    @extend_schema(
        operation_id="webhooks_rotate",
        request=body("RotateIn"),
        responses={200: schema(WebhookSecretOut), 415: ERROR, **ERRORS},
    )
    def post(self, request: Request, webhook_id: str) -> Response:
        """A new secret, in this answer only. The earlier one signs as well for `overlapSeconds`, by default a day."""
        asked = rotate_reader.read(json_body(request)) if request._request.body else RotateIn()
        return Response(with_secret(*commands.rotate(self.endpoint(webhook_id), asked.overlap_seconds)))


class ReplayView(Base):
    @extend_schema(
        operation_id="webhooks_replay",
        request=body("ReplayIn"),
        responses={200: schema(WebhookOut), 409: ERROR, 415: ERROR, **ERRORS},
    )
    def post(self, request: Request, webhook_id: str) -> Response:
        """Sends the events of a time again, whether they were delivered, parked or never noted."""
        asked: ReplayIn = replay_reader.read(json_body(request))
        end = datetime.now(UTC) if asked.to is UNSET else asked.to
        return Response(webhook_out(commands.replay(self.endpoint(webhook_id), asked.from_, end)))


class DeliveriesView(Base):
    accepts = {"GET": frozenset({"state", "type", "orderId", "cursor", "limit"})}

    @extend_schema(
        operation_id="webhooks_deliveries",
        parameters=[
            OpenApiParameter("state", enum=STATES),
            OpenApiParameter("type", enum=list(TYPES)),
            OpenApiParameter("orderId", {"type": "string", "format": "uuid"}, description="Or a plan's id"),
            OpenApiParameter("cursor", {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
            IF_NONE_MATCH,
        ],
        responses={200: schema(DeliveriesOut), 304: None, **ERRORS},
    )
    def get(self, request: Request, webhook_id: str) -> Response:
        """What was sent, what waits and what was given up, newest first."""
        rows = Delivery.objects.filter(endpoint_id=self.endpoint(webhook_id).pk).order_by("-id")
        if state := self.asked.one_of("state", STATES):
            rows = rows.filter(state=state)
        if kind := self.asked.one_of("type", list(TYPES)):
            rows = rows.filter(type=kind)
        if subject := self.asked.uuid("orderId"):
            rows = rows.filter(subject=subject)
        if "cursor" in self.asked:
            rows = rows.filter(id__lt=self.asked.whole("cursor", 0, least=1, most=MAX_SEQ))
        found, following = page(rows, self.asked.limit(), lambda row: row.pk)
        return polled(request, DeliveriesOut([delivery_out(row) for row in found], following))
