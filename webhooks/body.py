"""What is sent of an event."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from orders.mints import mint_of
from orders.wire import encode, text, timestamp
from routing.world import tokens


class Due(NamedTuple):
    """A delivery that may be sent now, with its event: a row of `take.sql`."""

    id: int
    endpoint_id: UUID
    subject: UUID
    seq: int
    type: str
    at: datetime
    attempts: int
    age_s: float
    """Since it is tried."""
    status: str | None
    data: dict[str, Any] | None
    """Null: the event was purged meanwhile."""
    account: str | None
    client_order_id: str | None
    order_type: str | None
    token_in: str | None
    token_out: str | None
    amount: Decimal | None
    percent: int | None
    exact_out: Decimal | None
    mode: str | None
    plan_id: UUID | None
    leg: str | None
    client_plan_id: str | None
    plan_kind: str | None


def body_of(due: Due) -> bytes:
    """JSON: `type`, `timestamp` (of the event), `data`: of an order the event as sockets have it, and what the order trades."""
    return encode({"type": due.type, "timestamp": timestamp(due.at), "data": data_of(due)})


def data_of(due: Due) -> dict[str, Any]:
    event = {"seq": due.seq, "status": due.status, "at": timestamp(due.at), "data": due.data}
    if due.plan_kind is not None:
        names = {"planId": due.subject, "clientPlanId": due.client_plan_id, "kind": due.plan_kind}
        return {**names, **event, "account": due.account}
    if due.order_type is None:
        return {**(due.data or {}), "at": timestamp(due.at), "account": due.account}
    return {
        "orderId": due.subject,
        "clientOrderId": due.client_order_id,
        **event,
        "account": due.account,
        "order": {
            "type": due.order_type,
            "tokenIn": called(due.token_in),
            "tokenOut": called(due.token_out),
            "mintIn": mint_of(due.token_in or ""),
            "mintOut": mint_of(due.token_out or ""),
            "amount": {"percent": due.percent} if due.percent else due.amount and text(due.amount),
            **({} if due.exact_out is None else {"exactOut": text(due.exact_out)}),
            "mode": due.mode or "mock",
            "planId": due.plan_id,
            "leg": due.leg,
        },
    }


def called(stored: str | None) -> str:
    return tokens().label(mint_of(stored or ""))
