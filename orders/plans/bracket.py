"""A bracket: an optional entry, then exits of which at most the whole position is sold. Pure.

One leg at a time has its turn (`Plan.holder`), and its end makes a step due before any other may go on. So a step sees exactly
what was sold, and sets the others to what is left before one of them can trade.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from orders.lifecycle import Status
from orders.plans.values import (
    ENTRY,
    Amend,
    Bracket,
    Child,
    Decision,
    Exit,
    Facts,
    Leg,
    PlanStatus,
    Terms,
)
from orders.wire import text

PAUSE_S, MAX_PAUSE_S = 30, 3600
"""After an exit that protects has failed at its widest slippage for the second time, third time, …; doubled each time."""
WHOLE = 10_000
"""Basis points."""
REVERTED = "REVERTED"
"""What failed where an exit's transactions landed with an error until its slippage was at its widest."""
EXACT = Context(prec=80)
PRICE_UNIT = Decimal(1).scaleb(-18)
ENDS = {Status.FAILED: PlanStatus.FAILED, Status.EXPIRED: PlanStatus.EXPIRED, Status.CANCELLED: PlanStatus.CANCELLED}


def decide(spec: Bracket, facts: Facts, now: datetime) -> Decision:
    """The next step of a bracket that has not ended."""
    closing = facts.status is PlanStatus.CLOSING
    if spec.entry is None:
        assert spec.amount is not None and spec.reference is not None
        return Exits(spec, facts, now, spec.amount, spec.reference, facts.created_at).decide()
    entry = facts.newest(ENTRY)
    if entry is None:
        if closing:
            return Decision(status=PlanStatus.CANCELLED)
        return Decision(create=[Child(leg=ENTRY, round=1, terms=spec.entry)])
    if entry.open:
        if closing and entry.waits:
            return Decision(status=PlanStatus.CANCELLED, cancel=[entry])
        return Decision(status=facts.status)
    if entry.status is not Status.CONFIRMED or not entry.amount_out:
        return Decision(
            status=ENDS.get(entry.status, PlanStatus.FAILED), notes={"reason": f"ENTRY_{entry.status.upper()}"}
        )
    assert entry.finished_at is not None
    cost = EXACT.divide(entry.amount, entry.amount_out)
    return Exits(spec, facts, now, entry.amount_out, cost, entry.finished_at).decide()


