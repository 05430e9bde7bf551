"""Plans over REST."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from asgiref.sync import async_to_sync
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from orders import commands
from orders.errors import ApiError, invalid
from orders.http.answers import schema
from orders.http.openapi import KEY_HEADER
from orders.http.parameters import MAX_SEQ, PAGE
from orders.http.protocol import checked_key
from orders.http.view import ERROR, ERRORS, IF_MATCH, IF_NONE_MATCH, LIMIT, View, json_body, page, polled
from orders.json_in import Reader
from orders.models import Plan, PlanKind
from orders.order_in import checked_price
from orders.order_wallet import with_wallet
from orders.plans.market import check_plan, screened
from orders.plans.plan_in import BracketIn, ExitAmendIn, PlanAmendIn, parse_plan, plan_of, unnamed
from orders.plans.representation import PlanEventsOut, PlanOut, PlansOut, event_out, newest_orders, plan_out
from orders.plans.values import PlanStatus
from wallets.ring import WalletRing

STATUSES = [status.value for status in PlanStatus]
KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description=str(KEY_HEADER["description"]))


amend_reader = Reader(PlanAmendIn)


class PlanBase(View):
    def plan(self, plan_id: str) -> Plan:
        return self.owned(Plan, plan_id)


def out(plan: Plan) -> PlanOut:
    return plan_out(plan, newest_orders(plan))


def whole(plan: Plan, **headers: str) -> Response:
    """With the plan's seq as its `ETag`, for `If-Match`."""
    return Response(out(plan), headers={"ETag": f'"{plan.seq}"', **headers})


