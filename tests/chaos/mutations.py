"""`python -m tests.chaos.mutations [GUARD …]`: with a guard switched off the suite must go red, else exit code 1.

A test is not red whose edit is nonsense, such as a statement that Postgres does not understand.
"""

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
from tests.chaos.guards_off import (
    account_stream,
    exact_out,
    going_live,
    plan_edges,
    rate_limits,
    real_chain,
    risk_statements,
    split,
    verdict,
)
from tests.chaos.plan_load import RACE
from tests.chaos.trial import Fault, Trial, run

TESTS = (
    real_chain.TESTS
    | going_live.TESTS
    | risk_statements.TESTS
    | exact_out.TESTS
    | plan_edges.TESTS
    | rate_limits.TESTS
    | split.TESTS
    | account_stream.TESTS
)
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
    await make(trial, (RACE,) * 6, cancels=False)
    await until(lambda: trial.arena.sql("SELECT 1 FROM orders_plan WHERE finished_at IS NOT NULL LIMIT 1"))


TRIALS = {
    # Guard → the fault that finds it missing, and by which invariant at least. As short as may be: CI runs them all.
    "fence": (
        Fault("worker_frozen", "two", worker_frozen, rate=12, within_s=4, runs_within_s=1),
        "nothing_lands_twice",
    ),
    "intent": (Fault("nothing_broken", "one", nothing_broken, within_s=4), "intent_comes_first"),
    "turn": (Fault("legs_fire_together", "one", legs_fire_together, rate=0), "no_more_is_sold_than_was_bought"),
    "books": (Fault("nothing_broken", "one", nothing_broken, within_s=4), "answers_are_what_was_traded"),
    # When all of the engine runs again, its orders have long been taken over: that is 7 s after the kill.
    "reconciler": (Fault("worker_killed", "one", worker_killed, rate=0, within_s=10), "everything_ends"),
}


def without(guard: str, file: Path) -> dict[str, str]:
    """The environment in which the guard is off, and `guards_off.verdict` writes to the file."""
    return {"GUARD_OFF": guard, "GUARD_VERDICT": str(file), "PYTHONPATH": str(HERE)}


async def violations(guard: str, folder: Path, file: Path) -> list[str]:
    fault, _ = TRIALS[guard]
    shape = SHAPES[fault.shape]
    # A transaction is to be valid still when its worker is thawed, however late a busy machine counts it as crashed.
    unguarded = {**without(guard, file), "MOCK_VALID_S": "90"}
    shape = dataclasses.replace(shape, environment={**shape.environment, **unguarded})
    async with Arena(shape, random.Random(1), folder / guard).running() as arena:
        return (await run(fault, arena, random.Random(1))).violations


def test_is_red(guard: str, file: Path) -> bool:
    """Whether the guard's test fails without it, and not because the edit is nonsense."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "reporting"]
    done = subprocess.run(
        [*command, TESTS[guard]],
        env={**os.environ, **without(guard, file)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    failed, errors = verdict.read(file)
    red = done.returncode == 1 and failed and not errors
    name = TESTS[guard].rpartition("::")[2]
    said = "is red" if red else "IS NONSENSE" if errors else f"STAYS GREEN (exit code {done.returncode})"
    print(f"without {guard}: {name} {said}", flush=True)
    for each in errors[:2]:
        print(f"    {each}", flush=True)
    if not (red or errors) and done.returncode:
        print(done.stdout[-2_000:] + done.stderr[-2_000:], flush=True)
    return red


def main() -> int:
    root = Path(tempfile.mkdtemp(prefix="orderengine-mutations-", dir=os.environ.get("DATA_DIR")))
    unnoticed = 0
    try:
        for guard in sys.argv[1:] or [*TRIALS, *TESTS]:
            file = root / f"{guard}.verdict"
            if guard in TESTS:
                unnoticed += not test_is_red(guard, file)
                continue
            fault, invariant = TRIALS[guard]
            found = asyncio.run(violations(guard, root, file))
            _, errors = verdict.read(file)
            expected = [each for each in found if each.startswith(invariant)]
            unnoticed += bool(errors) or not expected
            said = "IS NONSENSE" if errors else "is red" if expected else "STAYS GREEN"
            print(f"without {guard}: {fault.name} {said}, {len(found)} violations", flush=True)
            for each in (errors or expected or found)[:2]:
                print(f"    {each}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
