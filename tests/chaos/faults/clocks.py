"""Wall clocks that are stepped, each process's alone."""

import asyncio
import time
from collections.abc import Callable

from tests.chaos.clients import LIMIT
from tests.chaos.faults.readiness import reports
from tests.chaos.faults.registry import CLOCKS, fault
from tests.chaos.trial import LATE, Trial

STEPS_S = (-30.0, -3_600.0, 3_600.0, 86_400.0, 0.0)
"""Of a process's clock against the machine's, one after the other: both ways, far, and back."""
FIRES_WITHIN_S = 2.0
DUE = LIMIT | {"limitPrice": "0.000001", "slippageBps": 5000}
"""It is due at the next tick."""
# An order's intent is dated by Postgres and its submission by an order worker.
BETWEEN_CLOCKS = frozenset({"intent_comes_first"})


async def fires(trial: Trial, whose: str, step_s: float) -> None:
    """A limit that is due leaves its rest in time."""
    stalled = trial.load.stalled
    [key] = await trial.load.burst(1, DUE)
    for order_id in trial.load.orders.get(key, ()):
        began = time.monotonic()
        while trial.arena.sql("SELECT seq FROM orders_order WHERE id = %s", order_id)[0][0] < 2:
            took = time.monotonic() - began - (trial.load.stalled - stalled)
            if took > 5 * FIRES_WITHIN_S:
                return trial.expect(False, f"{whose} {step_s:+.0f} s: a due limit still rests after {took:.1f} s")
            await asyncio.sleep(0.1)
        took = time.monotonic() - began - (trial.load.stalled - stalled)
        # A tick and a turn of the engine itself come before: half a second each.
        trial.expect(took <= FIRES_WITHIN_S + 1, f"{whose} {step_s:+.0f} s: a due limit fired after {took:.1f} s")


async def stepped(trial: Trial, name: str) -> None:
    clocks = trial.arena.clocks
    assert clocks is not None
    for step_s in STEPS_S:
        clocks.step(trial.arena.engine.pid(name), step_s)
        trial.heal()
        await asyncio.sleep(0.5)
        await fires(trial, name, step_s)
    await reports(trial, "ok", 15)


@fault(CLOCKS, unanswerable=BETWEEN_CLOCKS)
async def clock_of_each_process(trial: Trial) -> None:
    """One process after the other is stepped by seconds, an hour and a day, both ways."""
    for name in trial.arena.processes:
        await stepped(trial, name)


async def service_stepped(trial: Trial, which: str, says: Callable[[], float]) -> None:
    """`says`: the service's own clock, in seconds since 1970."""
    clocks = trial.arena.clocks
    assert clocks is not None
    pid = trial.arena.service_pids[which]
    for step_s in STEPS_S:
        clocks.step(pid, step_s)
        trial.heal()
        trial.expect(abs(says() - time.time() - step_s) < 10, f"the clock of {which} is not {step_s:+.0f} s off")
        await asyncio.sleep(0.5)
        await fires(trial, which, step_s)
    await reports(trial, "ok", 15)


@fault(CLOCKS, unanswerable=BETWEEN_CLOCKS)
async def clock_of_redis(trial: Trial) -> None:
    await service_stepped(trial, "redis", lambda: trial.arena.redis().time()[0])  # type: ignore[index]


@fault(CLOCKS, unanswerable=BETWEEN_CLOCKS | {LATE})
async def clock_of_postgres(trial: Trial) -> None:
    sql = "SELECT extract(epoch FROM clock_timestamp())::float"
    await service_stepped(trial, "postgres", lambda: float(trial.arena.sql(sql)[0][0]))