class PlansView(PlanBase):
    accepts = {"GET": frozenset({"status", "kind", "clientPlanId", "cursor", "limit"})}

    @extend_schema(
        operation_id="plans_list",
        parameters=[
            OpenApiParameter("status", enum=STATUSES, many=True, explode=False, description="One or several"),
            OpenApiParameter("kind", enum=PlanKind.values),
            OpenApiParameter("clientPlanId"),
            OpenApiParameter("cursor", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
            IF_NONE_MATCH,
        ],
        responses={200: schema(PlansOut), 304: None, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """The account's plans, newest first."""
        plans = Plan.objects.filter(account_id=request.auth.account_id).order_by("-id")
        if statuses := self.asked.some_of("status", STATUSES):
            plans = plans.filter(status__in=statuses)
        if kind := self.asked.one_of("kind", list(PlanKind.values)):
            plans = plans.filter(kind=kind)
        if client_plan_id := self.asked.text("clientPlanId"):
            plans = plans.filter(client_plan_id=client_plan_id)
        if cursor := self.asked.uuid("cursor"):
            plans = plans.filter(pk__lt=cursor)
        found, following = page(plans, self.asked.limit(), lambda plan: plan.pk)
        return polled(request, PlansOut([out(plan) for plan in found], following))

    @extend_schema(
        operation_id="plans_create",
        parameters=[KEY],
        request={"application/json": {"$ref": "#/components/schemas/PlanIn"}},
        responses={200: schema(PlanOut), 409: ERROR, 415: ERROR, 422: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Makes a plan, with its first orders in the same transaction."""
        asked = parse_plan(json_body(request))
        plan = plan_of(
            asked,
            account_id=request.auth.account_id,
            key=checked_key(request.META.get("HTTP_IDEMPOTENCY_KEY")),
            now=datetime.now(UTC),
            request_id=request.META["REQUEST_ID"],
            named_wallet=unnamed
            if settings.EXECUTION_MODE == "mock"
            else async_to_sync(partial(with_wallet, WalletRing())),
        )
        try:
            far = isinstance(asked, BracketIn) and asked.allow_far_price
            plan = msgspec.structs.replace(plan, spec=screened(plan.spec, allow_far_price=far))
            check_plan(plan.account_id, plan.spec)
        except ApiError:
            # What speaks against it at this moment may not have when it was sent first.
            if (earlier := commands.earlier_plan(plan)) is None:
                raise
            return self._answer(earlier, replayed=True)
        plan_id, replayed = commands.create_plan(plan)
        return self._answer(plan_id, replayed=replayed)

    def _answer(self, plan_id: UUID, *, replayed: bool) -> Response:
        headers = {"Idempotency-Replayed": "true"} if replayed else {}
        return whole(Plan.objects.get(pk=plan_id), **headers)


class PlanView(PlanBase):
    @extend_schema(operation_id="plans_read", responses={200: schema(PlanOut), **ERRORS})
    def get(self, request: Request, plan_id: str) -> Response:
        """One plan with its orders. `ETag` is its seq."""
        return whole(self.plan(plan_id))

    @extend_schema(
        operation_id="plans_cancel",
        parameters=[IF_MATCH],
        responses={200: schema(PlanOut), 409: ERROR, 412: ERROR, **ERRORS},
    )
    def delete(self, request: Request, plan_id: str) -> Response:
        """Cancels what waits; what is being executed runs to its end, and the plan ends with it."""
        return whole(commands.change_plan(self.plan(plan_id), PlanStatus.CLOSING, self.asker()))

    @extend_schema(
        operation_id="plans_amend",
        parameters=[IF_MATCH],
        request={"application/json": {"$ref": "#/components/schemas/PlanAmendIn"}},
        responses={200: schema(PlanOut), 409: ERROR, 412: ERROR, 415: ERROR, 422: ERROR, **ERRORS},
    )
    def patch(self, request: Request, plan_id: str) -> Response:
        """Changes prices, portions, distances and slippages of a bracket's exits."""
        asked: PlanAmendIn = amend_reader.read(json_body(request))
        exits = {exit.leg: fields_of(f"exits[{n}]", exit) for n, exit in enumerate(asked.exits)}
        return whole(commands.amend_plan(self.plan(plan_id), exits, self.asker()))


def fields_of(field: str, exit: ExitAmendIn) -> dict[str, Any]:
    """What an exit's amendment changes, checked. Raises `ApiError`: VALIDATION_FAILED."""
    fields = {
        name: value
        for name in exit.__struct_fields__
        if name != "leg" and (value := getattr(exit, name)) is not msgspec.UNSET
    }
    if not fields:
        raise invalid(field, "names nothing to amend")
    if "price" in fields and "at_bps" in fields:
        raise invalid(f"{field}.atBps", "one of atBps and price is meant")
    if "price" in fields:
        fields["price"] = checked_price(f"{field}.price", fields["price"])
    return fields


class PauseView(PlanBase):
    @extend_schema(
        operation_id="plans_pause",
        parameters=[IF_MATCH],
        request=None,
        responses={200: schema(PlanOut), 409: ERROR, 412: ERROR, **ERRORS},
    )
    def post(self, request: Request, plan_id: str) -> Response:
        """No further slice until the schedule is resumed; a slice that is being executed runs to its end."""
        return whole(commands.change_plan(self.plan(plan_id), PlanStatus.PAUSED, self.asker()))


class ResumeView(PlanBase):
    @extend_schema(
        operation_id="plans_resume",
        parameters=[IF_MATCH],
        request=None,
        responses={200: schema(PlanOut), 409: ERROR, 412: ERROR, **ERRORS},
    )
    def post(self, request: Request, plan_id: str) -> Response:
        """Goes on with the present window."""
        return whole(commands.change_plan(self.plan(plan_id), PlanStatus.ACTIVE, self.asker()))


class PlanEventsView(PlanBase):
    accepts = {"GET": frozenset({"after"})}

    @extend_schema(
        operation_id="plans_events",
        parameters=[
            OpenApiParameter(
                "after", {"type": "integer", "minimum": 0, "maximum": MAX_SEQ}, description="Only events after this seq"
            )
        ],
        responses={200: schema(PlanEventsOut), **ERRORS},
    )
    def get(self, request: Request, plan_id: str) -> Response:
        """What happened to a plan, in order."""
        after = self.asked.whole("after", 0, least=0, most=MAX_SEQ)
        events = self.plan(plan_id).events.filter(seq__gt=after).order_by("seq")
        return Response(PlanEventsOut([event_out(event) for event in events]))
