"""`python -m tests.chaos.mutations [GUARD …]`: with a guard switched off the suite must go red, else exit code 1."""

import asyncio
import dataclasses
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests import waiting
from tests.chaos.arena import Arena
from tests.chaos.faults import SHAPES
from tests.chaos.faults.plans import make
from tests.chaos.faults.postgres import dead_executors
from tests.chaos.faults.registry import thaw
from tests.chaos.guards_off import real_chain, risk_statements
from tests.chaos.plan_load import RACE
from tests.chaos.trial import Fault, Trial, run

TESTS = real_chain.TESTS | risk_statements.TESTS
HERE = Path(__file__).parent / "guards_off"
RED_WITHIN_S = 60
IN_WORK = "SELECT 1 FROM orders_order WHERE status IN ('routing', 'building', 'submitted')"


async def until(met: Callable[[], object]) -> None:
    await asyncio.to_thread(waiting.until, met, RED_WITHIN_S, 0.2)


async def worker_frozen(trial: Trial) -> None:
    """Until it counts as crashed: only then its orders have another owner."""
    arena, before = trial.arena, dead_executors(trial)
    arena.arm("before_intent", "STOP")
    pid = await arena.until_fired()
    try:
        await until(lambda: dead_executors(trial) > before)
    finally:
        thaw(pid)
    trial.heal()
    await until(lambda: arena.staff("GET", "/api/mock/chain")["ordersLandedTwice"])


async def nothing_broken(trial: Trial) -> None:
    await asyncio.sleep(1)


async def worker_killed(trial: Trial) -> None:
    await trial.load.burst(10)
    await until(lambda: trial.arena.sql(IN_WORK))
    trial.arena.signal("orders-1")


async def legs_fire_together(trial: Trial) -> None:
    await make(trial, (RACE,) * 6)
    await until(lambda: trial.arena.sql("SELECT FROM orders_plan WHERE finished_at IS NOT NULL LIMIT 1"))


TRIALS = {
    # Guard → the fault that finds it missing, and by which invariant at least. As short as may be: CI runs them all.
    "fence": (
        Fault("worker_frozen", "two", worker_frozen, rate=12, within_s=4, runs_within_s=1),
        "nothing_lands_twice",
    ),
    "intent": (Fault("nothing_broken", "one", nothing_broken, within_s=4), "intent_comes_first"),
    "turn": (Fault("legs_fire_together", "one", legs_fire_together, rate=0), "no_more_is_sold_than_was_bought"),
    # When all of the engine runs again, its orders have long been taken over: that is 7 s after the kill.
    "reconciler": (Fault("worker_killed", "one", worker_killed, rate=0, within_s=10), "everything_ends"),
}


async def violations(guard: str, folder: Path) -> list[str]:
    fault, _ = TRIALS[guard]
    shape = SHAPES[fault.shape]
    # A transaction is to be valid still when its worker is thawed, however late a busy machine counts it as crashed.
    unguarded = {"GUARD_OFF": guard, "PYTHONPATH": str(HERE), "MOCK_VALID_S": "90"}
    shape = dataclasses.replace(shape, environment={**shape.environment, **unguarded})
    async with Arena(shape, random.Random(1), folder / guard).running() as arena:
        return (await run(fault, arena, random.Random(1))).violations


def test_is_red(guard: str) -> bool:
    """Whether the guard's test fails without it."""
    unguarded = {"GUARD_OFF": guard, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", TESTS[guard]]
    done = subprocess.run(command, env={**os.environ, **unguarded}, capture_output=True, text=True, timeout=600)
    # A program that ends by an error exits with 1, too: it has tested nothing.
    red = done.returncode == 1 and " failed" in done.stdout
    name = TESTS[guard].rpartition("::")[2]
    print(f"without {guard}: {name} {'is red' if red else f'STAYS GREEN (exit code {done.returncode})'}", flush=True)
    if not red and done.returncode:
        print(done.stdout[-2_000:] + done.stderr[-2_000:], flush=True)
    return red


def main() -> int:
    root = Path(tempfile.mkdtemp(prefix="orderengine-mutations-", dir=os.environ.get("DATA_DIR")))
    unnoticed = 0
    try:
        for guard in sys.argv[1:] or [*TRIALS, *TESTS]:
            if guard in TESTS:
                unnoticed += not test_is_red(guard)
                continue
            fault, invariant = TRIALS[guard]
            found = asyncio.run(violations(guard, root))
            expected = [each for each in found if each.startswith(invariant)]
            unnoticed += not expected
            print(
                f"without {guard}: {fault.name} {'is red' if expected else 'STAYS GREEN'}, {len(found)} violations",
                flush=True,
            )
            for each in (expected or found)[:2]:
                print(f"    {each}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
