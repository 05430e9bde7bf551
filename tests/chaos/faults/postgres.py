"""Postgres stopped, frozen, locked, changed."""

import asyncio
import signal
import time

import psutil
import psycopg

from tests.chaos.faults.readiness import reports
from tests.chaos.faults.registry import TWO, fault
from tests.chaos.trial import Trial
from tests.freezing import frozen


async def postgres_away(trial: Trial, seconds: float) -> None:
    trial.arena.signal("postgres", signal.SIGQUIT)
    await asyncio.to_thread(trial.arena.supervisor, "stopProcess", "postgres")
    await says_so(trial, seconds)
    await asyncio.to_thread(trial.arena.supervisor, "startProcess", "postgres")
    trial.heal()


SAYS_SO_S = 4.0
"""Two are promised; how long a busy machine keeps the web process from its work is not known here."""


async def says_so(trial: Trial, seconds: float) -> None:
    """For a while every answer is 503, and none is late."""
    before = time.time()
    await asyncio.sleep(seconds)
    answers = [each for each in trial.load.operations if each.started > before]
    slow = [each for each in answers if each.seconds > SAYS_SO_S]
    trial.problems += trial.arena.heavy()
    trial.expect(bool(answers), "nobody asked while Postgres was away")
    trial.expect(
        not slow, f"{len(slow)} of {len(answers)} requests took up to {max((a.seconds for a in slow), default=0):.1f} s"
    )
    wrong = {each.status for each in answers} - {503, None, 200}
    trial.expect(not wrong, f"answers while Postgres was away: {wrong}")


@fault(TWO, short=True)
async def postgres_stopped(trial: Trial) -> None:
    """Immediate stop; back after 8 s."""
    await postgres_away(trial, 8)


@fault(TWO)
async def postgres_frozen(trial: Trial) -> None:
    """SIGSTOP of all its processes for 10 s."""
    with frozen(psutil.Process(trial.arena.engine.pid("postgres"))):
        await says_so(trial, 10)
    trial.heal()


@fault(TWO)
async def postgres_stopped_a_minute(trial: Trial) -> None:
    await postgres_away(trial, 60)


@fault(TWO)
async def postgres_backends_killed(trial: Trial) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        rows = trial.arena.sql(
            "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
        )
        for (pid,) in trial.rng.sample(rows, min(3, len(rows))):
            trial.arena.sql("SELECT pg_terminate_backend(%s)", pid)
        await asyncio.sleep(trial.rng.uniform(0.1, 0.5))
    trial.heal()


@fault(TWO)
async def table_locked(trial: Trial) -> None:
    """ACCESS EXCLUSIVE on the orders for 10 s, as a careless migration takes it."""
    before = dead_executors(trial)
    await asyncio.to_thread(hold_lock, trial, 10.0)
    trial.heal()
    trial.expect(dead_executors(trial) == before, "an executor was taken for dead though only a table was locked")


def dead_executors(trial: Trial) -> int:
    return int(trial.arena.sql("SELECT count(*) FROM orders_executor WHERE state = 'dead'")[0][0])


def hold_lock(trial: Trial, seconds: float) -> None:
    with psycopg.connect(trial.arena.database_url) as connection:
        connection.execute("LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)


@fault(TWO, rate=10)
async def schema_changed(trial: Trial) -> None:
    """Columns that every statement reads are altered while orders flow, as a migration does: cached plans are void."""
    for kind in ("varchar(40)", "varchar(16)"):
        trial.arena.sql(f"ALTER TABLE orders_order ALTER COLUMN venue TYPE {kind}")  # noqa: S608
        trial.arena.sql(f"ALTER TABLE orders_transaction ALTER COLUMN venue TYPE {kind}")
        trial.heal()
        await reports(trial, "ok")
        await asyncio.sleep(4)


@fault(TWO, rate=10)
async def postgres_read_only(trial: Trial) -> None:
    """For 12 s every session is one of a server that was demoted: it reads and does not write."""
    read_only(trial, True)
    await reports(trial, "unavailable")
    await says_so(trial, 8)
    read_only(trial, False)
    trial.heal()
    await reports(trial, "ok")


def read_only(trial: Trial, on: bool) -> None:
    """The sessions that exist go on as they are when it ends: whoever holds one has to notice."""
    with psycopg.connect(trial.arena.database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER ROLE CURRENT_USER {'SET default_transaction_read_only = on' if on else 'RESET ALL'}")
        if on:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = current_user AND pid <> pg_backend_pid()"
            )
