"""The recorder, whose connection breaks at the worst moments."""

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Claimed
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event, Status
from tests.chaos.proxy import Proxy, to_unix
from tests.factories import ERROR, FILL, TAKEOVER, Committed, accepted, change, claimed, executor, new_order, swap


@pytest.fixture
def committed() -> Committed:
    return Committed()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Proxy]:
    """Between the recorder and Postgres."""
    proxy = Proxy(to_unix(f"{conninfo_to_dict(database_url)['host']}/.s.PGSQL.5432"), random.Random(1))
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def wire_url(database_url: str, wire: Proxy) -> str:
    return make_conninfo(database_url, host="127.0.0.1", port=str(wire.port))


def lose_answers(wire: Proxy) -> None:
    """What is sent is carried out; the sender sees only a lost connection."""
    wire.cut = 1.0


def cut(wire: Proxy) -> None:
    """No connection lasts and none is made."""
    wire.refuse = True
    wire.reset()


async def written_by(database: Connection, taken: Claimed, status: str) -> None:
    async with asyncio.timeout(20):
        while statuses(database, taken)[-1] != status:
            await asyncio.sleep(0.02)


@pytest.fixture
async def recorder(wire_url: str, committed: Committed) -> AsyncIterator[Recorder]:
    # A window in which two changes come together: the second would wait for as long as the first's answer is lost.
    made = Recorder(wire_url, window_ms=100, max_batch=100, capacity=1_000, written=committed)
    yield made
    made.give_up()
    await made.close()


@pytest.fixture
def taken(database: Connection, account: int) -> Claimed:
    return claimed(database, accepted(database, new_order(account)))


def statuses(database: Connection, taken: Claimed) -> list[str]:
    rows = database.execute("SELECT status FROM orders_orderevent WHERE order_id = %s ORDER BY seq", (taken.id,))
    return [status for (status,) in rows]


async def test_a_change_whose_answer_was_lost_is_recognised_as_ours(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder, committed: Committed
) -> None:
    """Committed, and the connection broke before the answer: it is neither written twice nor taken for another's."""
    await warm(recorder, database, taken.account_id)
    committed.clear()
    lose_answers(wire)

    waiting = recorder.submit(change(taken, Event.BUILD, data={"venue": "RAYDIUM"}))
    await written_by(database, taken, "building")
    assert not waiting.done()
    wire.heal()
    recorded = await waiting

    assert recorded is not None
    [when] = database.execute("SELECT at FROM orders_orderevent WHERE order_id = %s AND seq = 3", (taken.id,))
    assert when == (recorded.at,)
    assert statuses(database, taken) == ["pending", "routing", "building"]
    assert [(change.seq, row) for change, row in committed] == [(3, recorded)]


async def warm(recorder: Recorder, database: Connection, account_id: int) -> None:
    """The first statement of a connection would be the one that is lost."""
    other = claimed(database, accepted(database, new_order(account_id)))
    assert await recorder.submit(change(other, Event.BUILD))


async def test_a_backend_that_is_killed_at_its_commit_changes_nothing_for_the_caller(
    database: Connection, account: int, database_url: str, committed: Committed
) -> None:
    """Over and over at any moment: written or not, each change is there once in the end and its caller knows."""
    recorder = Recorder(database_url, window_ms=1, max_batch=100, capacity=1_000, written=committed)
    owner = executor(database)
    orders = [claimed(database, accepted(database, new_order(account)), owner) for _ in range(120)]

    async def kill() -> None:
        rng = random.Random(1)
        for _ in range(15):
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orderengine:record'"
            )
            await asyncio.sleep(rng.uniform(0, 0.3))  # A try takes some 30 ms, and one has to come through.

    killing = asyncio.create_task(kill())
    times = []
    for start in range(0, 120, 10):
        wanted = [recorder.submit(change(taken, Event.BUILD)) for taken in orders[start : start + 10]]
        times += await asyncio.gather(*wanted)
        await asyncio.sleep(0.01)
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    await recorder.close()

    assert all(times)
    written = dict(database.execute("SELECT order_id, at FROM orders_orderevent WHERE seq = 3").fetchall())
    assert written == {taken.id: row.at for taken, row in zip(orders, times, strict=True) if row is not None}
    assert sorted(one.order_id for one, _ in committed) == sorted(written)


async def test_two_changes_of_one_order_whose_answer_was_lost(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder
) -> None:
    await warm(recorder, database, taken.account_id)
    lose_answers(wire)

    built = recorder.submit(change(taken, Event.BUILD))
    sent = recorder.submit(change(taken, Event.SUBMIT, was=Status.BUILDING, seq=3, intent=swap(taken.id)))
    await written_by(database, taken, "submitted")
    wire.heal()

    assert await built and await sent
    assert statuses(database, taken) == ["pending", "routing", "building", "submitted"]


async def test_what_another_wrote_meanwhile_is_not_taken_for_ours(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder, committed: Committed
) -> None:
    """The connection breaks before the statement arrives, and the order gets another owner."""
    await warm(recorder, database, taken.account_id)
    committed.clear()
    cut(wire)
    waiting = recorder.submit(change(taken, Event.BUILD))
    statements.record(database, [change(taken, Event.RELEASE, data=TAKEOVER, delay_ms=0)])
    later = claimed(database, new_order(taken.account_id, id=taken.id))
    assert statements.record(database, [change(later, Event.BUILD)])[0]
    wire.heal()

    assert await waiting is None
    assert statuses(database, taken) == ["pending", "routing", "pending", "routing", "building"]
    assert committed == []


