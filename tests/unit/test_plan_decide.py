"""Whatever happens to the legs of a plan, in whatever order, and however often a step is lost or repeated: the decisions hold."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.errors import ApiError
from orders.lifecycle import FINAL, Status
from orders.plans.commands import amended, check_open
from orders.plans.decide import decide
from orders.plans.schedule import begins_at, window_begin, window_end
from orders.plans.values import (
    ENDED,
    ENTRY,
    Bracket,
    Decision,
    Exit,
    Facts,
    Leg,
    PlanStatus,
    Schedule,
    Spec,
    Terms,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = UUID(int=9)
HIGH = Decimal(170)
STOP = Exit(leg="stop", kind="stopLoss", at_bps=500, slippage_bps=100, max_slippage_bps=800)


def take_profit(n: int, at_bps: int, portion_bps: int) -> Exit:
    return Exit(leg=f"tp{n}", kind="takeProfit", at_bps=at_bps, portion_bps=portion_bps)


def entry(**fields: Any) -> Terms:
    values = {"type": "market", "token_in": "USDC", "token_out": "SOL", "amount": Decimal(300), "slippage_bps": 50}
    return Terms(**(values | fields))


def bracket(*exits: Exit, **fields: Any) -> Bracket:
    values = {"token": "SOL", "quote": "USDC", "decimals": 9, "exits": exits or (take_profit(1, 500, 10_000), STOP)}
    return Bracket(**(values | {"entry": entry()} | fields))


def oco(*exits: Exit, **fields: Any) -> Bracket:
    return bracket(*exits, **({"entry": None, "amount": Decimal(2), "reference": Decimal(150)} | fields))


def schedule(**fields: Any) -> Schedule:
    values = {
        "token_in": "USDC",
        "token_out": "SOL",
        "decimals": 6,
        "slippage_bps": 50,
        "start_at": NOW,
        "every_s": 60.0,
        "slice_amount": Decimal(10),
        "slices": 10,
        "total": Decimal(100),
    }
    return Schedule(**(values | fields))


@dataclass
class World:
    """What Postgres holds of one plan, and what its statements do to it (`claim.sql`, `record.sql`, `orders.plans.step`)."""

    spec: Spec
    now: datetime = NOW
    status: PlanStatus = PlanStatus.ACTIVE
    legs: dict[UUID, Leg] = field(default_factory=dict)
    terms: dict[UUID, Terms] = field(default_factory=dict)
    holder: UUID | None = PLAN
    due_at: datetime | None = None
    decisions: list[Decision] = field(default_factory=list)

    def facts(self) -> Facts:
        ordered = sorted(self.legs.values(), key=lambda leg: (leg.leg, leg.round))
        return Facts(id=PLAN, status=self.status, created_at=NOW, legs=ordered)

    @property
    def due(self) -> bool:
        return self.holder == PLAN or self.due_at is not None and self.due_at <= self.now

    def step(self, wanted: PlanStatus | None = None) -> Decision:
        """One transaction."""
        if wanted is not None:
            self.status = wanted
        decision = decide(self.spec, self.facts(), self.now)
        for leg in decision.cancel:
            assert leg.waits and self.legs[leg.id] == leg
            self.put(leg, status=Status.CANCELLED, finished_at=self.now)
        for amend in decision.amend:
            assert amend.leg.waits and amend.leg.resting and amend.amount > 0
            price = self.legs[amend.leg.id].limit_price if amend.limit_price is None else amend.limit_price
            bps = self.legs[amend.leg.id].trail_bps if amend.trail_bps is None else amend.trail_bps
            self.put(amend.leg, amount=amend.amount, slippage_bps=amend.slippage_bps, limit_price=price, trail_bps=bps)
        for child in decision.create:
            assert child.terms.amount is None or child.terms.amount > 0
            assert (child.leg, child.round) not in {(leg.leg, leg.round) for leg in self.legs.values()}
            self.add(child.leg, child.round, child.terms)
        self.status, self.due_at = decision.status, decision.due_at
        if self.holder == PLAN:
            self.holder = None
        self.decisions.append(decision)
        self.check()
        return decision

    def add(self, leg: str, round: int, terms: Terms) -> None:
        made = Leg(
            id=UUID(int=1000 + len(self.legs)),
            leg=leg,
            round=round,
            status=Status.PENDING,
            resting=terms.type != "market",
            seq=1,
            epoch=0,
            amount=terms.amount or Decimal(0),
            slippage_bps=terms.slippage_bps,
            limit_price=terms.limit_price,
            trail_bps=terms.trail_bps,
            trail_high=terms.trail_high,
            created_at=self.now,
        )
        self.legs[made.id], self.terms[made.id] = made, terms

    def put(self, leg: Leg, **fields: Any) -> None:
        self.legs[leg.id] = msgspec.structs.replace(self.legs[leg.id], **fields)

    def claim(self, leg: Leg) -> None:
        if leg.waits and self.holder in (None, leg.id) and self.status is PlanStatus.ACTIVE:
            self.holder = leg.id
            # A trailing stop fires at a high that it has followed.
            high = None if leg.trail_bps is None else max(leg.trail_high or HIGH, HIGH)
            self.put(leg, status=Status.ROUTING, resting=False, trail_high=high)

    def happen(self, leg: Leg, outcome: str) -> None:
        """What an executor records of a leg at work."""
        if not leg.works:
            return
        resting = self.terms[leg.id].type != "market"
        match outcome:
            case "confirm":
                exact = self.terms[leg.id].exact_out
                amount = leg.amount if exact is None else exact * Decimal("1.01")
                out = exact or amount * Decimal("0.99")
                self.put(leg, status=Status.CONFIRMED, finished_at=self.now, amount=amount, amount_out=out)
            case "fail":
                self.put(leg, status=Status.FAILED, finished_at=self.now, failure_code="NO_ROUTE")
            case "retry":
                self.put(leg, status=Status.PENDING)
            case "rest":
                self.put(leg, status=Status.PENDING, resting=resting)
            case "revert":
                self.put(leg, status=Status.PENDING, resting=resting, reverted=leg.reverted + 1)
        self.holder = PLAN

    def between(self, leg: Leg, outcome: str) -> None:
        """What happens to a leg that nobody executes: it expires, or an operator sends a failed one round again."""
        if outcome == "expire" and leg.waits:
            self.put(leg, status=Status.EXPIRED, finished_at=self.now)
        elif outcome == "requeue" and leg.status is Status.FAILED and self.status not in ENDED:
            resting = self.terms[leg.id].type != "market"
            self.put(leg, status=Status.PENDING, resting=resting, finished_at=None)
        else:
            return
        if self.holder is None:
            self.holder = PLAN

    def amend(self, leg: str, fields: dict[str, Any]) -> None:
        """As `orders.plans.commands.amend` does it, or refuses it."""
        assert isinstance(self.spec, Bracket)
        newest = {each.leg: each.status for each in self.facts().legs}
        try:
            changed = amended(self.spec, {leg: fields})
            check_open(changed, {leg: fields}, newest)
        except ApiError:
            return
        self.spec = changed
        self.step()

    def settle(self) -> None:
        for _ in range(50):
            if not self.due:
                return
            self.step()
        raise AssertionError("the plan's steps come to no end")

    def check(self) -> None:
        assert sum(leg.works for leg in self.legs.values()) <= 1
        if isinstance(self.spec, Bracket):
            self.check_bracket(self.spec)
        else:
            spent = sum(leg.amount for leg in self.legs.values() if leg.status is Status.CONFIRMED)
            assert self.spec.total is None or spent <= self.spec.total

    def check_bracket(self, spec: Bracket) -> None:
        exits = [leg for leg in self.legs.values() if leg.leg != ENTRY]
        sold = sum((leg.amount for leg in exits if leg.status is Status.CONFIRMED), Decimal(0))
        bought = spec.amount or Decimal(0)
        for leg in self.legs.values():
            if leg.leg == ENTRY and leg.status is Status.CONFIRMED:
                assert leg.amount_out is not None
                bought = leg.amount_out
        assert sold <= bought, "more is sold than was bought"
        closed = [leg for leg in exits if leg.status is Status.CONFIRMED and not leg.leg.startswith("tp")]
        assert len(closed) <= 1, "the position is closed twice"
        entries = [leg for leg in self.legs.values() if leg.leg == ENTRY and leg.status is Status.CONFIRMED]
        assert len(entries) <= 1, "it is entered twice"
        working = [leg.amount for leg in exits if leg.works]
        assert sum(working, sold) <= bought, "more is being sold than is left"


OUTCOMES = st.sampled_from(["confirm", "fail", "retry", "rest", "revert"])
AMENDMENTS = st.sampled_from(
    [
        {"portion_bps": 1},
        {"portion_bps": 9_000},
        {"price": Decimal("1.01")},
        {"at_bps": 900},
        {"trail_bps": 9_000},
        {"slippage_bps": 300, "max_slippage_bps": 300},
    ]
)
MOVES = st.one_of(
    st.tuples(st.just("claim"), st.integers(0, 9)),
    st.tuples(st.just("happen"), OUTCOMES),
    st.tuples(st.just("between"), st.sampled_from(["expire", "requeue"]), st.integers(0, 9)),
    st.tuples(st.just("step"), st.sampled_from(["once", "lost", "twice"])),
    st.tuples(st.just("wait"), st.integers(1, 4000)),
    st.tuples(st.just("close")),
    st.tuples(st.sampled_from(["pause", "resume"])),
    st.tuples(st.just("amend"), st.sampled_from(["tp1", "tp2", "stop", "trail", "time"]), AMENDMENTS),
)
BRACKETS = st.sampled_from(
    [
        bracket(),
        bracket(take_profit(1, 300, 3_333), take_profit(2, 600, 3_333), take_profit(3, 900, 3_334), STOP),
        bracket(take_profit(1, 300, 5_000), STOP, Exit(leg="time", kind="timeLimit", after_s=3_000.0)),
        bracket(take_profit(1, 300, 4_000), take_profit(2, 700, 4_000)),
        bracket(
            take_profit(1, 300, 4_000), STOP, Exit(leg="trail", kind="trailing", trail_bps=500, activate_at_bps=100)
        ),
        bracket(STOP, take_profit(1, 300, 3_000), entry=entry(amount=None, exact_out=Decimal("2.000000001"))),
        oco(take_profit(1, 300, 3_333), take_profit(2, 600, 3_333), STOP, decimals=0, amount=Decimal(7)),
        oco(),
        oco(take_profit(1, 300, 5_001), take_profit(2, 600, 4_999), STOP),
        oco(take_profit(1, 300, 1), STOP, amount=Decimal("0.000000007")),
    ]
)
SCHEDULES = st.sampled_from(
    [
        schedule(),
        schedule(catch_up="spread"),
        schedule(total=Decimal("99.999999"), slice_amount=Decimal("33.333333"), slices=3),
        schedule(slices=None, total=Decimal(25)),
        schedule(slices=None, total=None),
        schedule(stop_after_failures=2, jitter_bps=5_000),
        schedule(min_price=Decimal("0.006"), catch_up="spread"),
    ]
)


def play(world: World, moves: list[Any]) -> None:
    for move in moves:
        legs = sorted(world.legs.values(), key=lambda leg: leg.id)
        match move:
            case ("claim", n) if legs:
                world.claim(legs[n % len(legs)])
            case ("happen", outcome):
                for leg in legs:
                    world.happen(leg, outcome)
            case ("between", what, n) if legs:
                world.between(legs[n % len(legs)], what)
            case ("step", "lost"):
                decide(world.spec, world.facts(), world.now)
            case ("step", times) if world.due:
                world.step()
                if times == "twice":
                    again = world.step()
                    assert not (again.create or again.cancel or again.amend), (
                        "a step that was taken leaves something to do"
                    )
            case ("wait", seconds):
                world.now += timedelta(seconds=seconds)
            case ("pause",) if world.status is PlanStatus.ACTIVE and isinstance(world.spec, Schedule):
                world.step(PlanStatus.PAUSED)
            case ("resume",) if world.status is PlanStatus.PAUSED:
                world.step(PlanStatus.ACTIVE)
            case ("amend", leg, fields) if world.status is PlanStatus.ACTIVE and isinstance(world.spec, Bracket):
                world.amend(leg, fields)
            case ("close",) if world.status is PlanStatus.ACTIVE:
                world.step(PlanStatus.CLOSING)
        world.check()


def protected(world: World) -> bool:
    """The position has a live exit that protects it, or its next one has a time."""
    live = any(leg.open and leg.leg != ENTRY and leg.leg.startswith(("stop", "trail")) for leg in world.legs.values())
    return live or world.due_at is not None or world.due


@settings(max_examples=400)
@given(BRACKETS, st.lists(MOVES, max_size=60))
def test_a_bracket_never_sells_more_than_it_bought(spec: Bracket, moves: list[Any]) -> None:
    world = World(spec)
    play(world, moves)
    for leg in list(world.legs.values()):
        world.happen(leg, "rest")
    world.settle()

    assert not any(leg.works for leg in world.legs.values())
    if world.status in ENDED:
        assert not any(leg.open for leg in world.legs.values()), "an ended plan has an open leg"
    else:
        assert world.status is PlanStatus.ACTIVE
        has_stop = any(exit.leg == "stop" for exit in spec.exits)
        in_position = spec.entry is None or any(
            leg.leg == ENTRY and leg.status is Status.CONFIRMED for leg in world.legs.values()
        )
        if has_stop and in_position and not any(leg.status is Status.EXPIRED for leg in world.legs.values()):
            assert protected(world), "a position is left without a live exit that protects it"


@settings(max_examples=200)
@given(st.one_of(BRACKETS, SCHEDULES), st.lists(MOVES, max_size=60))
def test_steps_that_are_lost_or_repeated_make_the_same_children(spec: Spec, moves: list[Any]) -> None:
    world, plain = World(spec), World(spec)
    play(world, moves)
    play(plain, [("step", "once") if move[0] == "step" else move for move in moves if move != ("step", "lost")])
    assert (world.legs, world.terms, world.status) == (plain.legs, plain.terms, plain.status)


@settings(max_examples=400)
@given(SCHEDULES, st.lists(MOVES, max_size=60))
def test_a_schedule_spends_its_total_and_one_slice_a_window(spec: Schedule, moves: list[Any]) -> None:
    world = World(spec)
    play(world, moves)
    for leg in world.legs.values():
        assert (
            window_begin(spec, leg.round)
            <= begins_at(spec, PLAN, leg.round)
            <= leg.created_at
            < window_end(spec, leg.round)
        )
    rounds = [leg.round for leg in world.legs.values()]
    assert len(rounds) == len(set(rounds))


def run(
    spec: Schedule, *, until_s: float, down: tuple[float, float] = (-1, -1), outcome: str = "confirm", tick_s: float = 1
) -> World:
    """Steps every `tick_s`; between the two moments of `down` nothing runs."""
    world = World(spec)
    while (world.now - NOW).total_seconds() < until_s and world.status not in ENDED:
        if not down[0] <= (world.now - NOW).total_seconds() < down[1]:
            if world.due:
                world.step()
            for leg in list(world.legs.values()):
                world.claim(leg)
                world.happen(world.legs[leg.id], outcome)
        world.now += timedelta(seconds=tick_s)
    return world


def amounts(world: World) -> list[Decimal]:
    return [leg.amount for leg in world.legs.values() if leg.status is Status.CONFIRMED]


def test_a_schedule_adds_up_to_its_total_to_the_last_unit() -> None:
    spec = schedule(total=Decimal("100"), slice_amount=Decimal("33.333333"), slices=3)
    world = run(spec, until_s=300)
    assert amounts(world) == [Decimal("33.333333"), Decimal("33.333333"), Decimal("33.333334")]
    assert world.status is PlanStatus.COMPLETED


def test_after_an_outage_one_slice_runs_and_what_was_missed_is_skipped() -> None:
    world = run(schedule(), until_s=700, down=(130, 370))
    assert [leg.round for leg in world.legs.values()] == [1, 2, 3, 7, 8, 9, 10]
    assert [decision.notes["skipped"] for decision in world.decisions if decision.notes] == [[4, 5, 6]]
    assert sum(amounts(world)) == 70 and world.status is PlanStatus.COMPLETED


def test_what_was_missed_is_spread_over_what_is_left_at_most_three_times_a_slice() -> None:
    world = run(schedule(catch_up="spread"), until_s=700, down=(130, 370))
    assert sum(amounts(world)) == 100 and amounts(world)[3:] == [Decimal("17.5")] * 4
    late = run(schedule(catch_up="spread"), until_s=700, down=(10, 545))
    assert amounts(late) == [10, 30], "a burst"


@pytest.mark.parametrize(("catch_up", "spent"), [("skip", 2770), ("spread", 2880)])
def test_a_day_with_an_hours_outage(catch_up: str, spent: int) -> None:
    day = schedule(every_s=300.0, slices=288, slice_amount=Decimal(10), total=Decimal(2880), catch_up=catch_up)
    world = run(day, until_s=90_000, down=(36_001, 39_601), tick_s=10)
    assert world.status is PlanStatus.COMPLETED and sum(amounts(world)) == spent
    missed = set(range(1, 289)) - {leg.round for leg in world.legs.values()}
    assert missed == set(range(122, 133)) and max(amounts(world)) <= 30
    assert [decision.notes["skipped"] for decision in world.decisions if decision.notes] == [sorted(missed)]


def test_a_schedule_stops_after_failures_in_a_row() -> None:
    world = run(schedule(stop_after_failures=3), until_s=700, outcome="fail")
    assert len(world.legs) == 3 and world.status is PlanStatus.FAILED
    assert world.decisions[-1].notes["reason"] == "TOO_MANY_FAILURES"


def test_jitter_is_the_same_for_the_same_slice() -> None:
    spec = schedule(jitter_bps=5_000)
    begins = [begins_at(spec, PLAN, n) - window_begin(spec, n) for n in range(1, 50)]
    assert begins == [begins_at(spec, PLAN, n) - window_begin(spec, n) for n in range(1, 50)]
    assert len(set(begins)) == 49 and timedelta(0) <= min(begins) and max(begins) < timedelta(seconds=30)


def entered(spec: Bracket) -> World:
    """A bracket whose entry is filled: 297 SOL for 300 USDC each in this world."""
    world = World(spec)
    world.step()
    [leg] = world.legs.values()
    world.claim(leg)
    world.happen(world.legs[leg.id], "confirm")
    world.step()
    return world


def the(world: World, leg: str) -> Leg:
    found = world.facts().newest(leg)
    assert found is not None
    return found


def test_exits_are_sized_by_what_the_entry_really_brought() -> None:
    world = entered(bracket(take_profit(1, 500, 5_000), take_profit(2, 1_000, 5_000), STOP))
    assert [the(world, leg).amount for leg in ("tp1", "tp2", "stop")] == [Decimal("148.5"), Decimal("148.5"), 297]
    cost = Decimal(300) / Decimal(297)
    assert abs((world.terms[the(world, "tp1").id].limit_price or 0) - cost * Decimal("1.05")) < Decimal("1e-17")
    assert world.terms[the(world, "stop").id].trigger_condition == "lte"


def test_a_partial_take_profit_shrinks_the_stop_before_it_can_sell_the_old_amount() -> None:
    world = entered(bracket(take_profit(1, 500, 5_000), STOP))
    world.claim(the(world, "tp1"))
    world.happen(the(world, "tp1"), "confirm")
    world.claim(the(world, "stop"))
    assert the(world, "stop").waits, "the stop had its turn before the step"
    world.step()
    assert the(world, "stop").amount == Decimal("148.5")


def test_a_failed_entry_ends_the_plan_without_exits() -> None:
    world = World(bracket())
    world.step()
    world.claim(the(world, ENTRY))
    world.happen(the(world, ENTRY), "fail")
    world.step()
    assert world.status is PlanStatus.FAILED and len(world.legs) == 1


def test_a_failed_stop_is_made_again_with_wider_slippage_and_then_alerts() -> None:
    world = entered(bracket(take_profit(1, 500, 10_000), STOP))
    slippages, alerts = [], 0
    for _ in range(6):
        stop = the(world, "stop")
        slippages.append(stop.slippage_bps)
        world.claim(stop)
        world.happen(the(world, "stop"), "fail")
        world.settle()
        if world.due_at is not None:
            assert the(world, "tp1").waits, "a failed stop took the take-profit with it"
            world.now = world.due_at
            world.settle()
        alerts += sum("alert" in decision.notes for decision in world.decisions[-1:])
    assert slippages == [100, 200, 400, 800, 800, 800] and alerts == 3


def test_a_reverted_stop_is_widened_where_it_rests() -> None:
    world = entered(bracket(take_profit(1, 500, 10_000), STOP))
    world.claim(the(world, "stop"))
    world.happen(the(world, "stop"), "revert")
    world.step()
    assert the(world, "stop").slippage_bps == 200 and the(world, "stop").round == 1


def test_a_failed_take_profit_leaves_the_stop() -> None:
    world = entered(bracket())
    world.claim(the(world, "tp1"))
    world.happen(the(world, "tp1"), "fail")
    world.step()
    assert the(world, "stop").waits and the(world, "tp1").round == 1 and world.status is PlanStatus.ACTIVE


def test_a_time_limit_sells_what_is_left() -> None:
    world = entered(bracket(take_profit(1, 500, 5_000), STOP, Exit(leg="time", kind="timeLimit", after_s=60.0)))
    assert world.due_at == NOW + timedelta(seconds=60)
    world.claim(the(world, "tp1"))
    world.happen(the(world, "tp1"), "confirm")
    world.step()
    world.now += timedelta(seconds=61)
    world.step()
    close = the(world, "time")
    assert close.amount == Decimal("148.5") and world.terms[close.id].type == "market"
    world.claim(close)
    world.happen(the(world, "time"), "confirm")
    world.step()
    assert world.status is PlanStatus.COMPLETED and not any(leg.status not in FINAL for leg in world.legs.values())
