"""The faults, each by plain means."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from runtime.faults import POINTS
from tests.chaos.arena import Shape
from tests.chaos.trial import Fault, Trial
from tests.freezing import frozen

ONE = Shape("one", {})
TWO = Shape("two", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "10", "DRAIN_S": "3"})
CRASHES = Shape("crashes", {"WORKERS_ORDERS": "2", "MOCK_LATENCY": "0.3"})
PROXIED = Shape("proxied", {"WORKERS_ORDERS": "2", "MOCK_VALID_S": "20", "DATABASE_POOL": "1"}, proxied=True)
SHAPES = {shape.name: shape for shape in (ONE, CRASHES, TWO, PROXIED)}
FAULTS: dict[str, Fault] = {}

Inject = Callable[[Trial], Awaitable[None]]


def fault(shape: Shape, **options: object) -> Callable[[Inject], Inject]:
    def register(inject: Inject) -> Inject:
        FAULTS[inject.__name__] = Fault(inject.__name__, shape.name, inject, **options)  # type: ignore[arg-type]
        return inject

    return register


def thaw(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


# --- Processes -------------------------------------------------------------------------------------------------------
@fault(ONE, rate=0, within_s=15, from_strike=True, short=True)
async def kill_worker_with_50_orders(trial: Trial) -> None:
    """kill -9 of the only order worker while 50 orders are executing."""
    await trial.load.burst(50)
    await asyncio.sleep(1.0)
    trial.arena.signal("orders-1")
    trial.heal()
    await trial.load.settle(30)
    twice = trial.arena.sql(
        "SELECT order_id FROM orders_transaction WHERE created_at > to_timestamp(%s) GROUP BY 1 HAVING count(*) > 1",
        trial.healed - 60,
    )
    trial.expect(not twice, f"{len(twice)} orders were signed twice")


CRASH_POINTS = tuple(sorted(POINTS))


@fault(CRASHES, short=True)
async def crash_points(trial: Trial) -> None:
    """kill -9 at each named point of an order's path, one after the other."""
    for point in CRASH_POINTS:
        trial.arena.arm(point)
        await trial.arena.until_fired()
        trial.heal()


@fault(ONE, rate=0)
async def order_that_kills_its_worker(trial: Trial) -> None:
    """Three deaths, a dead letter with one message, and a requeue that succeeds."""
    arena, load = trial.arena, trial.load
    arena.arm("after_claim")
    await load.burst(1, {"slippageBps": 5000})  # It is to succeed in the end, whatever the dice say.
    for _ in range(2):
        await arena.until_fired()
        arena.arm("after_claim")
    await arena.until_fired()
    [[order_id]] = [list(answers) for answers in load.orders.values()]
    letter = await dead_letter(trial, order_id)
    trial.expect(letter["reason"] == "EXECUTOR_LOST", f"the dead letter says {letter}")
    await asyncio.sleep(3)
    told = [message for message in arena.redis().lrange("dead", 0, -1) if order_id.encode() in body_of(message)]
    trial.expect(len(told) == 1, f"{len(told)} messages on the queue dead")
    await asyncio.to_thread(arena.staff, "POST", f"/api/dead-letters/{letter['id']}/requeue")
    trial.heal()
    ends = time.monotonic() + 30
    while arena.sql("SELECT status FROM orders_order WHERE id = %s", order_id) != [("confirmed",)]:
        if time.monotonic() > ends:
            return trial.expect(False, "the requeued order was not confirmed")
        await asyncio.sleep(0.2)


async def dead_letter(trial: Trial, order_id: str) -> dict[str, Any]:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        answer = await asyncio.to_thread(trial.arena.staff, "GET", "/api/dead-letters")
        for letter in answer["deadLetters"]:
            if letter["orderId"] == order_id:
                return dict(letter)
        await asyncio.sleep(0.3)
    raise AssertionError(f"{order_id} is not among the dead letters")


def body_of(message: bytes) -> bytes:
    return base64.b64decode(json.loads(message)["body"])


@fault(TWO)
async def kill_anything(trial: Trial) -> None:
    """kill -9 of a process of any kind, Postgres and Redis included, every 1 to 5 s."""
    ends = time.monotonic() + 25
    kinds = [*trial.arena.processes, "postgres", "redis"]
    trial.rng.shuffle(kinds)
    while time.monotonic() < ends and kinds:
        trial.arena.signal(kinds.pop())
        trial.heal()
        await asyncio.sleep(trial.rng.uniform(1, 5))


@fault(TWO, rate=15)
async def kill_web_mid_request(trial: Trial) -> None:
    for point in ("before_accept_commit", "after_accept_commit"):
        trial.arena.arm(point)
        await trial.arena.until_fired()
        trial.heal()
        await asyncio.sleep(4)


async def freeze(trial: Trial, point: str, seconds: float) -> None:
    trial.arena.arm(point, "STOP")
    pid = await trial.arena.until_fired()
    try:
        await asyncio.sleep(seconds)
    finally:
        thaw(pid)
    trial.heal()


