"""Venues that fail, services that are away: accepted orders come to their end all the same, once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance.client import Client
from tests.engine import Engine
from tests.freezing import frozen
from tests.waiting import Stalls

# The failures are the mock's; those of a real chain are in test_localnet.py and in tests/chaos.
FAST = {"MOCK_LATENCY": "0", "RETRY_BASE_MS": "20", "EXECUTION_MODE": "mock"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Fast, and its venues and chain fail three times in ten."""
    with Engine(**FAST, MOCK_FAILURE_RATE="0.3", MOCK_VALID_S="3").running() as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    async with Client(engine) as client:
        yield client


# A cancellation that was answered 503 may have been on its way to a Postgres that stood still.
FINAL = ("confirmed", "failed", "cancelled")


async def finished(client: Client, order_ids: list[str], *, within_s: float = 120) -> dict[str, dict[str, Any]]:
    """The orders, once each has come to its end."""
    wanted = set(order_ids)
    end = time.monotonic() + within_s
    while True:
        orders = await listed(client, wanted)
        done = {order["orderId"]: order for order in orders if order["status"] in FINAL}
        if len(done) == len(wanted):
            return done
        assert time.monotonic() < end, f"{wanted - set(done)} never ended\n{client.engine.report('orders-1', 'dbsync')}"
        await asyncio.sleep(0.3)


async def listed(client: Client, wanted: set[str]) -> list[dict[str, Any]]:
    """Page by page, newest first, until all that are wanted are among them; as far as Postgres answers."""
    found: list[dict[str, Any]] = []
    path = "/api/orders?limit=200"
    while path:
        answer = await client.http.get(path)
        if answer.status_code != 200:
            assert answer.status_code == 503, answer.text
            break
        found += [order for order in answer.json()["orders"] if order["orderId"] in wanted]
        following = answer.json()["next"]
        path = f"/api/orders?limit=200&cursor={following}" if following and len(found) < len(wanted) else ""
    return found


