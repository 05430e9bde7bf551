"""A primary is lost, and its standby is promoted."""

import asyncio
import time

from tests.chaos.faults.readiness import reports
from tests.chaos.faults.registry import STANDBY, fault
from tests.chaos.trial import Trial

ACCEPTS_WITHIN_S = 10.0
"""After the promotion, for the first order that is accepted."""


@fault(STANDBY, rate=10)
async def standby_promoted(trial: Trial) -> None:
    """kill -9 of the primary and the loss of its disk; what was accepted is on the standby, and work goes on there."""
    pair = trial.arena.pair
    assert pair is not None
    began = time.time()
    await asyncio.to_thread(pair.fail_over)
    trial.heal()
    ends = time.monotonic() + 30
    while not (
        taken := [each for each in trial.load.operations if each.outcome == "ok" and each.started > trial.healed]
    ):
        if time.monotonic() > ends:
            return trial.expect(False, "no order was accepted within 30 s of the promotion")
        await asyncio.sleep(0.1)
    gap = taken[0].started + taken[0].seconds - trial.healed
    print(
        f"    promotion took {trial.healed - began:.1f} s; the first order after it was accepted {gap:.1f} s later",
        flush=True,
    )
    trial.expect(gap <= ACCEPTS_WITHIN_S, f"the first order was accepted {gap:.1f} s after the promotion")
    await reports(trial, "ok", 15)