class Exits:
    """The step once there is a position: `amount` of the token, had for `cost` each (in the quote token) since `since`."""

    def __init__(
        self, spec: Bracket, facts: Facts, now: datetime, amount: Decimal, cost: Decimal, since: datetime
    ) -> None:
        self._spec = spec
        self._facts = facts
        self._now = now
        self._position = amount
        self._cost = cost
        self._since = since
        self._legs = [leg for leg in facts.legs if leg.leg != ENTRY]
        sold = [leg for leg in self._legs if leg.status is Status.CONFIRMED]
        self._sold = sum((leg.amount for leg in sold), Decimal(0))
        self._proceeds = sum((leg.amount_out or Decimal(0) for leg in sold), Decimal(0))
        self._left = amount - self._sold
        self._create: list[Child] = []
        self._cancel: list[Leg] = []
        self._amend: list[Amend] = []
        self._due: list[datetime] = []
        self._notes: dict[str, Any] = {}

    def decide(self) -> Decision:
        closing = self._facts.status is PlanStatus.CLOSING
        if self._left <= 0 or closing:
            return self._wind_up(PlanStatus.CANCELLED if closing and self._left > 0 else PlanStatus.COMPLETED)
        sizes = self._sizes()
        for exit in self._spec.exits:
            if exit.protects:
                self._protect(exit)
            else:
                self._take(exit, sizes[exit.leg])
        if not (self._create or self._due or any(leg.open for leg in self._legs if leg not in self._cancel)):
            return self._wind_up(self._ended())
        return self._decision(PlanStatus.ACTIVE, min(self._due, default=None))

    def _wind_up(self, status: PlanStatus) -> Decision:
        """Cancels what waits. A leg at work runs to its end first."""
        self._cancel = [leg for leg in self._legs if leg.waits]
        working = any(leg.works for leg in self._legs)
        return self._decision(self._facts.status if working else status, None)

    def _ended(self) -> PlanStatus:
        """How a bracket ends none of whose exits can trade any more, with something left."""
        lasts = {self._facts.newest(exit.leg) for exit in self._spec.exits}
        ends = {leg.status for leg in lasts if leg is not None}
        for status in (Status.FAILED, Status.EXPIRED, Status.CANCELLED):
            if status in ends:
                return ENDS[status]
        return PlanStatus.COMPLETED

    def _decision(self, status: PlanStatus, due_at: datetime | None) -> Decision:
        return Decision(
            create=self._create,
            cancel=self._cancel,
            amend=self._amend,
            status=status,
            due_at=due_at,
            progress=self._progress(),
            notes=self._notes,
        )

    def _progress(self) -> Mapping[str, Any]:
        average = EXACT.divide(self._proceeds, self._sold) if self._sold else None
        return {
            "position": text(self._position),
            "cost": text(self._cost),
            "sold": text(self._sold),
            "proceeds": text(self._proceeds),
            "remaining": text(max(self._left, Decimal(0))),
            "averagePrice": None if average is None else text(average),
        }

    def _sizes(self) -> dict[str, Decimal]:
        """What each take-profit sells of the position: whole base units that add up to their portions' sum."""
        sizes, bps, given = {}, 0, Decimal(0)
        for exit in self._spec.exits:
            if not exit.protects:
                bps += exit.portion_bps
                upto = self._whole(EXACT.multiply(self._position, Decimal(bps) / WHOLE))
                sizes[exit.leg] = upto - given
                given = upto
        return sizes

    def _whole(self, amount: Decimal) -> Decimal:
        """Rounded down to base units."""
        return amount.quantize(Decimal(1).scaleb(-self._spec.decimals), ROUND_FLOOR, context=EXACT)

    def _take(self, exit: Exit, size: Decimal) -> None:
        """One order. One that failed is not made again: what protects the position is still there."""
        size = min(size, self._left)
        newest = self._only_newest(exit.leg)
        if newest is None:
            if size > 0:
                self._make(exit, 1, size, exit.slippage_bps)
        elif newest.waits:
            self._fit(exit, newest, size, exit.slippage_bps)

    def _protect(self, exit: Exit) -> None:
        """An order for all that is left, as long as there is something left; once it has failed another, with wider slippage."""
        after = None if exit.after_s is None else self._since + timedelta(seconds=exit.after_s)
        if after is not None and self._now < after:
            self._due.append(after)
            return
        newest = self._only_newest(exit.leg)
        failures = sum(leg.failures for leg in self._facts.of(exit.leg))
        slippage, at_cap = widened(exit, failures)
        if newest is None:
            self._make(exit, 1, self._left, slippage)
        elif newest.status is Status.EXPIRED or newest.works:
            return
        elif newest.waits and widened(exit, failures - newest.failures)[1] == at_cap:
            self._fit(exit, newest, self._left, slippage)
        else:
            # One that has reverted at its widest has failed, though it waits for another try.
            self._cancel += [newest] if newest.waits else []
            self._again(exit, newest, slippage, at_cap)

    def _again(self, exit: Exit, last: Leg, slippage_bps: int, at_cap: int) -> None:
        """An order after one that has failed, at once or later: each failure at the widest slippage has a longer pause."""
        pause_s = 0 if at_cap < 2 else min(MAX_PAUSE_S, PAUSE_S << min(at_cap - 2, 16))
        again = (last.finished_at or self._now) + timedelta(seconds=pause_s)
        if again > self._now:
            self._due.append(again)
            return
        if at_cap > 0:
            failure = last.failure_code or (REVERTED if last.reverted else None)
            self._notes["alert"] = {"code": "EXIT_FAILED", "leg": exit.leg, "failure": failure}
        self._make(exit, last.round + 1, self._left, slippage_bps)

    def _only_newest(self, leg: str) -> Leg | None:
        """Of a leg that an operator sent round again beside its successor only the newest goes on."""
        newest = self._facts.newest(leg)
        self._cancel += [each for each in self._facts.of(leg) if each.waits and each is not newest]
        return newest

    def _fit(self, exit: Exit, leg: Leg, amount: Decimal, slippage_bps: int) -> None:
        """Gives a leg that waits the size, slippage and price that it should have."""
        price = None if exit.kind == "trailing" else trigger_of(exit, self._cost).get("limit_price")
        if amount <= 0:
            self._cancel.append(leg)
        elif (leg.amount, leg.slippage_bps, leg.limit_price if price else None, leg.trail_bps) == (
            amount,
            slippage_bps,
            price,
            exit.trail_bps,
        ):
            return
        elif leg.resting:
            trail_bps = None if leg.trail_bps == exit.trail_bps else exit.trail_bps
            self._amend.append(
                Amend(leg=leg, amount=amount, slippage_bps=slippage_bps, limit_price=price, trail_bps=trail_bps)
            )
        else:
            # Only what rests can be amended: what is to be tried again is cancelled and made anew.
            self._cancel.append(leg)
            self._make(exit, leg.round + 1, amount, slippage_bps)

    def _followed(self, leg: str) -> Decimal | None:
        """The high that a trailing stop had followed when it fired: the next order of its leg goes on from there."""
        return max((each.trail_high for each in self._facts.of(leg) if each.trail_high is not None), default=None)

    def _make(self, exit: Exit, round: int, amount: Decimal, slippage_bps: int) -> None:
        terms = Terms(
            type="market" if exit.kind == "timeLimit" else "limit",
            token_in=self._spec.token,
            token_out=self._spec.quote,
            amount=amount,
            slippage_bps=slippage_bps,
            expires_at=self._spec.expires_at,
            **trigger_of(exit, self._cost, self._followed(exit.leg)),
        )
        self._create.append(Child(leg=exit.leg, round=round, terms=terms))


