"""The record of orders for auditors: each with its events (quotes, who asked for what), its transactions and its dead letters.

Pages of orders by their ids, so that no snapshot of the database is held while somebody reads. What changes meanwhile is as it
is when its page is read; an order that has ended does not change any more.
"""

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from django.db import close_old_connections

from orders.http.answers import DeadLetterOut
from orders.http.dead_letters import dead_letter_out
from orders.ids import first_id
from orders.models import Order, Transaction
from orders.representation import EventOut, Moment, OrderOut, Out, event_out, number, order_out
from orders.wire import text, timestamp

PAGE = 200
"""Orders that are held at a time."""


class TransactionOut(Out):
    signature: str
    attempt: int
    epoch: int
    venue: str
    wallet: str | None
    amount_in: str | None
    min_out: str
    valid_until: Moment
    validity: Annotated[int, msgspec.Meta(description="In the chain's own measure.")] | None
    payload: Annotated[str, msgspec.Meta(description="The signed bytes, in base64.")]
    created_at: Moment
    resolution: str | None
    resolved_at: Moment | None


class AuditedOut(Out):
    account: str
    idempotency_key: str | None
    order: OrderOut
    events: list[EventOut]
    transactions: list[TransactionOut]
    dead_letters: list[DeadLetterOut]


def audited(since: datetime, until: datetime, account: str | None = None) -> Iterator[list[AuditedOut]]:
    """The orders placed from `since` on and before `until`, of the account of that name or of all; the oldest first."""
    rows = Order.objects.filter(id__lt=first_id(until)).order_by("id").select_related("account")
    rows = rows.prefetch_related("transactions", "dead_letters", "events")
    if account is not None:
        rows = rows.filter(account__name=account)
    last: UUID | None = None
    while True:
        close_old_connections()
        try:
            after = {"id__gte": first_id(since)} if last is None else {"id__gt": last}
            found = list(rows.filter(**after)[:PAGE])
        finally:
            close_old_connections()
        if not found:
            return
        last = found[-1].pk
        yield [audited_out(order) for order in found]


def audited_out(order: Order) -> AuditedOut:
    events = sorted(order.events.all(), key=lambda event: event.seq)
    intents = sorted(order.transactions.all(), key=lambda each: (each.created_at, each.attempt))
    letters = sorted(order.dead_letters.all(), key=lambda letter: letter.pk)
    return AuditedOut(
        order.account.name,
        order.idempotency_key,
        order_out(order),
        [event_out(event.seq, event.status, event.at, event.data) for event in events],
        [transaction_out(each) for each in intents],
        [dead_letter_out(letter) for letter in letters],
    )


def transaction_out(of: Transaction) -> TransactionOut:
    return TransactionOut(
        of.signature,
        of.attempt,
        of.epoch,
        of.venue,
        of.wallet,
        number(of.amount_in),
        text(of.min_out),
        timestamp(of.valid_until),
        of.validity,
        b64encode(of.payload).decode(),
        timestamp(of.created_at),
        of.resolution,
        None if of.resolved_at is None else timestamp(of.resolved_at),
    )
