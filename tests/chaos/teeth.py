"""`python -m tests.chaos.teeth [GUARD …]`: with a guard switched off the suite must go red; exit code 1 where it stays green."""

import asyncio
import dataclasses
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.arena import Arena
from tests.chaos.faults import FAULTS, SHAPES
from tests.chaos.trial import run

HERE = Path(__file__).parent / "guards_off"
TRIALS = {
    # Guard → the fault that finds it missing, and by which invariant at least.
    "fence": ("freeze_before_intent", "nothing_lands_twice"),
    "intent": ("freeze_before_intent", "intent_comes_first"),
    "reconciler": ("kill_worker_with_50_orders", "everything_ends"),
}


async def violations(guard: str, folder: Path) -> list[str]:
    fault = FAULTS[TRIALS[guard][0]]
    shape = SHAPES[fault.shape]
    shape = dataclasses.replace(shape, environment={**shape.environment, "GUARD_OFF": guard, "PYTHONPATH": str(HERE)})
    async with Arena(shape, random.Random(1), folder / guard).running() as arena:
        return (await run(fault, arena, random.Random(1))).violations


def main() -> int:
    root = Path(tempfile.mkdtemp(prefix="orderengine-teeth-", dir=os.environ.get("DATA_DIR")))
    toothless = 0
    try:
        for guard in sys.argv[1:] or TRIALS:
            fault, invariant = TRIALS[guard]
            found = asyncio.run(violations(guard, root))
            bites = [each for each in found if each.startswith(invariant)]
            toothless += not bites
            print(
                f"without {guard}: {fault} {'is red' if bites else 'STAYS GREEN'}, {len(found)} violations", flush=True
            )
            for each in bites[:2]:
                print(f"    {each}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if toothless else 0


if __name__ == "__main__":
    sys.exit(main())
