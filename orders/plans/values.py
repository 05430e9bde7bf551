"""What a plan wants, what has become of it so far, and what a step of it decides. Pure values.

Amounts are decimals in whole tokens, prices tokenOut per tokenIn of the order they belong to, durations seconds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

import msgspec

from orders.lifecycle import FINAL, Status
from routing.gates import Gates


class PlanStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSING = "closing"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


ENDED = frozenset({PlanStatus.COMPLETED, PlanStatus.CANCELLED, PlanStatus.EXPIRED, PlanStatus.FAILED})
ENTRY, SLICE = "entry", "slice"


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order to be made; the field names are its columns."""

    type: str
    token_in: str
    token_out: str
    amount: Decimal | None
    """None: an entry says what it buys, or which share of the wallet it sells."""
    slippage_bps: int
    percent: int | None = None
    exact_out: Decimal | None = None
    amount_in_max: Decimal | None = None
    limit_price: Decimal | None = None
    asked_price: Decimal | None = None
    trigger_condition: str | None = None
    trigger_kind: str | None = None
    min_liquidity: Decimal | None = None
    volume_factor: Decimal | None = None
    launched_before: bool | None = None
    max_price_impact_bps: int | None = None
    trail_bps: int | None = None
    activation_price: Decimal | None = None
    trail_high: Decimal | None = None
    worst_price: Decimal | None = None
    time_in_force: str | None = None
    expires_at: datetime | None = None
    client_order_id: str | None = None
    max_fee_lamports: int | None = None
    gates: Gates | None = None
    wallet: str | None = None


class Exit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way out of a position. Of the three prices one is set: relative to the cost, absolute, or trailing."""

    leg: str
    """tp1, tp2, …, stop, trail, time: unique in its bracket."""
    kind: Literal["takeProfit", "stopLoss", "trailing", "timeLimit"]
    at_bps: int | None = None
    """Above the cost for a take-profit, below it for a stop."""
    price: Decimal | None = None
    portion_bps: int = 10_000
    """Of the position, for a take-profit; every other exit sells what is left."""
    trail_bps: int | None = None
    activate_at_bps: int | None = None
    slippage_bps: int = 50
    max_slippage_bps: int = 50
    """An exit that protects is made again with wider slippage up to this, each time it has failed."""
    after_s: float | None = None

    @property
    def protects(self) -> bool:
        return self.kind != "takeProfit"


class Bracket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="bracket", tag_field="kind"):
    """An optional entry and the exits of what it brings. The exits sell `token` for `quote`."""

    token: str
    quote: str
    decimals: int
    """Of `token`."""
    exits: tuple[Exit, ...]
    entry: Terms | None = None
    amount: Decimal | None = None
    """Without an entry: what is held of `token`."""
    reference: Decimal | None = None
    """Without an entry: the price, quote per token, that `at_bps` are relative to."""
    expires_at: datetime | None = None
    """Without an entry: when the exits end."""
    mode: str | None = None
    """EXECUTION_MODE of its orders."""
    wallet: str | None = None
    """Of its orders; None: the account's."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="schedule", tag_field="kind"):
    """The same order again and again: slice n runs in the n-th window of `every_s` seconds from `start_at`, n from 1."""

    token_in: str
    token_out: str
    decimals: int
    """Of `token_in`."""
    slippage_bps: int
    start_at: datetime
    every_s: float
    slice_amount: Decimal
    total: Decimal | None = None
    """What is spent in all; None: no end."""
    slices: int | None = None
    """How many windows there are; None: no end."""
    jitter_bps: int = 0
    """Of a window: by how much a slice begins later, the same for the same slice of the same plan."""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    catch_up: Literal["skip", "spread"] = "skip"
    stop_after_failures: int | None = None
    """In a row."""
    mode: str | None = None
    wallet: str | None = None
    max_price_impact_bps: int | None = None


Spec = Bracket | Schedule


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A committed order of a plan, as far as decisions need it."""

    id: UUID
    leg: str
    round: int
    status: Status
    resting: bool
    seq: int
    epoch: int
    amount: Decimal
    """What it sells. Of an entry that says it otherwise 0 until it has sold it."""
    slippage_bps: int
    trail_bps: int | None = None
    trail_high: Decimal | None = None
    """That a trailing stop has followed."""
    limit_price: Decimal | None = None
    amount_out: Decimal | None = None
    failure_code: str | None = None
    reverted: int = 0
    """Transactions of it that landed with an error."""
    created_at: datetime
    finished_at: datetime | None = None

    @property
    def failures(self) -> int:
        """After each of them the leg's next try has wider slippage."""
        return self.reverted + (self.status is Status.FAILED)

    @property
    def open(self) -> bool:
        return self.status not in FINAL

    @property
    def waits(self) -> bool:
        """Nobody executes it: it can be cancelled and amended."""
        return self.status is Status.PENDING

    @property
    def works(self) -> bool:
        return self.open and not self.waits


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision is made from, the spec and the time apart."""

    id: UUID
    status: PlanStatus
    created_at: datetime
    legs: Sequence[Leg]
    """In the order of their rounds, those of one leg."""

    def of(self, leg: str) -> list[Leg]:
        return [each for each in self.legs if each.leg == leg]

    def newest(self, leg: str) -> Leg | None:
        return max(self.of(leg), key=lambda each: each.round, default=None)


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be made."""

    leg: str
    round: int
    terms: Terms


class Amend(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits is to be of another size, slippage, price or distance."""

    leg: Leg
    amount: Decimal
    slippage_bps: int
    limit_price: Decimal | None = None
    """None: as it is. So is `trail_bps`."""
    trail_bps: int | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a step does. Everything in it follows from spec, facts and time, so that a step may be taken again."""

    create: Sequence[Child] = ()
    cancel: Sequence[Leg] = ()
    amend: Sequence[Amend] = ()
    status: PlanStatus = PlanStatus.ACTIVE
    due_at: datetime | None = None
    """When time alone makes the next step due."""
    progress: Mapping[str, Any] = {}
    notes: Mapping[str, Any] = {}
    """For the plan's event: `alert`, `skipped`, `reason`."""
