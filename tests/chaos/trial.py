"""One fault under load: strike, heal, wait, check."""

import asyncio
import dataclasses
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import psycopg
import redis

from orders.lifecycle import FINAL
from tests.chaos.arena import Arena
from tests.chaos.checker import Evidence, violations
from tests.chaos.clients import Load

FINAL_WITHIN_S = 30.0
"""After healing, for every accepted order: healed is the engine once all of it runs again."""
RUNS_WITHIN_S = 90.0
"""A worker takes a few seconds to start, and many times that on a machine that is busy with other things."""
NORMAL_WITHIN_S = 15.0


LATE = "late"
"""Stands among `Fault.unanswerable` where Postgres' own times cannot tell how long an order took."""


@dataclass
class Trial:
    """What a fault is given: the arena, the load, the dice; it says when it is over."""

    arena: Arena
    load: Load
    rng: random.Random
    healed: float = 0.0
    problems: list[str] = field(default_factory=list)

    def heal(self) -> None:
        self.healed = time.time()

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)


@dataclass(frozen=True)
class Fault:
    name: str
    shape: str
    inject: Callable[[Trial], Awaitable[None]]
    rate: float = 5.0
    """Orders a second."""
    flaky: float = 0.2
    within_s: float = FINAL_WITHIN_S
    runs_within_s: float = RUNS_WITHIN_S
    from_strike: bool = False
    """Its limit counts from the fault itself, restarts included."""
    unanswerable: frozenset[str] = frozenset()
    """Invariants that cannot be judged under this fault: they compare clocks that it steps."""
    short: bool = False
    """Belongs to the selection for CI."""


@dataclass(frozen=True)
class Result:
    fault: str
    orders: int
    recovery: list[float]
    """Seconds from healing to the end of each order that was open then."""
    violations: list[str]
    seconds: float

    def line(self) -> str:
        p50 = f"{statistics.median(self.recovery):.1f}" if self.recovery else "-"
        most = f"{max(self.recovery):.1f}" if self.recovery else "-"
        return f"{self.fault:<28} {self.orders:>7} {p50:>9} {most:>9} {len(self.violations):>11} {self.seconds:>6.0f}"


HEADER = f"{'fault':<28} {'orders':>7} {'p50 s':>9} {'max s':>9} {'violations':>11} {'took':>6}"


async def run(fault: Fault, arena: Arena, rng: random.Random) -> Result:
    started = time.time()
    load = Load(
        arena.engine.url,
        arena.engine.ws_url,
        arena.api_key,
        f"{fault.name}-{int(started)}",
        random.Random(rng.random()),
        rate=fault.rate,
        flaky=fault.flaky,
    )
    trial = Trial(arena, load, random.Random(rng.random()))
    try:
        if fault.rate:
            load.start()
            await asyncio.sleep(1.5)
        try:
            await fault.inject(trial)
        except (AssertionError, psycopg.Error, redis.RedisError, httpx.HTTPError, OSError) as error:
            trial.problems.append(f"the fault could not be injected to its end: {str(error).partition(chr(10))[0]}")
        trial.healed = trial.healed or time.time()
        trial.expect(
            await arena.until_all_runs(fault.runs_within_s),
            f"not all of it runs {fault.runs_within_s:.0f} s after healing",
        )
        running_since = trial.healed if fault.from_strike else time.time()
        await asyncio.sleep(max(0.0, trial.healed + 2.0 - time.time()) if fault.rate else 0)
        await load.stop()
        await load.settle(max(5.0, running_since + fault.within_s - time.time()) + 3.0)
        seen = await asyncio.to_thread(_final, arena, load, running_since + fault.within_s)
        if seen.settled:
            try:
                answer = await asyncio.to_thread(arena.positions)
                seen = dataclasses.replace(seen, answer=answer, witness=arena.witness)
            except httpx.HTTPError as error:
                trial.problems.append(f"books_answer: {error!r}")
        found = [
            *trial.problems,
            *violations(seen, fault.unanswerable),
            *await _normal(arena, min(NORMAL_WITHIN_S, fault.within_s)),
        ]
    finally:
        await load.close()
    mine = [row for row in seen.orders.values() if row["created_at"].timestamp() >= started]
    recovery = [
        (row["finished_at"] - datetime.fromtimestamp(trial.healed, UTC)).total_seconds()
        for row in mine
        # A leg of a plan waits for its turn and its time.
        if row["plan_id"] is None
        and row["finished_at"]
        and row["created_at"].timestamp() <= trial.healed < row["finished_at"].timestamp()
    ]
    late = [seconds for seconds in recovery if seconds > running_since - trial.healed + fault.within_s]
    if late and LATE not in fault.unanswerable:
        found.append(
            f"everything_ends: {len(late)} orders ended later than {fault.within_s:.0f} s after all of the engine ran"
        )
    return Result(fault.name, len(mine), recovery, found, time.time() - started)


def _final(arena: Arena, load: Load, ends: float) -> Evidence:
    """The evidence, once every order is final or the time is up."""
    while True:
        seen = Evidence.gather(arena.database_url, arena.engine.data_dir, load, arena.witness)
        ended = all(row["status"] in FINAL for row in seen.orders.values())
        if ended and all(plan["finished_at"] for plan in seen.plans.values()) or time.time() > ends:
            return seen
        time.sleep(0.3)


async def _normal(arena: Arena, within_s: float) -> list[str]:
    ends = time.monotonic() + within_s
    while True:
        found = await asyncio.to_thread(arena.abnormal)
        if not found or time.monotonic() > ends:
            return found
        await asyncio.sleep(0.5)
