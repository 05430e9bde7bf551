"""Edges of plans: short windows, the ends of schedules, failures at the widest slippage, trailing stops that are made again."""

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.lifecycle import Status
from orders.plans.schedule import begins_at, window_end
from orders.plans.values import Exit, PlanStatus, Schedule
from tests.unit.test_plan_decide import (
    HIGH,
    NOW,
    PLAN,
    STOP,
    World,
    amounts,
    bracket,
    entered,
    oco,
    run,
    schedule,
    take_profit,
    the,
)

TRAIL = Exit(leg="trail", kind="trailing", trail_bps=500, activate_at_bps=1_000, slippage_bps=100, max_slippage_bps=800)
CLOSE = Exit(leg="time", kind="timeLimit", after_s=1.0, slippage_bps=100, max_slippage_bps=800)


def fails(world: World, leg: str, outcome: str) -> None:
    world.claim(the(world, leg))
    world.happen(the(world, leg), outcome)
    world.settle()


@pytest.mark.parametrize("every_s", [1.0, 1.5, 5.0, 60.0])
@pytest.mark.parametrize("jitter_bps", [0, 5_000, 9_000])
def test_every_slice_has_time_however_short_its_window_is(every_s: float, jitter_bps: int) -> None:
    spec = schedule(every_s=every_s, slices=20, total=Decimal(200), jitter_bps=jitter_bps)
    world = run(spec, until_s=every_s * 21, tick_s=0.01)
    assert sum(amounts(world)) == 200 and world.status is PlanStatus.COMPLETED
    for leg in world.legs.values():
        left = window_end(spec, leg.round) - leg.created_at
        assert left >= timedelta(seconds=min(1.0, every_s * (1 - jitter_bps / 10_000) / 2))
        assert leg.created_at >= begins_at(spec, PLAN, leg.round)


@pytest.mark.parametrize("catch_up", ["skip", "spread"])
def test_an_outage_until_the_end_is_told_like_any_other(catch_up: str) -> None:
    world = run(schedule(catch_up=catch_up), until_s=900, down=(430, 800))
    assert world.status is PlanStatus.COMPLETED and sum(amounts(world)) == 80
    assert world.decisions[-1].notes["skipped"] == [9, 10]
    assert windows(world) == 10


def test_a_slice_that_a_pause_cancels_is_counted() -> None:
    world = World(schedule(min_price=Decimal("0.006")))
    world.settle()
    world.step(PlanStatus.PAUSED)
    world.now += timedelta(seconds=150)
    world.step(PlanStatus.ACTIVE)
    assert [leg.status for leg in world.legs.values()] == [Status.CANCELLED, Status.PENDING]
    assert windows(world) == 2 and world.decisions[-1].notes["skipped"] == [2]


def windows(world: World) -> int:
    progress = world.decisions[-1].progress
    return sum(progress[name] for name in ("done", "failed", "expired", "cancelled", "skipped"))


def test_a_schedule_that_spent_its_total_early_skips_nothing() -> None:
    world = run(Schedule(**{**asdict(schedule()), "slices": None, "total": Decimal(25)}), until_s=400)
    assert amounts(world) == [10, 10, 5] and world.decisions[-1].progress["skipped"] == 0


def asdict(spec: Schedule) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


def test_an_exit_never_has_less_slippage_than_at_its_last_failure() -> None:
    world = entered(bracket(take_profit(1, 500, 10_000), STOP))
    fails(world, "stop", "revert")
    fails(world, "stop", "revert")
    assert (the(world, "stop").round, the(world, "stop").slippage_bps) == (1, 400)
    fails(world, "stop", "fail")
    assert (the(world, "stop").round, the(world, "stop").slippage_bps) == (2, 800)


def test_a_close_at_the_market_that_reverts_has_wider_slippage_each_time() -> None:
    world = entered(bracket(take_profit(1, 500, 10_000), CLOSE))
    world.now += timedelta(seconds=2)
    world.settle()
    seen = []
    for _ in range(4):
        world.holder = PLAN  # Something else has made a step due meanwhile.
        world.settle()
        seen.append(the(world, "time").slippage_bps)
        fails(world, "time", "revert")
    assert seen == [100, 200, 400, 800]


def test_an_exit_that_reverts_at_its_widest_is_told_and_tried_again_later() -> None:
    world = entered(bracket(take_profit(1, 500, 10_000), STOP))
    for _ in range(3):
        fails(world, "stop", "revert")
    assert the(world, "stop").slippage_bps == 800 and not any("alert" in each.notes for each in world.decisions)
    fails(world, "stop", "revert")
    alert = world.decisions[-1].notes["alert"]
    assert alert == {"code": "EXIT_FAILED", "leg": "stop", "failure": "REVERTED"}
    assert (the(world, "stop").round, the(world, "stop").waits) == (2, True)

    fails(world, "stop", "revert")
    assert not the(world, "stop").open and world.due_at == world.now + timedelta(seconds=30)
    assert the(world, "tp1").waits
    world.now = world.due_at
    world.settle()
    assert (the(world, "stop").round, the(world, "stop").slippage_bps) == (3, 800)
    assert "alert" in world.decisions[-1].notes
    world.holder = PLAN
    world.settle()
    assert the(world, "stop").waits and "alert" not in world.decisions[-1].notes, "told once"


@pytest.mark.parametrize("outcome", ["fail", "revert"])
def test_a_trailing_stop_goes_on_from_the_high_at_which_it_failed(outcome: str) -> None:
    world = entered(bracket(TRAIL))
    assert world.terms[the(world, "trail").id].activation_price is not None
    for _ in range(4 if outcome == "revert" else 1):
        fails(world, "trail", outcome)
    again = the(world, "trail")
    assert again.round == 2
    terms = world.terms[again.id]
    assert terms.trail_high == HIGH and terms.activation_price is None, "it would have to be activated once more"
    assert terms.limit_price == Decimal("161.5")


def test_portions_of_a_token_without_decimals_add_up() -> None:
    thirds = [take_profit(n, 100 * n, portion) for n, portion in ((1, 3_333), (2, 3_333), (3, 3_334))]
    for whole in (1, 2, 3, 4, 7, 100):
        world = World(oco(*thirds, STOP, decimals=0, amount=Decimal(whole)))
        world.settle()
        sizes = [leg.amount for leg in world.legs.values() if leg.leg.startswith("tp")]
        assert sum(sizes) == whole and all(size == int(size) > 0 for size in sizes)
        assert the(world, "stop").amount == whole


def test_a_position_of_one_unit_is_protected() -> None:
    world = World(oco(take_profit(1, 300, 1), STOP, amount=Decimal("0.000000001")))
    world.settle()
    assert [leg.leg for leg in world.legs.values()] == ["stop"] and world.now == NOW
