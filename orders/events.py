"""What each event of an order says, and how a committed event reads to a client. Pure.

The structs are the `data` of events as clients get them (camelCase; amounts and prices are decimal texts, moments RFC 3339)
and the one source of the order's columns: `record.sql` takes venue, executedPrice, amountOut, amountIn, fee, txHash, slot, fees,
parts, error and amended from them. A field may be added; none is renamed or removed while events that have it are kept, because
processes of the version before read and write the same events.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from orders.ledger.values import Change, EventData, Recorded
from orders.lifecycle import Event, Status
from orders.wire import encode, timestamp


class Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all event data. A field that is `UNSET` is left out of the JSON."""


class PartData(Data, frozen=True, kw_only=True):
    """What one pool has of a split. `amount_out` is what it would pay, in `submitted` what it pays at least, in `confirmed` what
    it has paid."""

    venue: str
    pool: str | UnsetType = UNSET
    """Address; left out of an offer by a cached price."""
    amount_in: str
    amount_out: str


class QuoteData(Data, frozen=True, kw_only=True):
    """One venue's quote. `impact_bps` and `fee_bps` are basis points, `price` is tokenOut per tokenIn before fee and impact."""

    venue: str
    amount_in: str | UnsetType = UNSET
    """Of an exact output: the least that gives it."""
    amount_out: str
    net_price: str
    """After fee and impact."""
    price: str
    fee_bps: int
    impact_bps: str
    observed_at: datetime
    cached: bool
    """From the poller, not asked for this order."""
    parts: list[PartData] | UnsetType = UNSET
    """Of a split."""
    added_fee: str | UnsetType = UNSET
    """Of a split: what the chain takes more for it than for one venue alone, in tokenOut."""


class RefusalData(Data, frozen=True, kw_only=True):
    """Why a venue gave no quote."""

    venue: str
    code: str
    message: str


class ErrorData(Data, frozen=True, kw_only=True):
    """Why an attempt failed. Dead letters keep these as the order's history."""

    attempt: int
    code: str
    message: str
    venue: str | None | UnsetType = UNSET
    permanent: bool
    """Another attempt would fail, too."""
    details: Mapping[str, str] | UnsetType = UNSET
    """Figures for programs: of INSUFFICIENT_FUNDS `have` and `need`, of the token whose mint is `token`."""
    logs: list[str] | UnsetType = UNSET
    """The last lines that the chain's programs logged, of a transaction that was reverted or would be."""


class AcceptData(Data, frozen=True, kw_only=True):
    """`pending`, seq 1. Written by `accept.sql` as well."""

    resting: bool | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    """`X-Request-Id` of the client's request, if it sent one."""


class GateData(Data, frozen=True, kw_only=True):
    """What was looked at before a token was bought unseen; `verdict` is pass, fail or unknown."""

    gate: str
    verdict: str
    found: str


class BuildData(Data, frozen=True, kw_only=True):
    """`building`: the venue is chosen."""

    attempt: int
    venue: str
    reason: str
    quotes: list[QuoteData]
    refusals: list[RefusalData]
    gates: list[GateData] | UnsetType = UNSET
    """Of a sniper that buys a token which nobody has verified."""


class BidData(Data, frozen=True, kw_only=True):
    """`price` in micro-lamports a compute unit; `lamports` is the most that the chain takes, `tip` contained, rent apart."""

    strategy: str
    price: int
    lamports: int
    tip: int
    reason: str


class SubmitData(Data, frozen=True, kw_only=True):
    """`submitted`: the intent is written, sending comes after."""

    attempt: int
    venue: str
    signature: str
    min_out: str
    valid_until: datetime
    max_in: str | UnsetType = UNSET
    """Of an exact output: the most that the transaction takes of tokenIn; `min_out` is what it pays."""
    wallet: str | UnsetType = UNSET
    """Public key of who sells and signs."""
    amount_in: str | UnsetType = UNSET
    """What it takes of tokenIn: for an order of a share, what the share came to."""
    bid: BidData | UnsetType = UNSET
    """What it offers for its place in a block, and why so much."""
    parts: list[PartData] | UnsetType = UNSET
    """Of a split."""
    refusals: list[RefusalData] | UnsetType = UNSET
    """What was chosen before it and could not be built."""


