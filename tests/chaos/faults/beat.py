"""Beat and the reconciler killed, frozen, doubled."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from orderengine.host import processes
from runtime import fleet
from tests.chaos.faults.postgres import dead_executors
from tests.chaos.faults.registry import TWO, fault, thaw
from tests.chaos.trial import Trial


@fault(TWO)
async def beat_killed(trial: Trial) -> None:
    for _ in range(3):
        trial.arena.signal("beat")
        await asyncio.sleep(3)
    trial.heal()


@contextlib.asynccontextmanager
async def second(trial: Trial, name: str) -> AsyncIterator[Path]:
    """Another process of the kind, beside the engine's own; where it writes its log."""
    first = psutil.Process(trial.arena.engine.pid(name))
    # Its own command line is its parent's: it was forked.
    command = [part.replace(f"{name}@", f"{name}-2@") for part in processes.command(fleet.kind(name), name, {})]
    path = trial.arena.folder / f"{name}-2.log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=first.environ(), stdout=log, stderr=log)
    try:
        yield path
    finally:
        process.kill()
        await process.wait()


@fault(TWO)
async def two_beats(trial: Trial) -> None:
    async with second(trial, "beat"):
        await asyncio.sleep(10)
    trial.heal()


@fault(TWO)
async def reconciler_frozen(trial: Trial) -> None:
    """SIGSTOP of one of two reconcilers in the middle of its work, then kill -9 of an order worker."""
    arena = trial.arena
    async with second(trial, "dbsync") as log:
        ends = time.monotonic() + 60
        while "ready." not in log.read_text() and time.monotonic() < ends:
            await asyncio.sleep(0.2)
        arena.arm("after_takeover", "STOP")
        pid = await arena.until_fired()
        before = dead_executors(trial)
        arena.signal("orders-1")
        ends = time.monotonic() + 20
        while dead_executors(trial) == before and time.monotonic() < ends:
            await asyncio.sleep(0.2)
        trial.expect(dead_executors(trial) > before, "nobody reconciled while one of two was frozen")
        thaw(pid)
    trial.heal()


@fault(TWO)
async def beat_stopped(trial: Trial) -> None:
    """SIGSTOP for 30 s, during which an order worker is killed."""
    pid = trial.arena.signal("beat", signal.SIGSTOP)
    await asyncio.sleep(15)
    trial.arena.signal("orders-1")
    await asyncio.sleep(15)
    thaw(pid or 0)
    trial.heal()
