"""The disk is full, and then it is not."""

import asyncio
import errno

from tests.chaos.faults.postgres import says_so
from tests.chaos.faults.readiness import reports
from tests.chaos.faults.registry import SMALL, fault
from tests.chaos.trial import Trial

CHUNK = b"\0" * 2**20


def fill(trial: Trial) -> None:
    """To the last block, and again what the engine's own writes leave."""
    with (trial.arena.engine.data_dir / "filler").open("ab", buffering=0) as filler:
        for size in (2**20, 2**12):
            try:
                while True:
                    filler.write(CHUNK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


@fault(SMALL, rate=10)
async def disk_full(trial: Trial) -> None:
    """No block is free below the data folder for 15 s: what cannot be kept is refused, and no process is lost."""
    arena = trial.arena
    lives = {name: arena.engine.pid(name) for name in ("supervisord", *arena.processes)}
    for _ in range(3):
        await asyncio.to_thread(fill, trial)
        await asyncio.sleep(1)
    await reports(trial, "unavailable")
    await says_so(trial, 12)
    lost = [name for name, pid in lives.items() if arena.engine.pid(name) != pid]
    (arena.engine.data_dir / "filler").unlink()
    trial.heal()
    trial.expect(not lost, f"processes lost to a full disk: {lost}")
    await reports(trial, "ok", 30)