class FeeData(Data, frozen=True, kw_only=True):
    """A part of what a transaction cost: `kind` as in `routing.values.Fee`, `token` a mint."""

    kind: str
    token: str
    amount: str


class ConfirmData(Data, frozen=True, kw_only=True):
    """`confirmed`: what was traded. `fee` is the venue's, in tokenOut."""

    attempt: int
    venue: str
    executed_price: str
    amount_out: str
    amount_in: str | UnsetType = UNSET
    """What it took of tokenIn."""
    fee: str
    tx_hash: str
    landed_at: datetime
    slot: int | UnsetType = UNSET
    fees: list[FeeData] | UnsetType = UNSET
    """All of them; the venue's stands in `fee` as well, where it is in tokenOut."""
    units: int | UnsetType = UNSET
    """Compute units used."""
    parts: list[PartData] | UnsetType = UNSET
    """Of a split: what each pool took and paid."""


class FailedAttempt(Data, frozen=True, kw_only=True):
    """What failing and trying again have in common. The last three say what the venues answered where none gave a quote."""

    attempt: int
    error: ErrorData
    quotes: list[QuoteData] | UnsetType = UNSET
    refusals: list[RefusalData] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    gates: list[GateData] | UnsetType = UNSET
    """Of a sniper that did not buy, or could not yet: what was found of the token."""


class RetryData(FailedAttempt, frozen=True, kw_only=True):
    """`pending`: this attempt failed, the next one begins in `retry_in_ms`."""

    retry_in_ms: int


class Takeover(Data, frozen=True, kw_only=True):
    """A previous owner that did not finish, and the status it left the order at."""

    executor: UUID
    from_: str = msgspec.field(name="from")


class Handover(Data, frozen=True, kw_only=True):
    """A stopping owner, by the name of its process."""

    executor: str


class FailData(Data, frozen=True, kw_only=True):
    """`failed`. Attempt, quotes, refusals and reason as in `RetryData`; `takeover` where the owner did not finish."""

    error: ErrorData
    attempt: int | UnsetType = UNSET
    quotes: list[QuoteData] | UnsetType = UNSET
    refusals: list[RefusalData] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    gates: list[GateData] | UnsetType = UNSET
    takeover: Takeover | UnsetType = UNSET


GATE_UNKNOWN = "GATE_UNKNOWN"
"""The reason of a sniper that waits until it is known what it asks of the token."""


class RestData(Data, frozen=True, kw_only=True):
    """`pending`, resting again: the market moved back, or nobody gave a quote to a sniper."""

    resting: bool = True
    attempt: int | UnsetType = UNSET
    reason: str
    price: str | UnsetType = UNSET
    """What the order would have got."""
    fires_at: str | UnsetType = UNSET
    """The BEST price at which the order's own impact leaves it its limit."""
    signature: str | UnsetType = UNSET
    """Of the transaction that reverted, where one did."""
    amended: "Amended | UnsetType" = UNSET
    """A stop-limit that has fired is a limit order from now on."""
    gates: list[GateData] | UnsetType = UNSET
    """What was found of the token, where that was not enough to buy it."""


class ReleaseData(Data, frozen=True, kw_only=True):
    """`pending`: the owner stopped or crashed before anything was written to be sent, or could not write it. One is set."""

    reason: str | UnsetType = UNSET
    handover: Handover | UnsetType = UNSET
    takeover: Takeover | UnsetType = UNSET


class Amended(Data, frozen=True, kw_only=True):
    """The fields that an amendment changes. `expires_at` null: the order does not expire any more."""

    limit_price: str | UnsetType = UNSET
    asked_price: str | None | UnsetType = UNSET
    """The limit in tokenIn, as it was asked for; null: it is not in tokenIn any more. Comes with `limit_price` only."""
    trigger_condition: str | UnsetType = UNSET
    amount: str | UnsetType = UNSET
    exact_out: str | UnsetType = UNSET
    amount_in_max: str | UnsetType = UNSET
    slippage_bps: int | UnsetType = UNSET
    trail_bps: int | UnsetType = UNSET
    expires_at: datetime | None | UnsetType = UNSET

    @property
    def empty(self) -> bool:
        return all(getattr(self, name) is UNSET for name in self.__struct_fields__)