async def test_500_orders_end_though_three_calls_in_ten_fail(client: Client) -> None:
    batches = await asyncio.gather(*(client.place_many(100) for _ in range(5)))
    order_ids = [order_id for batch in batches for order_id in batch]
    assert len(set(order_ids)) == 500

    orders = await finished(client, order_ids)

    statuses = Counter(order["status"] for order in orders.values())
    assert statuses["confirmed"] > 300 and statuses["failed"] > 0
    chain = await client.chain()
    assert (chain["ordersLandedTwice"], chain["landed"]) == (0, statuses["confirmed"])
    letters: list[Any] = []
    path = "/api/dead-letters?limit=200"
    while path:
        page = await client.get(path, staff=True)
        letters += page["deadLetters"]
        path = page["next"] and f"/api/dead-letters?limit=200&cursor={page['next']}"
    failed = {order_id for order_id, order in orders.items() if order["status"] == "failed"}
    assert {letter["orderId"] for letter in letters} == failed
    assert all(1 <= len(letter["history"]) <= 3 and letter["reason"] for letter in letters)
    tried = Counter(order["attempts"] for order in orders.values())
    assert set(tried) <= {1, 2, 3} and tried[2] > 0
    for order_id in list(failed)[:5]:
        events = (await client.get(f"/api/orders/{order_id}/events"))["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["data"]["error"]["code"] == orders[order_id]["failure"]["code"]


async def test_a_failed_order_is_sent_round_again(client: Client) -> None:
    [letter, *_] = (await client.get("/api/dead-letters", staff=True))["deadLetters"]
    path = f"/api/dead-letters/{letter['id']}/requeue"
    refused = await client.http.post(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")

    answer = await client.http.post(path, headers=client.staff)
    assert answer.status_code == 200 and answer.json()["attempts"] in (0, 1)
    [order] = (await finished(client, [letter["orderId"]])).values()

    assert order["seq"] > letter["history"][-1]["attempt"]
    resolved = (await client.get("/api/dead-letters?resolved=true", staff=True))["deadLetters"]
    key = client.engine.credentials["staffApiKey"]
    assert [(one["id"], one["resolvedBy"]) for one in resolved] == [(letter["id"], f"key {key[:10]}")]
    events = (await client.get(f"/api/orders/{letter['orderId']}/events"))["events"]
    assert [event["seq"] for event in events] == list(range(1, order["seq"] + 1))
    assert any("requeued" in event["data"] for event in events)
    if order["status"] == "confirmed":
        again = await client.http.post(path, headers=client.staff)
        assert (again.status_code, again.json()["status"]) == (200, "confirmed"), "the letter has acted once"
        assert again.headers["idempotency-replayed"] == "true"
    missing = await client.http.post("/api/dead-letters/999999999/requeue", headers=client.staff)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (await client.chain())["ordersLandedTwice"] == 0


async def unavailable(client: Client) -> float:
    """Posts until the answer is 503; how long that one took, in seconds, beyond what this machine took for itself."""
    async with asyncio.timeout(60), Stalls() as stalls:
        while True:
            started = time.monotonic() - stalls.seconds
            answer = await client.execute()
            if answer.status_code == 503:
                break
            assert answer.status_code == 200, answer.text
    assert answer.json()["error"]["code"] == "UNAVAILABLE" and answer.json()["error"]["retryable"]
    assert int(answer.headers["retry-after"]) >= 1 and answer.headers["x-request-id"]
    return time.monotonic() - stalls.seconds - started


async def accepted_again(client: Client) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (answer := await client.execute()).status_code != 200:
            await asyncio.sleep(0.1)
    return dict(answer.json())


async def test_while_postgres_is_frozen_the_answer_is_503_within_two_seconds(client: Client, engine: Engine) -> None:
    before = await client.place()
    with frozen(psutil.Process(engine.pid("postgres"))):
        seconds = await unavailable(client)
        more = await asyncio.gather(*(unavailable(client) for _ in range(20)))
        path = f"/api/orders/{before['orderId']}"
        others = await asyncio.gather(
            *(client.http.request(method, each) for method in ("GET", "DELETE") for each in [path] * 6),
            client.http.get("/api/orders"),
            client.http.get("/readyz"),
        )
        alive = await client.http.get("/healthz")

    assert seconds < 3 and max(more) < 5, "two seconds, and what a busy machine adds"
    assert {answer.status_code for answer in others} == {503} and alive.status_code == 200
    after = await accepted_again(client)
    await finished(client, [before["orderId"], after["orderId"]])
    assert (await client.chain())["ordersLandedTwice"] == 0


async def test_after_postgres_was_killed_orders_go_on(client: Client, engine: Engine) -> None:
    orders = [(await client.place())["orderId"] for _ in range(20)]
    old = engine.kill("postgres")
    answers: list[httpx.Response] = await asyncio.gather(*(client.execute() for _ in range(10)))
    engine.wait_restarted("postgres", old)
    later = await accepted_again(client)

    assert {answer.status_code for answer in answers} <= {200, 503}
    taken = [answer.json()["orderId"] for answer in answers if answer.status_code == 200]
    await finished(client, [*orders, *taken, later["orderId"]])
    assert (await client.chain())["ordersLandedTwice"] == 0


async def test_while_redis_is_away_orders_are_accepted_and_executed_after(client: Client, engine: Engine) -> None:
    with frozen(psutil.Process(engine.pid("redis"))):
        started = time.monotonic()
        orders = [(await client.place())["orderId"] for _ in range(30)]
        seconds = time.monotonic() - started
        status = (await client.get("/readyz"))["status"]
        watching = [asyncio.create_task(client.watch(order_id)) for order_id in orders[:5]]
        await asyncio.sleep(1)

    assert seconds < 30 and status == "degraded"
    ended = await finished(client, orders)
    async with asyncio.timeout(30):
        for watched in await asyncio.gather(*watching):
            order = ended[watched.snapshot["orderId"]]
            assert [seq for seq, _ in watched.stages] == list(range(1, order["seq"] + 1))
            assert watched.code == 1000


async def test_after_redis_was_killed_orders_go_on(client: Client, engine: Engine) -> None:
    old = engine.kill("redis")
    orders = [(await client.place())["orderId"] for _ in range(20)]
    engine.wait_restarted("redis", old)

    await finished(client, orders)
    assert (await client.chain())["ordersLandedTwice"] == 0
