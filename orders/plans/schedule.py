"""A schedule: the same order again and again (TWAP, DCA). Pure.

Slice n belongs to the n-th window; a window that passes without its slice (an outage, a pause, a slice that took too long)
is skipped and not made up for at once. So an outage of any length is followed by one slice, never by a burst.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from orders.lifecycle import Status
from orders.plans.values import SLICE, Child, Decision, Facts, Leg, PlanStatus, Schedule, Terms
from orders.wire import text

EXACT = Context(prec=80)
MAX_SPREAD = 3
"""Times a slice's own amount, when what was missed is spread over the slices that are left."""
LAST_S = 1.0
"""A slice is not begun in the last second of its window, or in the last half of what jitter leaves of a short one: it would
expire before anybody took it."""


def decide(spec: Schedule, facts: Facts, now: datetime) -> Decision:
    """The next step of a schedule that has not ended."""
    slices = facts.of(SLICE)
    spent = sum((leg.amount for leg in slices if leg.status is Status.CONFIRMED), Decimal(0))
    bought = sum((leg.amount_out or Decimal(0) for leg in slices if leg.status is Status.CONFIRMED), Decimal(0))
    last = max((leg.round for leg in slices), default=0)

    def decision(status: PlanStatus, upto: int = last, **fields: Any) -> Decision:
        progress = progress_of(spec, slices, spent, bought, upto)
        return Decision(status=status, progress=progress, **fields)

    if facts.status is PlanStatus.CLOSING:
        working = any(leg.works for leg in slices)
        return decision(
            PlanStatus.CLOSING if working else PlanStatus.CANCELLED, cancel=[leg for leg in slices if leg.waits]
        )
    if facts.status is PlanStatus.PAUSED:
        # A slice at work runs to its end.
        return decision(PlanStatus.PAUSED, cancel=[leg for leg in slices if leg.waits])
    if any(leg.open for leg in slices):
        return decision(PlanStatus.ACTIVE)
    if spec.stop_after_failures is not None and failures_in_a_row(slices) >= spec.stop_after_failures:
        return decision(PlanStatus.FAILED, notes={"reason": "TOO_MANY_FAILURES", "alert": {"code": "SCHEDULE_STOPPED"}})
    n = max(last + 1, window_at(spec, now))
    if now > window_end(spec, n) - last_of(spec):
        n += 1
    amount = amount_of(spec, n, spent)
    if amount <= 0:
        # Those at the end that nobody made are skipped like any other, unless nothing is left for them.
        missed = range(last + 1, (spec.slices or 0) + 1) if spec.total != spent else range(0)
        return decision(PlanStatus.COMPLETED, last + len(missed), notes={"skipped": list(missed)} if missed else {})
    begins = begins_at(spec, facts.id, n)
    if now < begins:
        return decision(PlanStatus.ACTIVE, due_at=begins)
    child = Child(leg=SLICE, round=n, terms=terms_of(spec, n, amount))
    notes = {"skipped": list(range(last + 1, n))} if n > last + 1 else {}
    return decision(PlanStatus.ACTIVE, n - 1, create=[child], notes=notes)


def window_at(spec: Schedule, at: datetime) -> int:
    """The number of the window that holds the moment, from 1; 0 before the first."""
    return max(0, int((at - spec.start_at) / timedelta(seconds=spec.every_s)) + 1) if at >= spec.start_at else 0


def window_begin(spec: Schedule, n: int) -> datetime:
    return spec.start_at + timedelta(seconds=spec.every_s * (n - 1))


def window_end(spec: Schedule, n: int) -> datetime:
    return window_begin(spec, n + 1)


def begins_at(spec: Schedule, plan_id: UUID, n: int) -> datetime:
    """The window's begin and the slice's jitter: a fraction of the window that follows from the plan's id and n alone."""
    digest = hmac.digest(plan_id.bytes, n.to_bytes(8, "big"), sha256)
    fraction = int.from_bytes(digest[:6], "big") / 2**48
    return window_begin(spec, n) + timedelta(seconds=spec.every_s * spec.jitter_bps / 10_000 * fraction)


def last_of(spec: Schedule) -> timedelta:
    """The end of a window in which a slice is not begun any more."""
    return timedelta(seconds=min(LAST_S, spec.every_s * (1 - spec.jitter_bps / 10_000) / 2))


def amount_of(spec: Schedule, n: int, spent: Decimal) -> Decimal:
    """What slice n is to spend; 0 when there is no slice n. The last one takes what rounding has left."""
    if spec.slices is not None and n > spec.slices:
        return Decimal(0)
    if spec.total is None:
        return spec.slice_amount
    left = spec.total - spent
    if spec.slices is None:
        return max(Decimal(0), min(spec.slice_amount, left))
    rest = spec.total - spec.slice_amount * (spec.slices - 1)
    planned = rest if n == spec.slices else spec.slice_amount
    if spec.catch_up == "skip":
        return max(Decimal(0), min(planned, left))
    slices_left = spec.slices - n + 1
    even = EXACT.divide(left, Decimal(slices_left)).quantize(
        Decimal(1).scaleb(-spec.decimals), ROUND_FLOOR, context=EXACT
    )
    return max(Decimal(0), min(left if n == spec.slices else even, MAX_SPREAD * max(planned, spec.slice_amount)))


def terms_of(spec: Schedule, n: int, amount: Decimal) -> Terms:
    """A price band makes the slice a limit order, which ends with its window."""
    trigger: dict[str, Any] = {"type": "market"}
    if spec.min_price is not None and spec.max_price is not None:
        trigger = {
            "type": "limit",
            "limit_price": spec.max_price,
            "trigger_condition": "lte",
            "worst_price": spec.min_price,
        }
    elif spec.min_price is not None:
        trigger = {"type": "limit", "limit_price": spec.min_price, "trigger_condition": "gte"}
    elif spec.max_price is not None:
        trigger = {"type": "limit", "limit_price": spec.max_price, "trigger_condition": "lte"}
    return Terms(
        token_in=spec.token_in,
        token_out=spec.token_out,
        amount=amount,
        slippage_bps=spec.slippage_bps,
        max_price_impact_bps=spec.max_price_impact_bps,
        expires_at=window_end(spec, n),
        **trigger,
    )


def failures_in_a_row(slices: Sequence[Leg]) -> int:
    """Slices that failed since the last that did not."""
    count = 0
    for leg in sorted(slices, key=lambda leg: leg.round, reverse=True):
        if leg.status is not Status.FAILED:
            break
        count += 1
    return count


def progress_of(spec: Schedule, slices: Sequence[Leg], spent: Decimal, bought: Decimal, upto: int) -> Mapping[str, Any]:
    """`upto`: the last window that has had its slice, or none."""
    count = {status: sum(leg.status is status for leg in slices) for status in Status}
    return {
        "spent": text(spent),
        "bought": text(bought),
        "remaining": None if spec.total is None else text(spec.total - spent),
        "averagePrice": text(EXACT.divide(bought, spent)) if spent else None,
        "slices": spec.slices,
        "done": count[Status.CONFIRMED],
        "failed": count[Status.FAILED],
        "expired": count[Status.EXPIRED],
        "cancelled": count[Status.CANCELLED],
        "skipped": upto - len(slices),
    }
