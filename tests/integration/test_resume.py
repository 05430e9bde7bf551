"""An order whose executor crashed at any status is finished by another owner, with one transaction on the chain."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orders.execution.executor import KEPT_UP_S, MAX_ADMITTED_AT_ONCE, Executor
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.execution.work import TransactionExpired
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event, Status
from routing.mock import tokens
from routing.mock.faults import Fault
from routing.mock.world import MockWorld, mock_world
from routing.values import Pair, Swap
from tests.factories import accepted, change, claimed, executor, new_order, reconciler
from tests.waiting import until


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MockWorld]:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60)
    yield made
    await made.close()


class Owner:
    """An executor in this process, with all it needs."""

    def __init__(
        self, database: Connection, url: str, world: MockWorld, *, max_batch: int = 100, max_preparing: int = 100
    ) -> None:
        self.id = executor(database)
        self.claimer = Claimer(
            url, self.id, window_ms=1, max_batch=max_batch, capacity=max_batch, written=lambda _: None
        )
        self.recorder = Recorder(url, window_ms=1, max_batch=max_batch, capacity=2 * max_batch, written=lambda _: None)
        steps = Steps(world.router, RetryPolicy(3, 0, 0), random.Random(1), submit_timeout_s=5, resend_after_s=0.2)
        self.executor = Executor(
            self.claimer,
            self.recorder,
            steps,
            max_in_flight=max_batch,
            max_preparing=max_preparing,
        )

    async def execute(self, order_id: UUID) -> None:
        async with asyncio.timeout(30):
            await self.executor.execute([order_id])

    async def close(self) -> None:
        await self.claimer.close()
        await self.recorder.close()


@pytest.fixture
async def owner(database: Connection, database_url: str, world: MockWorld) -> AsyncIterator[Owner]:
    made = Owner(database, database_url, world)
    yield made
    await made.close()


async def swap_for(world: MockWorld, taken: Claimed) -> Swap:
    """What the crashed executor had built and signed."""
    selection = await world.router.quote(pair(taken), taken.amount)
    venue = world.router.venue(selection.winner.venue)
    least = selection.winner.amount_out / 2
    return await venue.build(
        pair(taken),
        selection.winner,
        min_out=least,
        slippage_bps=50,
        reference=str(taken.id),
        attempt=taken.attempts,
    )


def pair(taken: Claimed) -> Pair:
    found = tokens.REGISTRY.pair(taken.token_in, taken.token_out)
    assert found is not None
    return found


def submit(database: Connection, taken: Claimed, swap: Swap) -> None:
    changes = [
        change(taken, Event.BUILD, data={"venue": swap.venue}),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=taken.seq + 1, intent=swap),
    ]
    assert all(statements.record(database, changes))


def reconcile(database: Connection) -> list[UUID]:
    """One pass; the orders that it dispatched."""
    dispatched: list[UUID] = []
    reconciler(
        grace_s=2,
        dispatch=dispatched.extend,
        carry_out=lambda effects: dispatched.extend(each.order_id for each in effects if each.dispatch_ms is not None),
    ).run(database)
    return dispatched


def statuses(database: Connection, order_id: UUID) -> list[str]:
    rows = database.execute("SELECT seq, status FROM orders_orderevent WHERE order_id = %s ORDER BY seq", (order_id,))
    found = rows.fetchall()
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    return [status for _, status in found]


def statuses_now(database: Connection) -> Counter[str]:
    """How many orders are at each status."""
    return Counter(dict(database.execute("SELECT status, count(*) FROM orders_order GROUP BY status").fetchall()))


async def crashed_at(database: Connection, world: MockWorld, account: int, at: str) -> tuple[Claimed, list[str]]:
    """An order whose executor crashed; and the statuses that it has been through."""
    order = accepted(database, new_order(account))
    dead = executor(database)
    taken = claimed(database, order, dead)
    if at == "building":
        assert statements.record(database, [change(taken, Event.BUILD, data={})])[0]
    elif at != "routing":
        swap = await swap_for(world, taken)
        submit(database, taken, swap)
        venue = world.router.venue(swap.venue)
        if at == "lost":
            world.chain.misbehave(Fault.DROP, count=1)
        if at in ("sent", "lost", "landed"):
            await venue.submit(swap)
        if at == "landed":
            await venue.wait(swap, timeout_s=5)
    database.execute("UPDATE orders_executor SET state = 'dead' WHERE id = %s", (dead,))
    return taken, statuses(database, order.id)


@pytest.mark.parametrize("at", ["routing", "building", "written down", "sent", "lost", "landed"])
async def test_another_owner_finishes_it(
    database: Connection, account: int, world: MockWorld, owner: Owner, at: str
) -> None:
    taken, before = await crashed_at(database, world, account, at)

    assert reconcile(database) == [taken.id]
    await owner.execute(taken.id)

    again = ["pending", "routing", "building", "submitted"] if at in ("routing", "building") else []
    assert statuses(database, taken.id) == [*before, *again, "confirmed"]
    report = world.chain.report(str(taken.id))
    assert (report["landed"], report["ordersLandedTwice"]) == (1, 0)
    assert len({submission["signature"] for submission in report["submissions"]}) == 1
    assert len(report["submissions"]) == (2 if at == "lost" else 1)
    unresolved = database.execute("SELECT count(*) FROM orders_transaction WHERE resolution IS NULL").fetchone()
    assert unresolved == (0,)


async def test_the_living_are_left_alone(database: Connection, account: int, world: MockWorld, owner: Owner) -> None:
    taken = claimed(database, accepted(database, new_order(account)))

    assert reconcile(database) == []
    await owner.execute(taken.id)

    assert statuses(database, taken.id) == ["pending", "routing"]
    assert world.chain.report()["submissions"] == []


async def test_nothing_is_sent_before_it_is_written_down(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    """The order gets another owner while this one quotes: its intent is refused and nothing leaves the process."""
    order = accepted(database, new_order(account))
    router = world.router
    quote, other = router.quote, executor(database)

    async def taken_meanwhile(pair: Pair, amount: Any, **how: Any) -> Any:
        database.execute("UPDATE orders_order SET executor = %s, epoch = epoch + 1 WHERE id = %s", (other, order.id))
        return await quote(pair, amount, **how)

    router.quote = taken_meanwhile  # type: ignore[method-assign]
    await owner.execute(order.id)

    assert statuses(database, order.id) == ["pending", "routing"]
    assert world.chain.report()["submissions"] == []
    assert database.execute("SELECT count(*) FROM orders_transaction").fetchone() == (0,)


async def test_waiting_for_the_chain_keeps_no_order_from_being_prepared(
    database: Connection, database_url: str, account: int, world: MockWorld
) -> None:
    owner = Owner(database, database_url, world, max_preparing=2)
    quote, preparing, most = world.router.quote, 0, 0

    async def counted(pair: Pair, amount: Any, **how: Any) -> Any:
        nonlocal preparing, most
        preparing += 1
        most = max(most, preparing)
        await asyncio.sleep(0.01)
        preparing -= 1
        return await quote(pair, amount, **how)

    world.router.quote = counted  # type: ignore[method-assign]
    many = 10
    world.chain.misbehave(Fault.DELAY, count=many)
    orders = [accepted(database, new_order(account)).id for _ in range(many)]
    executing = asyncio.create_task(owner.executor.execute(orders))
    while statuses_now(database)["submitted"] < many:
        assert not executing.done(), "all of them wait for the chain at one time"
        await asyncio.sleep(0.01)
    assert most == 2
    async with asyncio.timeout(30):
        await executing
    assert statuses_now(database) == {"confirmed": many}
    await owner.close()


async def test_the_intent_is_there_when_the_chain_gets_it(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    order = accepted(database, new_order(account))
    send, seen = world.chain.submit, []

    async def look_first(swap: Swap) -> None:
        query = "SELECT t.payload, o.status FROM orders_transaction t JOIN orders_order o ON o.id = t.order_id"
        seen.append((database.execute(f"{query} WHERE signature = %s", (swap.signature,)).fetchone(), swap.payload))
        await send(swap)

    world.chain.submit = look_first  # type: ignore[method-assign]
    await owner.execute(order.id)

    [(row, payload)] = seen
    assert row == (payload, "submitted")
    assert statuses(database, order.id)[-1] == "confirmed"


async def test_two_wake_ups_are_one_execution(
    database: Connection, database_url: str, account: int, world: MockWorld, owner: Owner
) -> None:
    """The same order on two processes and twice on each, at the same moment."""
    second = Owner(database, database_url, world)
    orders = [accepted(database, new_order(account)) for _ in range(20)]
    await asyncio.gather(*(each.execute(order.id) for order in orders for each in (owner, second, owner, second)))
    await second.close()

    complete = ["pending", "routing", "building", "submitted", "confirmed"]
    assert all(statuses(database, order.id) == complete for order in orders)
    report = world.chain.report()
    assert (report["landed"], report["ordersLandedTwice"], len(report["submissions"])) == (20, 0, 20)


async def test_an_order_given_up_before_its_first_step_is_taken_at_the_next_wake_up(
    database: Connection, account: int, owner: Owner
) -> None:
    """A driver that is cancelled before it ever ran leaves nothing behind that says the order is ours."""
    order = accepted(database, new_order(account))
    waking = asyncio.create_task(owner.execute(order.id))
    while not owner.executor.asked:
        await asyncio.sleep(0)
    await owner.executor.abandon()
    await waking
    assert not owner.executor.asked

    await owner.execute(order.id)
    assert statuses(database, order.id)[-1] == "confirmed"


async def test_a_process_that_is_late_with_its_orders_takes_no_more(
    database: Connection, database_url: str, account: int, world: MockWorld
) -> None:
    """Else their quotes would be stale before they are compared, and their attempts lost to our own slowness."""
    busy = Owner(database, database_url, world, max_batch=3 * MAX_ADMITTED_AT_ONCE)
    orders = [accepted(database, new_order(account)) for _ in range(3 * MAX_ADMITTED_AT_ONCE)]

    async def hold_up() -> None:
        while True:
            time.sleep(2 * KEPT_UP_S)
            await asyncio.sleep(0)

    def claimed_so_far() -> int:
        return len(orders) - statuses_now(database)["pending"]

    holding = asyncio.create_task(hold_up())
    executing = asyncio.create_task(busy.executor.execute([order.id for order in orders]))
    try:
        async with asyncio.timeout(30):
            while claimed_so_far() < MAX_ADMITTED_AT_ONCE:
                await asyncio.sleep(0)
        for _turn in range(10):
            await asyncio.sleep(0)
        assert claimed_so_far() == MAX_ADMITTED_AT_ONCE
        holding.cancel()
        async with asyncio.timeout(60):
            await executing
    finally:
        holding.cancel()
        await busy.executor.abandon()
        await busy.close()
    assert statuses_now(database) == {"confirmed": len(orders)}


async def test_a_wake_up_that_comes_before_its_record_is_answered_is_not_lost(
    database: Connection, database_url: str, account: int, world: MockWorld, owner: Owner
) -> None:
    """The wake-up for the next attempt follows the commit, and the driver may learn of that commit later than anybody."""
    order = accepted(database, new_order(account))
    quote, loop = world.router.quote, asyncio.get_running_loop()
    quoted = 0

    async def fails_once(pair: Pair, amount: Any, **how: Any) -> Any:
        nonlocal quoted
        quoted += 1
        if quoted == 1:
            raise TransactionExpired
        return await quote(pair, amount, **how)

    def wake_up(written: list[Any]) -> None:
        """In the writer's thread: the answer to the driver waits until the next attempt has begun."""
        if any(change.event is Event.RETRY for change, _ in written):
            asyncio.run_coroutine_threadsafe(owner.executor.execute([order.id]), loop)
            with suppress(TimeoutError):
                until(lambda: statuses_now(database)["routing"], 5)

    world.router.quote = fails_once  # type: ignore[method-assign]
    owner.recorder._written = wake_up
    await owner.execute(order.id)

    async with asyncio.timeout(20):
        while statuses(database, order.id)[-1] != "confirmed":
            await asyncio.sleep(0.02)
    assert statuses(database, order.id)[:4] == ["pending", "routing", "pending", "routing"]
