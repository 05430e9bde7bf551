"""Legs of plans that want to trade at the same time, or once more, and schedules that miss an hour."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from tests.chaos.faults.plans import make, watch
from tests.chaos.faults.processes import dead_letter
from tests.chaos.faults.registry import CRASHES, fault
from tests.chaos.plan_load import RACE, SCHEDULE, WIDE
from tests.chaos.trial import Trial

WITHIN_S = 60.0
HELD: dict[str, Any] = {"kind": "bracket", "entry": False, "tokenIn": "SOL", "tokenOut": "USDC", "amount": "0.4"}
PARTS: dict[str, Any] = {"kind": "takeProfit", "portionBps": 3000, "slippageBps": 5000}
STOP = {"kind": "stopLoss", "price": "140", **WIDE}
EVERY_S, WINDOWS = 10, 366
"""An hour is 360 windows: a few slices before it, a few after it."""
LONG = SCHEDULE | {"slices": WINDOWS, "amount": "366.000001", "window": f"PT{EVERY_S * WINDOWS}S"}

AT_WORK = "SELECT leg FROM orders_order WHERE plan_id = %s AND status IN ('routing', 'building', 'submitted')"
BUSY = "SELECT 1 FROM orders_order WHERE finished_at IS NULL LIMIT 1"
LEG = "SELECT status FROM orders_order WHERE plan_id = %s AND leg = %s ORDER BY round DESC LIMIT 1"
SLICES = "SELECT round, amount, status, created_at FROM orders_order WHERE plan_id = %s ORDER BY round"
CATCH_UP = "SELECT COALESCE(spec ->> 'catch_up', 'skip') FROM orders_plan WHERE id = %s"
SKIPPED = "SELECT data -> 'skipped' FROM orders_planevent WHERE plan_id = %s AND data ? 'skipped' ORDER BY seq"
AN_HOUR_LATER = (
    "UPDATE orders_plan SET created_at = created_at - interval '1 hour', due_at = due_at - interval '1 hour', spec = jsonb_set("
    "spec, '{start_at}', to_jsonb((spec ->> 'start_at')::timestamptz - interval '1 hour')) WHERE finished_at IS NULL",
    "UPDATE orders_order SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour',"
    " run_at = run_at - interval '1 hour' WHERE finished_at IS NULL",
)
Move = Callable[..., Awaitable[None]]


@contextlib.asynccontextmanager
async def price(trial: Trial, first: str) -> AsyncIterator[Move]:
    """SOL stands still at the price; what is yielded moves it. In the end it wanders again."""

    async def move(price: str | None = None, **changes: Any) -> None:
        body = {"price": price} if price else {}
        await asyncio.to_thread(
            trial.arena.staff, "POST", "/api/mock/market", pair="SOL-USDC", hold=True, **body, **changes
        )

    await move(first)
    await until(trial, lambda: seen(trial, first), "the price at both venues")
    try:
        yield move
    finally:
        await asyncio.to_thread(
            trial.arena.staff,
            "POST",
            "/api/mock/market",
            pair="SOL-USDC",
            price="150",
            hold=False,
            raydium="ok",
            meteora="ok",
        )


def seen(trial: Trial, wanted: str) -> bool:
    quotes = trial.arena.staff("GET", "/api/quotes/SOL-USDC")
    return all(quotes[venue] and quotes[venue]["price"] == wanted for venue in ("raydium", "meteora"))


async def until(trial: Trial, met: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + WITHIN_S
    while not await asyncio.to_thread(met):
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come within {WITHIN_S:.0f} s")
        await asyncio.sleep(0.1)


def is_leg(trial: Trial, plan_id: str, leg: str, status: str) -> bool:
    return trial.arena.sql(LEG, plan_id, leg) == [(status,)]


def sold(trial: Trial, plan_id: str) -> dict[str, float]:
    sales = "SELECT leg, sum(amount)::float FROM orders_order WHERE plan_id = %s AND status = 'confirmed' GROUP BY 1"
    return dict(trial.arena.sql(sales, plan_id))  # type: ignore[arg-type]


@fault(CRASHES, rate=0)
async def plan_legs_fire_together(trial: Trial) -> None:
    """A take-profit and a stop fire in one tick, while the workers that take them die: the stop goes first, and closes once."""
    made = []
    for _ in range(3):
        trial.arena.arm("after_claim")
        made += await make(trial, (RACE,) * 3, cancels=False)
        await trial.arena.until_fired()
    trial.heal()
    await watch(trial)
    closed = [plan_id for plan_id in made if is_leg(trial, plan_id, "stop", "confirmed")]
    trial.expect(bool(closed), "no stop has closed a position")


@fault(CRASHES, rate=0)
async def plan_stop_behind_sent_take_profit(trial: Trial) -> None:
    """The stop fires while a take-profit's transaction is under way and its worker frozen: it waits, then sells the rest."""
    arena = trial.arena
    async with price(trial, "150") as move:
        [plan_id] = await make(trial, (HELD | {"exits": [PARTS | {"price": "165"}, STOP]},), cancels=False)
        arena.arm("after_submit", "STOP")
        await move("170")
        pid = await arena.until_fired()
        [[leg_id]] = arena.sql("SELECT id::text FROM orders_order WHERE plan_id = %s AND leg = 'tp1'", plan_id)
        await until(trial, lambda: arena.staff("GET", f"/api/mock/chain?orderId={leg_id}")["landed"], "its landing")
        await move("130")
        for _ in range(20):
            working = await asyncio.to_thread(arena.sql, AT_WORK, plan_id)
            trial.expect(working == [("tp1",)], f"beside a take-profit that is sent, {working} are at work")
            await asyncio.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        trial.heal()
        await watch(trial)
        trial.expect(sold(trial, plan_id) == {"tp1": 0.12, "stop": 0.28}, f"sold {sold(trial, plan_id)}")


