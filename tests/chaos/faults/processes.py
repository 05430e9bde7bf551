"""Processes killed, frozen and restarted."""

import asyncio
import base64
import json
import time
from typing import Any

from tests.chaos.faults.registry import CRASHES, ONE, TWO, fault, thaw
from tests.chaos.trial import Trial


@fault(ONE, rate=0, within_s=15, from_strike=True, short=True)
async def kill_worker_with_50_orders(trial: Trial) -> None:
    """kill -9 of the only order worker while 50 orders are executing."""
    await trial.load.burst(50)
    await asyncio.sleep(1.0)
    trial.arena.signal("orders-1")
    trial.heal()
    await trial.load.settle(30)
    # One that reverted is final, and its order is tried again.
    twice = trial.arena.sql(
        "SELECT order_id FROM orders_transaction WHERE created_at > to_timestamp(%s)"
        " AND resolution IS DISTINCT FROM 'reverted' GROUP BY 1 HAVING count(*) > 1",
        trial.healed - 60,
    )
    trial.expect(not twice, f"{len(twice)} orders were signed twice")


CRASH_POINTS = (
    "after_accept_commit",
    "after_claim",
    "after_confirm_commit",
    "after_fire",
    "after_intent",
    "after_submit",
    "after_takeover",
    "before_accept_commit",
    "before_confirm_commit",
    "before_intent",
)


@fault(CRASHES, short=True)
async def crash_points(trial: Trial) -> None:
    """kill -9 at each named point of an order's path, one after the other."""
    for point in CRASH_POINTS:
        trial.arena.arm(point)
        await trial.arena.until_fired()
        trial.heal()


@fault(ONE, rate=0)
async def order_that_kills_its_worker(trial: Trial) -> None:
    """Three deaths, a dead letter with one message, and a requeue that succeeds."""
    arena, load = trial.arena, trial.load
    arena.arm("after_claim")
    await load.burst(1, {"slippageBps": 5000})  # It is to succeed in the end, whatever the dice say.
    for _ in range(2):
        await arena.until_fired()
        arena.arm("after_claim")
    await arena.until_fired()
    [[order_id]] = [list(answers) for answers in load.orders.values()]
    letter = await dead_letter(trial, order_id)
    trial.expect(letter["reason"] == "EXECUTOR_LOST", f"the dead letter says {letter}")
    await asyncio.sleep(3)
    announced = [message for message in arena.redis().lrange("dead", 0, -1) if order_id.encode() in body_of(message)]
    trial.expect(len(announced) == 1, f"{len(announced)} messages on the queue dead")
    await asyncio.to_thread(arena.staff, "POST", f"/api/dead-letters/{letter['id']}/requeue")
    trial.heal()
    ends = time.monotonic() + 30
    while arena.sql("SELECT status FROM orders_order WHERE id = %s", order_id) != [("confirmed",)]:
        if time.monotonic() > ends:
            return trial.expect(False, "the requeued order was not confirmed")
        await asyncio.sleep(0.2)


async def dead_letter(trial: Trial, order_id: str) -> dict[str, Any]:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        answer = await asyncio.to_thread(trial.arena.staff, "GET", "/api/dead-letters")
        for letter in answer["deadLetters"]:
            if letter["orderId"] == order_id:
                return dict(letter)
        await asyncio.sleep(0.3)
    raise AssertionError(f"{order_id} is not among the dead letters")


def body_of(message: bytes) -> bytes:
    return base64.b64decode(json.loads(message)["body"])


@fault(TWO)
async def kill_anything(trial: Trial) -> None:
    """kill -9 of a process of any kind, Postgres and Redis included, every 1 to 5 s."""
    ends = time.monotonic() + 25
    kinds = [*trial.arena.processes, "postgres", "redis"]
    trial.rng.shuffle(kinds)
    while time.monotonic() < ends and kinds:
        trial.arena.signal(kinds.pop())
        trial.heal()
        await asyncio.sleep(trial.rng.uniform(1, 5))


@fault(TWO, rate=15)
async def kill_web_mid_request(trial: Trial) -> None:
    for point in ("before_accept_commit", "after_accept_commit"):
        trial.arena.arm(point)
        await trial.arena.until_fired()
        trial.heal()
        await asyncio.sleep(4)


async def freeze(trial: Trial, point: str, seconds: float) -> None:
    trial.arena.arm(point, "STOP")
    pid = await trial.arena.until_fired()
    try:
        await asyncio.sleep(seconds)
    finally:
        thaw(pid)
    trial.heal()


@fault(TWO, short=True)
async def freeze_before_intent(trial: Trial) -> None:
    """SIGSTOP of a worker past its heartbeat, between building and the intent."""
    await freeze(trial, "before_intent", 9)


@fault(TWO, short=True)
async def freeze_after_intent(trial: Trial) -> None:
    """SIGSTOP of a worker past its heartbeat, between the intent and the submission."""
    await freeze(trial, "after_intent", 9)


@fault(TWO, short=True)
async def freeze_past_expiry(trial: Trial) -> None:
    """SIGSTOP between the intent and the submission, until the transaction is no longer valid."""
    await freeze(trial, "after_intent", 14)


@fault(TWO)
async def rolling_restart(trial: Trial) -> None:
    """Every process stopped in order (SIGTERM, a while, SIGKILL) and started, one after the other."""
    for name in trial.arena.processes:
        await asyncio.to_thread(trial.arena.supervisor, "stopProcess", name)
        await asyncio.to_thread(trial.arena.supervisor, "startProcess", name)
        await asyncio.sleep(1.5)
    trial.heal()