def trigger_of(exit: Exit, cost: Decimal, followed: Decimal | None = None) -> dict[str, Any]:
    """The columns that say what an exit waits for. `followed`: the high of a trailing stop that has fired before."""
    match exit.kind:
        case "takeProfit":
            return {"limit_price": price_at(exit.price, exit.at_bps, cost), "trigger_condition": "gte"}
        case "stopLoss":
            return {
                "limit_price": price_at(exit.price, exit.at_bps and -exit.at_bps, cost),
                "trigger_condition": "lte",
            }
        case "trailing" if followed is not None:
            assert exit.trail_bps is not None
            return {
                "limit_price": price_at(None, -exit.trail_bps, followed),
                "trigger_condition": "lte",
                "trail_bps": exit.trail_bps,
                "trail_high": followed,
            }
        case "trailing":
            activation = None if exit.activate_at_bps is None else price_at(None, exit.activate_at_bps, cost)
            return {
                # Until it has followed a price there is none at which it fires.
                "limit_price": PRICE_UNIT,
                "trigger_condition": "lte",
                "trail_bps": exit.trail_bps,
                "activation_price": activation,
            }
        case _:
            return {}


def price_at(price: Decimal | None, bps: int | None, cost: Decimal) -> Decimal:
    """An absolute price as it is; one relative to the cost rounded to 18 places, up above it and down below it."""
    if price is not None:
        return price
    assert bps is not None
    exact = EXACT.multiply(cost, Decimal(WHOLE + bps) / WHOLE)
    return exact.quantize(PRICE_UNIT, ROUND_CEILING if bps > 0 else ROUND_FLOOR, context=EXACT)


def widened(exit: Exit, failures: int) -> tuple[int, int]:
    """Slippage after so many failures, doubled each time up to its cap; and how many of them were at the cap."""
    slippage, tried = exit.slippage_bps, 0
    while tried < failures and slippage < exit.max_slippage_bps:
        slippage = min(exit.max_slippage_bps, max(1, slippage * 2))
        tried += 1
    return slippage, failures - tried
