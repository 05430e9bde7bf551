"""Plans whose steps and legs are interrupted: no more is sold than was bought, nothing is left open, no number is missing."""

import asyncio
import time
from typing import Any

import httpx

from tests.chaos.faults.registry import CRASHES, fault
from tests.chaos.trial import Trial

PLAN_CRASH_POINTS = ("after_plan_commit", "before_plan_commit")
LEG_CRASH_POINTS = ("after_claim", "after_intent", "before_confirm_commit", "after_confirm_commit")
"""A leg has the turn; its transaction is under way; before and after its final commit, which gives the turn to the plan."""
PLANS = 6
ENDS_WITHIN_S = 90.0

OVERSOLD = """
SELECT p.id FROM orders_plan p JOIN orders_order o ON o.plan_id = p.id
GROUP BY p.id
HAVING sum(o.amount) FILTER (WHERE o.leg <> 'entry' AND o.status = 'confirmed')
    > COALESCE(sum(o.amount_out) FILTER (WHERE o.leg = 'entry' AND o.status = 'confirmed'), 0) AND p.kind = 'bracket'
"""
OPEN_AFTER_END = """
SELECT o.id FROM orders_plan p JOIN orders_order o ON o.plan_id = p.id
WHERE p.finished_at IS NOT NULL AND o.finished_at IS NULL
"""
OVERSPENT = """
SELECT p.id FROM orders_plan p JOIN orders_order o ON o.plan_id = p.id WHERE p.kind = 'schedule' AND o.status = 'confirmed'
GROUP BY p.id HAVING sum(o.amount) > (p.spec ->> 'total')::numeric
"""
GAPS = "SELECT plan_id FROM orders_planevent GROUP BY plan_id HAVING max(seq) <> count(*) OR min(seq) <> 1"
NAKED = """
SELECT p.id FROM orders_plan p
WHERE p.finished_at IS NULL AND p.kind = 'bracket' AND p.holder IS NULL AND p.due_at IS NULL
    AND EXISTS (SELECT 1 FROM orders_order o WHERE o.plan_id = p.id AND o.leg = 'entry' AND o.status = 'confirmed')
    AND NOT EXISTS (SELECT 1 FROM orders_order o WHERE o.plan_id = p.id AND o.finished_at IS NULL AND o.leg <> 'entry')
"""
RULES = {
    "sold more than was bought": OVERSOLD,
    "an ended plan has an open leg": OPEN_AFTER_END,
    "a schedule spent more than its total": OVERSPENT,
    "a plan's events have a gap": GAPS,
    "a position has no live exit": NAKED,
}

# Take-profit and stop both fire at once, and the position is closed after a while in any case.
BRACKET: dict[str, Any] = {
    "kind": "bracket",
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "amount": "30",
    "slippageBps": 2000,
    "exits": [
        {"kind": "takeProfit", "price": "1.5", "portionBps": 5000, "slippageBps": 2000},
        {"kind": "stopLoss", "price": "1.2", "slippageBps": 2000, "maxSlippageBps": 5000},
        {"kind": "timeLimit", "after": "PT6S", "slippageBps": 2000, "maxSlippageBps": 5000},
    ],
}
SCHEDULE: dict[str, Any] = {
    "kind": "schedule",
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "amount": "9.000001",
    "slices": 3,
    "window": "PT12S",
    "catchUp": "spread",
    "slippageBps": 2000,
}


async def make(trial: Trial, many: int) -> None:
    """Each is asked for with its key until it is taken."""
    headers = {"Authorization": f"Bearer {trial.arena.api_key}"}
    async with httpx.AsyncClient(base_url=trial.arena.engine.url, headers=headers, timeout=10) as http:
        for n in range(many):
            body = BRACKET if n % 3 else SCHEDULE
            key = {"Idempotency-Key": f"plan-{time.time_ns()}"}
            for _ in range(20):
                try:
                    answer = await http.post("/api/plans", json=body, headers=key)
                except httpx.HTTPError:
                    await asyncio.sleep(0.5)
                    continue
                if answer.status_code == 200:
                    break
                trial.expect(answer.status_code in (429, 503), f"a plan was answered with {answer.text}")
                await asyncio.sleep(0.5)
            else:
                trial.expect(False, "a plan was never taken")


async def judge(trial: Trial) -> None:
    """Every plan ends, and the rules hold, looked at all the while."""
    ends = time.monotonic() + ENDS_WITHIN_S
    unfinished = "SELECT id, status, holder, due_at FROM orders_plan WHERE finished_at IS NULL"
    while (left := trial.arena.sql(unfinished)) and time.monotonic() < ends:
        check(trial)
        await asyncio.sleep(0.5)
    check(trial)
    trial.expect(not left, f"plans have not ended: {left}")


def check(trial: Trial) -> None:
    for what, rule in RULES.items():
        found = trial.arena.sql(rule)
        trial.expect(not found, f"{what}: {found[:3]}")


@fault(CRASHES, rate=1)
async def plan_crash_points(trial: Trial) -> None:
    """kill -9 before and after the commit of a plan's step."""
    for point in PLAN_CRASH_POINTS:
        trial.arena.arm(point)
        await make(trial, PLANS)
        await trial.arena.until_fired()
    trial.heal()
    await judge(trial)


@fault(CRASHES, rate=0)
async def plan_leg_crash_points(trial: Trial) -> None:
    """kill -9 where a leg takes the turn, is sent, and ends."""
    for point in LEG_CRASH_POINTS:
        trial.arena.arm(point)
        await make(trial, PLANS // 2)
        await trial.arena.until_fired()
    trial.heal()
    await judge(trial)


@fault(CRASHES, rate=0)
async def plans_without_redis(trial: Trial) -> None:
    """Redis is wiped again and again while brackets and schedules are at work."""
    await make(trial, PLANS)
    for _ in range(3):
        await asyncio.sleep(1.5)
        with trial.arena.redis() as store:
            store.flushall()
    trial.heal()
    await judge(trial)
