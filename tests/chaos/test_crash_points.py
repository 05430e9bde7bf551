"""Each crash point of an order's path, enumerated against a whole engine."""

import random
from pathlib import Path

from tests.chaos.arena import Arena
from tests.chaos.faults import FAULTS
from tests.chaos.faults.processes import CRASH_POINTS
from tests.chaos.faults.registry import CRASHES
from tests.chaos.trial import run


async def test_kill_9_at_every_crash_point(tmp_path: Path) -> None:
    async with Arena(CRASHES, random.Random(1), tmp_path / "arena").running() as arena:
        result = await run(FAULTS["crash_points"], arena, random.Random(1))
        report = arena.engine.report() if result.violations else ""
    assert not result.violations, "\n".join([*result.violations, report])
    assert result.orders > len(CRASH_POINTS)