async def test_recording_waits_for_postgres_and_loses_nothing(
    database: Connection, account: int, wire: Proxy, recorder: Recorder
) -> None:
    owner = executor(database)
    orders = [claimed(database, accepted(database, new_order(account)), owner) for _ in range(20)]
    await warm(recorder, database, account)
    cut(wire)
    first = [recorder.submit(change(taken, Event.BUILD)) for taken in orders]
    await asyncio.sleep(0.6)  # Longer than its pause between two tries.
    second = [
        recorder.submit(change(taken, Event.SUBMIT, was=Status.BUILDING, seq=3, intent=swap(taken.id)))
        for taken in orders
    ]
    assert not any(future.done() for future in (*first, *second))
    wire.heal()

    assert all(await asyncio.gather(*first, *second))
    assert all(statuses(database, taken) == ["pending", "routing", "building", "submitted"] for taken in orders)


async def test_a_stopping_process_does_not_wait_for_postgres(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder
) -> None:
    cut(wire)
    waiting = recorder.submit(change(taken, Event.BUILD))
    recorder.give_up()

    async with asyncio.timeout(30):
        with pytest.raises(psycopg.OperationalError):
            await waiting
    assert statuses(database, taken) == ["pending", "routing"]


async def test_one_bad_change_does_not_take_its_batch_along(
    database: Connection, account: int, recorder: Recorder
) -> None:
    owner = executor(database)
    good, bad, last = [claimed(database, accepted(database, new_order(account)), owner) for _ in range(3)]

    results = await asyncio.gather(
        recorder.submit(change(good, Event.BUILD)),
        recorder.submit(change(bad, Event.BUILD, data={"venue": "x" * 17})),
        recorder.submit(change(last, Event.BUILD)),
    )

    assert [at is None for at in results] == [False, True, False]
    assert statuses(database, bad) == ["pending", "routing"]


async def test_an_order_stands_twice_in_a_batch_of_claims_and_is_claimed_once(
    database: Connection, account: int, database_url: str
) -> None:
    order = accepted(database, new_order(account))
    claimer = Claimer(database_url, executor(database), window_ms=20, max_batch=100, capacity=100, written=Committed())

    results = await asyncio.gather(claimer.submit((order.id, None)), claimer.submit((order.id, None)))

    assert [one is None for one in results] == [False, True]
    assert statuses(database, claimed_or_fail(results[0])) == ["pending", "routing"]
    await claimer.close()


def claimed_or_fail(one: Claimed | None) -> Claimed:
    assert one is not None
    return one


async def test_updates_stay_on_their_page(
    database: Connection, account: int, database_url: str, committed: Committed
) -> None:
    """Of an order's four updates all but the last, which leaves an index, are HOT: no index entry, no bloat."""
    recorder = Recorder(database_url, window_ms=5, max_batch=500, capacity=10_000, written=committed)
    owner = executor(database)
    orders = [new_order(account) for _ in range(300)]
    statements.accept(database, orders)
    before = updates(database)
    taken = statements.claim(database, owner, [order.id for order in orders], {})
    for at, event, data in ((2, Event.BUILD, {}), (3, Event.SUBMIT, {}), (4, Event.CONFIRM, FILL)):
        wanted = []
        for one in taken:
            was = (Status.ROUTING, Status.BUILDING, Status.SUBMITTED)[at - 2]
            intent = swap(one.id) if event is Event.SUBMIT else None
            wanted.append(recorder.submit(change(one, event, was=was, seq=at, data=data, intent=intent)))
        assert all(await asyncio.gather(*wanted))
    await recorder.close()

    async with asyncio.timeout(20):  # The recorder's backend reports as it ends; so may one of the test before this.
        while (after := updates(database))[0] - before[0] < 4 * 300:
            await asyncio.sleep(0.05)
    assert (after[1] - before[1]) / (after[0] - before[0]) > 0.7


def updates(database: Connection) -> tuple[int, int]:
    """(all, HOT) updates of orders so far; ours are flushed before asking."""
    database.execute("SELECT pg_stat_force_next_flush()")
    database.execute("SELECT pg_stat_clear_snapshot()")
    query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'orders_order'"
    row = database.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def test_a_dead_letter_is_written_with_the_failure_even_at_the_second_try(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder
) -> None:
    await warm(recorder, database, taken.account_id)
    lose_answers(wire)

    waiting = recorder.submit(change(taken, Event.FAIL, data={"error": ERROR}))
    await written_by(database, taken, "failed")
    wire.heal()
    assert await waiting

    assert database.execute("SELECT order_id, reason FROM orders_deadletter").fetchall() == [
        (taken.id, "VENUE_UNAVAILABLE")
    ]


async def test_a_claim_whose_answer_was_lost_is_orphaned(
    database: Connection, account: int, wire: Proxy, wire_url: str
) -> None:
    """The caller gets an error; the row says that the executor has it, which its audit finds."""
    owner = executor(database)
    claimer = Claimer(wire_url, owner, window_ms=1, max_batch=100, capacity=100, written=Committed())
    warm_up, order = [accepted(database, new_order(account)) for _ in range(2)]
    await claimer.submit((warm_up.id, None))
    lose_answers(wire)

    with pytest.raises(psycopg.OperationalError):
        await claimer.submit((order.id, None))

    row = database.execute("SELECT status, executor FROM orders_order WHERE id = %s", (order.id,)).fetchone()
    assert row == ("routing", owner)
    await claimer.close()


async def test_a_stale_epoch_stays_stale_after_a_broken_connection(
    database: Connection, taken: Claimed, wire: Proxy, recorder: Recorder
) -> None:
    await warm(recorder, database, taken.account_id)
    lose_answers(wire)
    asyncio.get_running_loop().call_later(0.3, wire.heal)

    stale = replace(taken, epoch=0)
    assert await recorder.submit(change(stale, Event.BUILD)) is None