@fault(TWO, short=True)
async def freeze_before_intent(trial: Trial) -> None:
    """SIGSTOP of a worker past its heartbeat, between building and the intent."""
    await freeze(trial, "before_intent", 9)


@fault(TWO, short=True)
async def freeze_after_intent(trial: Trial) -> None:
    """SIGSTOP of a worker past its heartbeat, between the intent and the submission."""
    await freeze(trial, "after_intent", 9)


@fault(TWO, short=True)
async def freeze_past_expiry(trial: Trial) -> None:
    """SIGSTOP between the intent and the submission, until the transaction is no longer valid."""
    await freeze(trial, "after_intent", 14)


@fault(TWO)
async def rolling_restart(trial: Trial) -> None:
    """Every process stopped in order (SIGTERM, a while, SIGKILL) and started, one after the other."""
    for name in trial.arena.processes:
        await asyncio.to_thread(trial.arena.supervisor, "stopProcess", name)
        await asyncio.to_thread(trial.arena.supervisor, "startProcess", name)
        await asyncio.sleep(1.5)
    trial.heal()


# --- Redis -----------------------------------------------------------------------------------------------------------
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
    trial.arena.redis().config_set("maxmemory", "1")
    await asyncio.sleep(8)
    trial.arena.redis().config_set("maxmemory", "0")
    trial.heal()
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


# --- Doorbells -------------------------------------------------------------------------------------------------------
def taken(trial: Trial) -> list[str]:
    return [order_id for answers in trial.load.orders.values() for order_id in answers]


def dispatch(trial: Trial, order_ids: list[str], times: int) -> None:
    """Messages as the engine's own, straight to the broker."""
    from celery import Celery

    app = Celery(broker=trial.arena.redis_url, set_as_current=False)
    with app.connection_for_write() as connection, app.amqp.producer_pool.acquire() as producer:
        del connection
        for _ in range(times):
            app.send_task(
                "execute_orders", kwargs={"order_ids": order_ids}, queue="orders", producer=producer, ignore_result=True
            )
    app.close()


@fault(TWO)
async def doorbells_repeated(trial: Trial) -> None:
    """Each message a hundred times."""
    for _ in range(4):
        await asyncio.to_thread(dispatch, trial, taken(trial)[-30:], 100)
        await asyncio.sleep(0.5)
    trial.heal()


@fault(TWO)
async def doorbells_replayed(trial: Trial) -> None:
    """Every message of the whole run again, after its orders have ended."""
    await asyncio.sleep(5)
    rows = trial.arena.sql("SELECT id FROM orders_order WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 2000")
    order_ids = [str(row[0]) for row in rows]
    for start in range(0, len(order_ids), 100):
        await asyncio.to_thread(dispatch, trial, order_ids[start : start + 100], 5)
    trial.heal()


@fault(TWO)
async def doorbells_stolen(trial: Trial) -> None:
    """Somebody else takes messages from the queue."""
    client = trial.arena.redis()
    ends = time.monotonic() + 6
    while time.monotonic() < ends:
        await asyncio.to_thread(client.blpop, "orders", 1)
    trial.heal()


# --- Postgres --------------------------------------------------------------------------------------------------------
async def postgres_away(trial: Trial, seconds: float) -> None:
    trial.arena.signal("postgres", signal.SIGQUIT)
    await asyncio.to_thread(trial.arena.supervisor, "stopProcess", "postgres")
    await says_so(trial, seconds)
    await asyncio.to_thread(trial.arena.supervisor, "startProcess", "postgres")
    trial.heal()


