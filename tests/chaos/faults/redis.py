"""Redis killed, wiped, frozen, full."""

import asyncio
import shutil
import signal
import time

from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial


@fault(TWO)
async def redis_killed(trial: Trial) -> None:
    trial.arena.signal("redis")
    trial.heal()
    await resumes(trial)


@fault(TWO)
async def redis_killed_and_wiped(trial: Trial) -> None:
    await asyncio.to_thread(trial.arena.supervisor, "stopProcess", "redis")
    folder = trial.arena.engine.data_dir / "redis"
    for each in folder.glob("appendonly*"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    await asyncio.sleep(5)
    await asyncio.to_thread(trial.arena.supervisor, "startProcess", "redis")
    trial.heal()
    await resumes(trial)


@fault(TWO, short=True)
async def redis_flushed(trial: Trial) -> None:
    for _ in range(3):
        trial.arena.redis().flushall()
        await asyncio.sleep(trial.rng.uniform(0.2, 2))
    trial.heal()
    await resumes(trial)


@fault(TWO)
async def redis_frozen(trial: Trial) -> None:
    """SIGSTOP for 10 s."""
    trial.arena.signal("redis", signal.SIGSTOP)
    await asyncio.sleep(10)
    trial.arena.signal("redis", signal.SIGCONT)
    trial.heal()
    await resumes(trial)


@fault(TWO)
async def redis_connections_killed(trial: Trial) -> None:
    for _ in range(8):
        client = trial.arena.redis()
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await asyncio.sleep(1)
    trial.heal()
    await resumes(trial)


@fault(TWO)
async def redis_memory_full(trial: Trial) -> None:
    lives = {name: trial.arena.engine.pid(name) for name in trial.arena.processes}
    trial.arena.redis().config_set("maxmemory", "1")
    await asyncio.sleep(8)
    trial.arena.redis().config_set("maxmemory", "0")
    trial.heal()
    lost = [name for name, pid in lives.items() if trial.arena.engine.pid(name) != pid]
    trial.expect(not lost, f"processes lost to a full Redis: {lost}")
    await resumes(trial)


RESUMES_S = 5.0


async def resumes(trial: Trial) -> None:
    """Within five seconds of Redis' return an order of every worker's goes on: some claim is written after it."""
    ends, stalled = time.monotonic() + 30, trial.load.stalled
    while time.monotonic() < ends:
        rows = trial.arena.sql(
            "SELECT min(at) FROM orders_orderevent WHERE status = 'routing' AND at > to_timestamp(%s)", trial.healed
        )
        if rows[0][0] is not None:
            took = rows[0][0].timestamp() - trial.healed - (trial.load.stalled - stalled)
            return trial.expect(took <= RESUMES_S, f"execution resumed {took:.1f} s after the return of Redis")
        await asyncio.sleep(0.2)
    trial.expect(False, "execution had not resumed 30 s after the return of Redis")