class Asked(Data, frozen=True, kw_only=True):
    """What people's changes have in common. Both are absent in events that earlier versions wrote."""

    by: str | UnsetType = UNSET
    """Who asked: `key` and the key's first characters, `user` and the name, `local` for a request without a key."""
    request_id: str | UnsetType = UNSET
    """`X-Request-Id` of the request."""


class AmendData(Asked, frozen=True, kw_only=True):
    """`pending`: a resting order was changed."""

    resting: bool = True
    amended: Amended


class Requeued(Data, frozen=True, kw_only=True):
    by: str
    """As in `Asked`."""


class RequeueData(Asked, frozen=True, kw_only=True):
    """`pending`: an operator sent a failed order round again; with `resting` it waits for its trigger."""

    requeued: Requeued
    resting: bool | UnsetType = UNSET


class CancelData(Asked, frozen=True, kw_only=True):
    """`cancelled`."""


class ExpireData(Data, frozen=True, kw_only=True):
    """`expired`. The fields are set for an order of one attempt: `reason` is NOT_MARKETABLE."""

    reason: str | UnsetType = UNSET
    error: ErrorData | UnsetType = UNSET
    price: str | UnsetType = UNSET
    """What the order would have got."""


DATA_OF: Mapping[Event, type[Data]] = {
    Event.BUILD: BuildData,
    Event.SUBMIT: SubmitData,
    Event.CONFIRM: ConfirmData,
    Event.RETRY: RetryData,
    Event.REST: RestData,
    Event.RELEASE: ReleaseData,
    Event.FAIL: FailData,
    Event.CANCEL: CancelData,
    Event.EXPIRE: ExpireData,
    Event.AMEND: AmendData,
    Event.REQUEUE: RequeueData,
}
"""Event.CLAIM is written by `claim.sql`, which alone knows its data: `{"attempt", "trigger"?}`."""


def order_group(order_id: UUID | str) -> str:
    return f"order.{order_id}"


def account_group(account_id: int) -> str:
    return f"account.{account_id}"


def plan_group(plan_id: UUID | str) -> str:
    return f"plan.{plan_id}"


class CommittedEvent(msgspec.Struct, frozen=True):
    """One committed event of an order, as clients get it."""

    order_id: UUID
    account_id: int
    seq: int
    status: Status
    at: datetime
    data: EventData

    @property
    def subject(self) -> UUID:
        return self.order_id

    @property
    def groups(self) -> list[str]:
        """Its order's and its account's."""
        groups = [account_group(self.account_id)]
        if self.seq > 1:  # Nobody can watch an order before its id is known.
            groups.append(order_group(self.order_id))
        return groups

    @classmethod
    def of(cls, change: Change, row: Recorded) -> "CommittedEvent":
        return cls(change.order_id, change.account_id, change.seq, change.status, row.at, change.data)

    def text(self) -> str:
        """The WebSocket message."""
        message: dict[str, Any] = {
            "type": "event",
            "orderId": self.order_id,
            "seq": self.seq,
            "status": self.status,
            "at": timestamp(self.at),
            "data": self.data,
        }
        return encode(message).decode()


class CommittedPlanEvent(msgspec.Struct, frozen=True):
    """One committed event of a plan. Its sockets read it from the database; this says that there is something to read."""

    plan_id: UUID
    seq: int

    @property
    def subject(self) -> UUID:
        return self.plan_id

    @property
    def groups(self) -> list[str]:
        return [plan_group(self.plan_id)]

    def text(self) -> str:
        return encode({"type": "event", "planId": self.plan_id, "seq": self.seq}).decode()


AnyEvent = CommittedEvent | CommittedPlanEvent


def audience(events: Iterable[AnyEvent]) -> dict[str, list[AnyEvent]]:
    """The groups that each event is for."""
    groups: dict[str, list[AnyEvent]] = {}
    for event in events:
        for group in event.groups:
            groups.setdefault(group, []).append(event)
    return groups
