"""What goes into the ledger and what comes out of it. Pure values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from orders.lifecycle import Event, Status
from risk.values import Denial
from routing.gates import Gates
from routing.values import Swap

EventData = msgspec.Struct | Mapping[str, Any]
"""What an event says, written to `orders_orderevent.data` as JSON. The engine's own are the structs of `orders.events`."""


MARKET, LIMIT, SNIPER = "market", "limit", "sniper"
"""The types of orders, for pure code; `orders.models.OrderType` is the same for Django."""


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as asked for and checked; the field names are the columns."""

    id: UUID
    account_id: int
    client_order_id: str | None
    idempotency_key: str | None
    request_hash: bytes
    type: str
    token_in: str
    token_out: str
    amount: Decimal | None
    """Of tokenIn; None: `percent` of what the wallet has of it, or what `exact_out` costs."""
    slippage_bps: int
    percent: int | None = None
    exact_out: Decimal | None = None
    """Of tokenOut, what is to be received."""
    amount_in_max: Decimal | None = None
    """The most that is sold for that; None: what slippage and limit allow."""
    limit_price: Decimal | None = None
    asked_price: Decimal | None = None
    trigger_condition: str | None = None
    trigger_kind: str | None = None
    min_liquidity: Decimal | None = None
    volume_factor: Decimal | None = None
    launched_before: bool | None = None
    max_price_impact_bps: int | None = None
    max_fee_lamports: int | None = None
    mode: str | None = None
    """`EXECUTION_MODE`; None is the mock, as in rows of before."""
    wallet: str | None = None
    """Public key; None on the mock."""
    expires_at: datetime | None = None
    resting: bool = False
    request_id: str | None = None
    trail_bps: int | None = None
    activation_price: Decimal | None = None
    trail_high: Decimal | None = None
    """That the trailing stop before it in its plan has followed."""
    worst_price: Decimal | None = None
    time_in_force: str | None = None
    gates: Gates | None = None
    plan_id: UUID | None = None
    leg: str | None = None
    round: int | None = None
    lookup_only: bool = False
    """It is too late to accept it: only the earlier order with its keys is wanted, and nothing is written."""

    @property
    def keyed(self) -> bool:
        return self.idempotency_key is not None or self.client_order_id is not None


class Accepted(msgspec.Struct, frozen=True):
    """The order a client has now: its new one, or the one it sent before with the same key."""

    order_id: UUID
    created_at: datetime
    status: str = Status.PENDING
    replayed: bool = False


class KeyConflict(msgspec.Struct, frozen=True):
    """The key belongs to an order that says something else."""

    order_id: UUID


class Unknown(msgspec.Struct, frozen=True):
    """No earlier order has the keys of an order that was only to be looked up."""


Answer = Accepted | KeyConflict | Unknown | Denial


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that an executor owns, with the intent of an earlier owner if one is unresolved."""

    id: UUID
    account_id: int
    epoch: int
    seq: int
    status: Status
    attempts: int
    type: str
    token_in: str
    token_out: str
    amount: Decimal | None
    percent: int | None = None
    exact_out: Decimal | None = None
    amount_in_max: Decimal | None = None
    counted_in: Decimal | None = None
    """Of an exact output: as much of tokenIn as it was counted for in limits of money; None where nothing limits it."""
    slippage_bps: int
    limit_price: Decimal | None
    asked_price: Decimal | None = None
    trigger_condition: str | None
    trail_bps: int | None = None
    worst_price: Decimal | None = None
    time_in_force: str | None = None
    max_price_impact_bps: int | None
    max_fee_lamports: int | None = None
    gates: Gates | None = None
    gates_since: datetime | None = None
    """Since when gates are unknown."""
    wallet: str | None = None
    request_id: str | None
    venue: str | None
    at: datetime
    denied: Mapping[str, str] | None = None
    """Why it must not be executed (`risk.values.Denial`): it was claimed to be failed."""
    collar_bps: int | None = None
    """How far what it gets may be below the market."""
    expired: int = 0
    """How many of its transactions have expired: perhaps they were bid too little for."""
    event: Mapping[str, Any] | None
    """Data of the `routing` event; None where a submitted order changes its owner, which is no event."""
    swap: Swap | None


class Worth(msgspec.Struct, frozen=True):
    """What orders are worth, for the limits that count money."""

    quotes: Sequence[str] = ()
    """Mints of the quote tokens; limits count in the first one."""
    prices: Mapping[str, Decimal] = {}
    """Of one of each mint, in that one."""


class Position(msgspec.Struct, frozen=True):
    """Where an order stands, as its writer last saw it: what a change is fenced by."""

    id: UUID
    account_id: int
    epoch: int
    seq: int
    status: str


class Attempts(StrEnum):
    """What a change does to the number of attempts that an order has used."""

    KEEP = "keep"
    REFUND = "refund"
    """The attempt that the claim counted is given back."""
    RESET = "reset"


class Letter(StrEnum):
    """What a change does to an order's dead letters."""

    OPEN = "open"
    """The order becomes a dead letter, with the errors of its attempts."""
    RESOLVE = "resolve"
    """Its open dead letter is dealt with, by whom the event's data say (`requeued.by`)."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one order, to be written if the order still stands where its writer last saw it.

    Made by `orders.transitions.transition` alone, so that every rule is applied in one place.
    """

    order_id: UUID
    account_id: int
    epoch: int
    seq: int
    """Of this event."""
    was: Status
    event: Event
    status: Status
    data: EventData = msgspec.field(default_factory=dict)
    """The row's columns are taken from it: amended, venue, executedPrice, amountOut, fee, txHash, error."""
    delay_ms: int | None = None
    """For `pending`: to be executed no earlier than this from now. None keeps the time that the row has."""
    resting: bool = False
    attempts: Attempts = Attempts.KEEP
    new_epoch: bool = False
    """The writer is no owner: whoever holds the present epoch is fenced off."""
    letter: Letter | None = None
    intent: Swap | None = None
    """Written with `submitted`, before it is sent."""
    resolved: tuple[str, str] | None = None
    """Signature and `Resolution` of the intent whose outcome this event records."""
    gates_unknown: bool = False
    """It waits because a gate is unknown: the gates' timeout counts from the first time."""


class Recorded(msgspec.Struct, frozen=True):
    """A change that was written, with the columns of its order that decide what follows."""

    at: datetime
    type: str
    token_in: str
    token_out: str
    limit_price: Decimal | None
    trigger_condition: str | None
    trigger_kind: str | None
    min_liquidity: Decimal | None
    volume_factor: Decimal | None
    launched_before: bool | None
    plan_id: UUID | None = None
    trail_bps: int | None = None
    activation_price: Decimal | None = None
    trail_high: Decimal | None = None
