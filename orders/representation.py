"""An order and its events as clients read them, over REST, WebSocket and command line alike."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders.models import Order
from orders.wire import text, timestamp


def number(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def order_out(order: Order) -> dict[str, Any]:
    """CONTRACT's "order out"; amounts and prices are decimal strings. A plain row of the table does as well."""
    trigger = None
    if order.trigger_kind is not None:
        trigger = {"kind": order.trigger_kind}
        if order.min_liquidity is not None:
            trigger["minLiquidity"] = text(order.min_liquidity)
        if order.volume_factor is not None:
            trigger["volumeFactor"] = text(order.volume_factor)
    failure = None
    if order.failure_code is not None:
        failure = {"code": order.failure_code, "message": order.failure_message}
    return {
        "orderId": str(order.id),
        "clientOrderId": order.client_order_id,
        "type": order.type,
        "tokenIn": order.token_in,
        "tokenOut": order.token_out,
        "amount": text(order.amount),
        "slippageBps": order.slippage_bps,
        "limitPrice": number(order.limit_price),
        "triggerCondition": order.trigger_condition,
        "trigger": trigger,
        "maxPriceImpactBps": order.max_price_impact_bps,
        "expiresAt": order.expires_at and timestamp(order.expires_at),
        "status": order.status,
        "resting": order.resting,
        "seq": order.seq,
        "attempts": order.attempts,
        "venue": order.venue,
        "executedPrice": number(order.executed_price),
        "amountOut": number(order.amount_out),
        "fee": number(order.fee),
        "txHash": order.tx_hash,
        "failure": failure,
        "createdAt": timestamp(order.created_at),
        "updatedAt": timestamp(order.updated_at),
    }


def event_out(seq: int, status: str, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"seq": seq, "status": status, "at": timestamp(at), "data": data}
