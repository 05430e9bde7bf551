"""Plans whose steps and legs are interrupted, beyond those that are part of every fault's load (`tests.chaos.plan_load`)."""

import asyncio
import time
from typing import Any

from tests.chaos.faults.registry import CRASHES, fault
from tests.chaos.plan_load import IN_PARTS, RACE, SCHEDULE, SPREAD, TRAILING
from tests.chaos.trial import Trial

PLAN_CRASH_POINTS = ("after_plan_commit", "after_release_commit", "before_plan_commit")
"""Before and after a step's commit, and where a leg that has not landed gives its turn back."""
LEG_CRASH_POINTS = ("after_claim", "after_intent", "before_confirm_commit", "after_confirm_commit")
"""A leg has the turn; its transaction is under way; before and after its final commit, which gives the turn to the plan."""
CROWD = (RACE, IN_PARTS, TRAILING, RACE, IN_PARTS, SPREAD)
TAKEN_WITHIN_S, ENDS_WITHIN_S = 60.0, 90.0

NAKED = """
SELECT p.id FROM orders_plan p
WHERE p.finished_at IS NULL AND p.kind = 'bracket' AND p.holder IS NULL AND p.due_at IS NULL
    AND EXISTS (SELECT 1 FROM orders_order o WHERE o.plan_id = p.id AND o.leg = 'entry' AND o.status = 'confirmed')
    AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.plan_id = p.id AND o.finished_at IS NULL AND o.leg <> 'entry')
"""
BOUGHT = """
SELECT o.id, o.leg, t.created_at FROM orders_transaction t JOIN orders_order o ON o.id = t.order_id
WHERE o.leg IN ('slice', 'entry') AND t.created_at > %s::timestamptz + interval '1 s'
"""
"""What is submitted within a second of the switch may have been decided before it."""


async def make(trial: Trial, kinds: tuple[dict[str, Any], ...], *, cancels: bool = True) -> list[str]:
    """Plans of these kinds, until they are taken; their ids."""
    plans = trial.load.plans
    before = set(plans.taken)
    wanted = len(before) + len(kinds)
    for kind in kinds:
        trial.load.plan(kind, cancels=cancels)
    ends = time.monotonic() + TAKEN_WITHIN_S
    while len(plans.taken) < wanted and time.monotonic() < ends:
        await asyncio.sleep(0.1)
    trial.expect(len(plans.taken) >= wanted, f"{wanted - len(plans.taken)} plans were not taken")
    return [plan_id for key, answers in plans.taken.items() if key not in before for plan_id in answers]


async def watch(trial: Trial) -> None:
    """Until every plan has ended: none is open without a step to come, or an exit, while it holds something."""
    ends = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < ends and trial.arena.sql("SELECT 1 FROM orders_plan WHERE finished_at IS NULL LIMIT 1"):
        naked = trial.arena.sql(NAKED)
        trial.expect(not naked, f"a position has no live exit: {naked[:3]}")
        await asyncio.sleep(0.5)


@fault(CRASHES, rate=1, short=True)
async def plan_crash_points(trial: Trial) -> None:
    """kill -9 before and after the commit of a plan's step, and after a leg has given its turn back."""
    for point in PLAN_CRASH_POINTS:
        trial.arena.arm(point)
        await make(trial, CROWD)
        await trial.arena.until_fired()
    trial.heal()
    await watch(trial)


@fault(CRASHES, rate=0)
async def plan_leg_crash_points(trial: Trial) -> None:
    """kill -9 where a leg takes the turn, is sent, and ends."""
    for point in LEG_CRASH_POINTS:
        trial.arena.arm(point)
        await make(trial, CROWD[:3])
        await trial.arena.until_fired()
    trial.heal()
    await watch(trial)


@fault(CRASHES, rate=0)
async def plans_without_redis(trial: Trial) -> None:
    """Redis is wiped again and again while trailing stops, brackets and schedules are at work."""
    await make(trial, (TRAILING, *CROWD, TRAILING))
    for _ in range(3):
        await asyncio.sleep(1.5)
        with trial.arena.redis() as store:
            store.flushall()
    trial.heal()
    await watch(trial)


@fault(CRASHES, rate=0)
async def plans_while_trading_is_reduced(trial: Trial) -> None:
    """REDUCING in the middle of schedules and brackets: no slice is bought, exits sell, and all of it ends."""
    await make(trial, (SCHEDULE, SCHEDULE, RACE, IN_PARTS))
    await asyncio.sleep(3)
    reduced = trial.arena.staff("POST", "/api/trading-state", state="REDUCING", account="*")["at"]
    await asyncio.sleep(8)
    bought = trial.arena.sql(BOUGHT, reduced)
    trial.expect(not bought, f"bought while trading is reduced: {bought[:3]}")
    trial.arena.staff("POST", "/api/trading-state", state="ACTIVE", account="*")
    trial.heal()
    await watch(trial)
