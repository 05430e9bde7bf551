"""An order with exits (`POST /api/orders/execute`): it is placed as the entry of a bracket."""

import msgspec
from django.db import close_old_connections

from orders import commands
from orders.errors import ApiError
from orders.ledger.values import NewOrder
from orders.models import Order
from orders.order_in import OrderIn
from orders.plans.exits import by_field
from orders.plans.market import check_exits
from orders.plans.plan_in import plan_of_order
from orders.plans.values import ENTRY, Bracket, Spec


class Placed(msgspec.Struct, frozen=True):
    """The entry of the bracket that the client has now: its new one, or the one that it sent before with the same key."""

    order: Order
    replayed: bool


def check_bracket(spec: Spec) -> None:
    """Raises `ApiError` WOULD_TRIGGER_IMMEDIATELY, as the present market says."""
    assert isinstance(spec, Bracket)
    check_exits(spec, by_field(spec))


def exits_refused(spec: Spec) -> ApiError | None:
    try:
        check_bracket(spec)
    except ApiError as error:
        return error
    return None


def place(order: OrderIn, new: NewOrder, key: str | None, refusal: ApiError | None) -> Placed:
    """Blocking. `refusal`: what speaks against the order at this moment; then only an earlier one is looked up.

    Raises `ApiError`: IDEMPOTENCY_CONFLICT, VALIDATION_FAILED, WOULD_TRIGGER_IMMEDIATELY, the refusal.
    """
    close_old_connections()
    try:
        plan = plan_of_order(order, new, key)
        refusal = refusal or exits_refused(plan.spec)
        plan_id = commands.earlier_plan(plan) if refusal is not None else None
        replayed = True
        if refusal is not None and plan_id is None:
            raise refusal
        if plan_id is None:
            plan_id, replayed = commands.create_plan(plan)
        return Placed(Order.objects.get(plan_id=plan_id, leg=ENTRY, round=1), replayed)
    finally:
        close_old_connections()
