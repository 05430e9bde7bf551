"""What people do to orders: cancel, amend, requeue. One order at a time; the ledger's fence decides every race."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import psycopg_pool
from django.conf import settings

from orders.errors import ApiError, invalid
from orders.events import CommittedEvent
from orders.execution.steps import text
from orders.ledger import statements
from orders.ledger.statements import Change
from orders.lifecycle import FINAL, Event, Status, advance
from orders.models import Order, OrderType
from orders.order_in import AmendIn, checked_amount, checked_expiry, checked_price, token
from orders.prices import check_price, present
from orders.resting.placement import arming, left, rest_of
from routing.world import tokens
from runtime.postgres import CONNECT, POOL
from triggers.book import Arm

TRIES = 10
"""Races with executors and triggers: each lost one means that the order has moved, which it does at most a few times."""


@cache
def pool() -> psycopg_pool.ConnectionPool[Any]:
    return psycopg_pool.ConnectionPool(
        settings.DATABASE_URL,
        **POOL,
        max_size=4,
        kwargs={
            **CONNECT,
            "autocommit": True,
            "options": "-c statement_timeout=1500 -c timezone=UTC -c application_name=orderengine:changes",
        },
        open=True,
    )


def cancel(order: Order, publish: Callable[[list[CommittedEvent]], None]) -> Order:
    """The cancelled order; again: the same. Raises `ApiError`: TOO_LATE, ALREADY_FINAL."""

    def decide(order: Order) -> Change | None:
        if order.status == Status.CANCELLED:
            return None
        if order.status in FINAL:
            raise ApiError("ALREADY_FINAL", f"The order is {order.status}.")
        if order.status != Status.PENDING:
            raise ApiError("TOO_LATE", f"The order is {order.status} and cannot be stopped any more.")
        return change(order, Event.CANCEL, {})

    cancelled = _apply(order, decide, publish)
    if cancelled.type != OrderType.MARKET:
        arming().tell(left(cancelled, cancelled.seq))
    return cancelled


def amend(order: Order, wanted: AmendIn, publish: Callable[[list[CommittedEvent]], None]) -> Order:
    """The amended order. Raises `ApiError`: VALIDATION_FAILED, PRICE_NOT_SENSIBLE, NOT_RESTING, TOO_LATE, ALREADY_FINAL."""
    amended = _amended(order, wanted)

    def decide(order: Order) -> Change | None:
        if order.status in FINAL:
            raise ApiError("ALREADY_FINAL", f"The order is {order.status}.")
        if not order.resting:
            code = "NOT_RESTING" if order.type == OrderType.MARKET else "TOO_LATE"
            raise ApiError(code, "Only an order that waits for its trigger can be amended.")
        return change(order, Event.AMEND, {"resting": True, "amended": amended}, resting=True)

    return _rearmed(_apply(order, decide, publish))


def requeue(
    order: Order, by: str, publish: Callable[[list[CommittedEvent]], None], *, epoch: int | None = None
) -> Order:
    """A failed order goes round again, with its attempts anew. Raises `ApiError`: ALREADY_FINAL.

    Of another epoch than the one that is named, the order is left and returned as it is: somebody was faster.
    """

    def decide(order: Order) -> Change | None:
        if epoch is not None and order.epoch != epoch:
            return None
        if order.status != Status.FAILED:
            raise ApiError("ALREADY_FINAL", f"The order is {order.status}; only failed orders are requeued.")
        data: dict[str, Any] = {"requeued": {"by": by}}
        if order.type == OrderType.MARKET:
            return change(order, Event.REQUEUE, data, delay_ms=0)
        return change(order, Event.REQUEUE, {"resting": True, **data}, resting=True)

    return _rearmed(_apply(order, decide, publish))


def _rearmed(order: Order) -> Order:
    if order.resting:
        arming().tell(Arm(rest_of(order, order.seq)))
    return order


def _amended(order: Order, wanted: AmendIn) -> dict[str, Any]:
    amended: dict[str, Any] = {}
    if isinstance(wanted.limit_price, Decimal):
        if order.type != OrderType.LIMIT:
            raise invalid("limitPrice", "belongs to limit orders only")
        price = checked_price("limitPrice", wanted.limit_price)
        pair = tokens().pair(order.token_in, order.token_out)
        if pair is not None and not wanted.allow_far_price:
            check_price(price, present(pair), datetime.now(UTC))
        amended["limitPrice"] = text(price)
    if isinstance(wanted.amount, Decimal):
        amended["amount"] = text(checked_amount(wanted.amount, token("tokenIn", order.token_in)))
    if isinstance(wanted.slippage_bps, int):
        amended["slippageBps"] = wanted.slippage_bps
    if wanted.expires_at is None or isinstance(wanted.expires_at, datetime):
        amended["expiresAt"] = checked_expiry(wanted.expires_at, datetime.now(UTC))
    if not amended:
        raise invalid("body", "names nothing to amend")
    return amended


def change(
    order: Order, event: Event, data: Mapping[str, Any], *, resting: bool = False, delay_ms: int | None = None
) -> Change:
    was = Status(order.status)
    return Change(
        order_id=order.id,
        account_id=order.account_id,
        epoch=order.epoch,
        seq=order.seq + 1,
        was=was,
        status=advance(was, event),
        data=data,
        resting=resting,
        delay_ms=delay_ms,
    )


def _apply(
    order: Order, decide: Callable[[Order], Change | None], publish: Callable[[list[CommittedEvent]], None]
) -> Order:
    for _ in range(TRIES):
        wanted = decide(order)
        if wanted is None:
            return order
        with pool().connection() as connection:
            [at] = statements.record(connection, [wanted])
        if at is not None:
            publish([CommittedEvent.of(wanted, at)])
        order = Order.objects.get(pk=order.pk)
        if at is not None:
            return order
    raise ApiError("TOO_LATE", "The order moves too fast to be changed.")


def find(order_id: UUID, account_id: int | None) -> Order:
    """The order, if it is the account's (None: anybody's). Raises `Order.DoesNotExist`."""
    orders = Order.objects.all() if account_id is None else Order.objects.filter(account_id=account_id)
    return orders.get(pk=order_id)