SAYS_SO_S = 4.0
"""Two are promised; what a busy machine keeps the web process from its work for cannot be told from here."""


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
    import psycopg

    with psycopg.connect(trial.arena.database_url) as connection:
        connection.execute("LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)


# --- The chain -------------------------------------------------------------------------------------------------------
async def misbehave(trial: Trial, name: str, *, seconds: float = 8, delay_s: float = 5) -> None:
    from routing.mock.faults import Fault as ChainFault

    chain = trial.arena.chain()
    chain.misbehave(ChainFault(name), probability=0.5, delay_s=delay_s)
    await asyncio.sleep(seconds)
    chain.behave()
    trial.heal()


@fault(TWO)
async def chain_gives_no_answer(trial: Trial) -> None:
    """Lands, and times out."""
    await misbehave(trial, "land_then_timeout")


@fault(TWO)
async def chain_drops(trial: Trial) -> None:
    await misbehave(trial, "drop")


@fault(TWO)
async def chain_delays(trial: Trial) -> None:
    await misbehave(trial, "delay", delay_s=4)


@fault(TWO)
async def chain_expires(trial: Trial) -> None:
    """Delays past the validity: half of the transactions never land."""
    await misbehave(trial, "delay", seconds=6, delay_s=20)


@fault(TWO)
async def chain_refuses(trial: Trial) -> None:
    await misbehave(trial, "refuse")


# --- Beat ------------------------------------------------------------------------------------------------------------
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
    command = [part.replace(f"{name}@", f"{name}-2@") for part in first.cmdline()]
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


# --- Sockets ---------------------------------------------------------------------------------------------------------
@fault(TWO, flaky=1.0)
async def sockets_dropped(trial: Trial) -> None:
    """Every socket drops at random and resumes; one reader of the feed never reads."""
    from tests.chaos.clients import NeverReads

    reader = NeverReads(trial.arena.engine.port, trial.arena.api_key)
    await reader.open()
    await asyncio.sleep(10)
    reader.close()
    trial.heal()


# --- The network -----------------------------------------------------------------------------------------------------
async def through(trial: Trial, which: str, act: Callable[[object], Awaitable[None]], *, reset: bool = False) -> None:
    proxy = getattr(trial.arena, f"{which}_proxy")
    try:
        await act(proxy)
    finally:
        proxy.heal(reset=reset)
    trial.heal()
    if which == "redis":
        await resumes(trial)


async def slow(proxy: object) -> None:
    proxy.delay_s = 0.15  # type: ignore[attr-defined]
    await asyncio.sleep(8)


async def dark(proxy: object) -> None:
    proxy.swallow()  # type: ignore[attr-defined]
    await asyncio.sleep(10)


async def resets(proxy: object) -> None:
    for _ in range(12):
        proxy.reset()  # type: ignore[attr-defined]
        await asyncio.sleep(0.7)


async def cuts(proxy: object) -> None:
    proxy.cut = 0.1  # type: ignore[attr-defined]
    await asyncio.sleep(8)


async def refuses(proxy: object) -> None:
    proxy.refuse = True  # type: ignore[attr-defined]
    proxy.reset()  # type: ignore[attr-defined]
    await asyncio.sleep(20)


@fault(PROXIED)
async def postgres_slow(trial: Trial) -> None:
    """150 ms on every way."""
    await through(trial, "postgres", slow)


@fault(PROXIED)
async def postgres_dark(trial: Trial) -> None:
    """No byte comes through for 10 s."""
    await through(trial, "postgres", dark)


@fault(PROXIED)
async def postgres_dark_then_reset(trial: Trial) -> None:
    await through(trial, "postgres", dark, reset=True)


@fault(PROXIED)
async def postgres_resets(trial: Trial) -> None:
    await through(trial, "postgres", resets)


@fault(PROXIED)
async def postgres_cut_after_request(trial: Trial) -> None:
    """One answer in ten is lost with its connection, after the statement has run."""
    await through(trial, "postgres", cuts)


@fault(PROXIED)
async def postgres_unreachable(trial: Trial) -> None:
    """For 20 s, while it runs on: nobody must be taken for dead on its account."""
    before = dead_executors(trial)
    await through(trial, "postgres", refuses)
    await asyncio.sleep(4)
    trial.expect(dead_executors(trial) == before, "an executor was taken for dead because Postgres was out of reach")


@fault(PROXIED)
async def redis_slow(trial: Trial) -> None:
    await through(trial, "redis", slow)


@fault(PROXIED)
async def redis_dark(trial: Trial) -> None:
    await through(trial, "redis", dark)


@fault(PROXIED)
async def redis_dark_then_reset(trial: Trial) -> None:
    await through(trial, "redis", dark, reset=True)


@fault(PROXIED)
async def redis_resets(trial: Trial) -> None:
    await through(trial, "redis", resets)


@fault(PROXIED)
async def redis_cut_after_request(trial: Trial) -> None:
    await through(trial, "redis", cuts)


# --- Everything ------------------------------------------------------------------------------------------------------
@fault(TWO, rate=10, flaky=0.5)
async def all_together(trial: Trial) -> None:
    """Thirty seconds of whatever comes, several at a time."""
    ends = time.monotonic() + 30
    chain = trial.arena.chain()
    from routing.mock.faults import Fault as ChainFault

    for each in (ChainFault.DROP, ChainFault.LAND_THEN_TIMEOUT, ChainFault.REFUSE):
        chain.misbehave(each, probability=0.1)
    acts: list[Callable[[], object]] = [
        lambda: trial.arena.signal(trial.rng.choice(trial.arena.processes)),
        lambda: trial.arena.signal("redis"),
        lambda: trial.arena.signal("postgres", signal.SIGQUIT),
        lambda: trial.arena.redis().flushall(),
        lambda: dispatch(trial, taken(trial)[-20:], 50),
        lambda: trial.arena.redis().execute_command("CLIENT", "KILL", "TYPE", "normal"),
        lambda: trial.arena.arm(
            trial.rng.choice(("after_claim", "after_intent", "after_submit", "before_confirm_commit"))
        ),
    ]
    while time.monotonic() < ends:
        with contextlib.suppress(Exception):  # What is to be struck may be down already.
            await asyncio.to_thread(trial.rng.choice(acts))
        trial.heal()
        await asyncio.sleep(trial.rng.uniform(0.5, 4))
    trial.arena.control.unlink(missing_ok=True)
    chain.behave()
    trial.heal()
