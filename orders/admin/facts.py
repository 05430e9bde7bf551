"""What an order's page says of it: labels and values in the operator's words, and only those that its type has."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.urls import reverse

from orders.mints import mint_of
from orders.models import DeadLetter, Order, OrderType, SniperKind
from orders.wire import text
from routing import explorer
from routing.world import tokens

LONG = 20
"""Characters: longer than any symbol that is verified, shorter than a mint."""
SIGNS = {"gte": "≥", "lte": "≤"}
KINDS: dict[str, str] = {
    SniperKind.TOKEN_LAUNCH: "sniper: token launch",
    SniperKind.LIQUIDITY: "sniper: pool liquidity",
    SniperKind.VOLUME: "sniper: volume spike",
}


class Fact(NamedTuple):
    label: str
    value: str
    long: bool = False
    """An id or a sentence: it has a row of its own."""
    link: str | None = None


def swap(order: Order) -> str:
    sold, bought = f"{order.asked} {called(order.token_in)}", f"{order.asked_out} {called(order.token_out)}"
    return f"{sold.strip()} → {bought.strip()}"


def called(stored: str) -> str:
    """A row's token to a person: its verified symbol, else enough of its mint to know it again."""
    label = tokens().label(mint_of(stored))
    return label if len(label) < LONG else f"{label[:4]}…{label[-4:]}"


def facts(order: Order | None) -> list[Fact]:
    """Of an order with its account; what is not set is left out. Times are to the millisecond."""
    if order is None:
        return []
    wanted = [
        Fact("Order id", str(order.pk), long=True),
        Fact("Client order id", order.client_order_id or "", long=True),
        Fact("Request id", order.request_id or "", long=True),
        Fact("Account", order.account.name, link=reverse("admin:accounts_account_change", args=[order.account_id])),
        Fact("Status", "resting" if order.resting else order.status),
        Fact("Type", kind(order)),
        Fact("Swap", swap(order)),
        Fact("Mints", f"{mint_of(order.token_in)} → {mint_of(order.token_out)}", long=True),
        *asked(order),
        *became(order),
        Fact("Placed (UTC)", moment(order.created_at)),
        Fact("Last change (UTC)", moment(order.updated_at)),
        Fact("Finished (UTC)", moment(order.finished_at)),
    ]
    return [fact for fact in wanted if fact.value]


def letter_facts(letter: DeadLetter | None) -> list[Fact]:
    """Of a dead letter with its order."""
    if letter is None:
        return []
    order = reverse("admin:orders_order_change", args=[letter.order_id])
    wanted = [
        Fact("Order id", str(letter.order_id), long=True, link=order),
        Fact("Swap", swap(letter.order)),
        Fact("Reason", letter.reason),
        Fact("Written (UTC)", moment(letter.created_at)),
        Fact("Announced (UTC)", moment(letter.announced_at)),
        Fact("Resolved (UTC)", moment(letter.resolved_at)),
        Fact("Resolved by", letter.resolved_by or ""),
    ]
    return [fact for fact in wanted if fact.value]


def kind(order: Order) -> str:
    if order.type == OrderType.LIMIT:
        return "stop" if order.trigger_condition == "lte" else "limit"
    return KINDS.get(order.trigger_kind, f"sniper: {order.trigger_kind}") if order.trigger_kind else order.type


def asked(order: Order) -> list[Fact]:
    price = order.limit_price
    sign = SIGNS[order.trigger_condition or "gte"]
    impact, most = order.max_price_impact_bps, order.max_fee_lamports
    return [
        Fact(
            "Fires at",
            f"{sign} {text(price)} {called(order.token_out)} per {called(order.token_in)}" if price is not None else "",
        ),
        Fact("Liquidity at least", number(order.min_liquidity)),
        Fact(
            "Volume at least", f"{text(order.volume_factor)} × its average" if order.volume_factor is not None else ""
        ),
        Fact(
            "Sold at most",
            f"{text(order.amount_in_max)} {called(order.token_in)}" if order.amount_in_max is not None else "",
        ),
        Fact("Slippage at most", percent(order.slippage_bps)),
        Fact("Price impact at most", "" if impact is None else percent(impact)),
        Fact("Fees of the chain at most", "" if most is None else f"{most} lamports"),
        Fact("Expires (UTC)", moment(order.expires_at)),
    ]


def became(order: Order) -> list[Fact]:
    price = order.executed_price
    failure = f"{order.failure_code}: {order.failure_message or ''}".rstrip(": ") if order.failure_code else ""
    return [
        Fact("Venue", order.venue or ""),
        Fact(
            "Executed at",
            "" if price is None else f"{text(price)} {called(order.token_out)} per {called(order.token_in)}",
        ),
        Fact(
            "Sold",
            f"{text(order.amount_in)} {called(order.token_in)}"
            if order.exact_out is not None and order.amount_in is not None
            else "",
        ),
        Fact("Received", "" if order.amount_out is None else f"{text(order.amount_out)} {called(order.token_out)}"),
        Fact("Fee", number(order.fee)),
        Fact(
            "All fees",
            "; ".join(f"{fee['kind']} {fee['amount']} {called(fee['token'])}" for fee in order.fees or ()),
            long=True,
        ),
        Fact("Wallet", order.wallet or "", long=True),
        Fact("Mode", order.mode or ""),
        Fact("Slot", str(order.slot or "")),
        Fact("Attempts", str(order.attempts or "")),
        Fact("Executor", str(order.executor or ""), long=True),
        Fact("Transaction", order.tx_hash or "", long=True, link=transaction_link(order)),
        Fact("Failure", failure, long=True),
    ]


def transaction_link(order: Order) -> str | None:
    """To the explorer of the mode that the order was accepted in."""
    address = explorer.address(order.mode or "mock", (settings.RPC_URLS or [""])[0])
    return address.format(signature=order.tx_hash) if address and order.tx_hash else None


def number(value: Decimal | None) -> str:
    return "" if value is None else text(value)


def percent(bps: int) -> str:
    return f"{text(Decimal(bps) / 100)} % ({bps} bps)"


def moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