async def fails(trial: Trial, plan_id: str, move: Move) -> str:
    """Its first take-profit, each of whose attempts has cost a worker its life."""
    for n in range(3):
        trial.arena.arm("after_claim")
        if n == 0:
            await move("165")
        await trial.arena.until_fired()
    await until(trial, lambda: is_leg(trial, plan_id, "tp1", "failed"), "the take-profit's failure")
    [[leg_id]] = trial.arena.sql("SELECT id::text FROM orders_order WHERE plan_id = %s AND leg = 'tp1'", plan_id)
    return str(leg_id)


@fault(CRASHES, rate=0)
async def plan_leg_requeued(trial: Trial) -> None:
    """A take-profit that failed is sent round again after its sibling has landed: it sells no more than is left."""
    arena, exits = trial.arena, [PARTS | {"price": "160"}, PARTS | {"price": "175"}, STOP]
    async with price(trial, "150") as move:
        [plan_id] = await make(trial, (HELD | {"exits": exits},), cancels=False)
        leg_id = await fails(trial, plan_id, move)
        await move("178")
        await until(trial, lambda: is_leg(trial, plan_id, "tp2", "confirmed"), "the second take-profit")
        letter = await dead_letter(trial, leg_id)
        await asyncio.to_thread(arena.staff, "POST", f"/api/dead-letters/{letter['id']}/requeue")
        await until(trial, lambda: is_leg(trial, plan_id, "tp1", "confirmed"), "the first one")
        await move("130")
        trial.heal()
        await watch(trial)
        trial.expect(sold(trial, plan_id) == {"tp1": 0.12, "tp2": 0.12, "stop": 0.16}, f"sold {sold(trial, plan_id)}")


@fault(CRASHES, rate=0)
async def plan_leg_requeued_too_late(trial: Trial) -> None:
    """A take-profit that failed is sent round again after its stop has closed the position: that is refused."""
    arena = trial.arena
    async with price(trial, "150") as move:
        [plan_id] = await make(trial, (HELD | {"exits": [PARTS | {"price": "160"}, STOP]},), cancels=False)
        leg_id = await fails(trial, plan_id, move)
        letter = await dead_letter(trial, leg_id)
        await move("130")
        await until(trial, lambda: is_leg(trial, plan_id, "stop", "confirmed"), "the stop")
        trial.heal()
        await watch(trial)
        await move("178")
        try:
            await asyncio.to_thread(arena.staff, "POST", f"/api/dead-letters/{letter['id']}/requeue")
            trial.expect(False, "it was sent round again")
        except httpx.HTTPStatusError as error:
            trial.expect(error.response.status_code == 409, f"the answer is {error.response.text}")
        await asyncio.sleep(3)
        trial.expect(sold(trial, plan_id) == {"stop": 0.4}, f"sold {sold(trial, plan_id)}")


@fault(CRASHES, rate=0)
async def plan_an_hour_down(trial: Trial) -> None:
    """An hour passes in the middle of two schedules while nothing of the engine runs: slices, totals and events are exact."""
    arena, kinds = trial.arena, (LONG, LONG | {"catchUp": "spread"})
    made = await make(trial, kinds, cancels=False)
    skips, spreads = sorted(made, key=lambda plan_id: arena.sql(CATCH_UP, plan_id))
    await until(trial, lambda: len(arena.sql(SLICES, skips)) >= 2, "the second slice")
    await until(trial, lambda: not arena.sql(BUSY), "a moment between two slices")
    for name in arena.processes:
        await asyncio.to_thread(arena.supervisor, "stopProcess", name)
    for statement in AN_HOUR_LATER:
        arena.sql(statement)
    for name in arena.processes:
        await asyncio.to_thread(arena.supervisor, "startProcess", name)
    trial.heal()
    await watch(trial)
    for plan_id, most in ((skips, 1), (spreads, 3)):
        slices = arena.sql(SLICES, plan_id)
        rounds = [round for round, *_ in slices]
        [[missed]] = arena.sql(SKIPPED, plan_id)
        early = [round for round in rounds if round < missed[0]]
        trial.expect(sorted(rounds + missed) == list(range(1, WINDOWS + 1)), f"slices {rounds}, and skipped {missed}")
        trial.expect(350 <= len(missed) <= 362, f"{len(missed)} windows are skipped in an hour")
        trial.expect(all(amount <= most for _, amount, *_ in slices[:-1]), f"slices are {slices}")
        if most > 1:
            trial.expect(all(amount == 3 for _, amount, *_ in slices[len(early) : -1]), f"not spread: {slices}")
        [[progress]] = arena.sql("SELECT progress FROM orders_plan WHERE id = %s", plan_id)
        windows = sum(progress[name] for name in ("done", "failed", "expired", "cancelled", "skipped"))
        trial.expect(windows == WINDOWS, f"{windows} of {WINDOWS} windows are told: {progress}")
