"""The kill switch on a running engine under load, with resting orders and a schedule; a budget that orders race for."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.acceptance.client import Client
from tests.engine import BASE_DIR, MOCK_ONLY, Engine

pytestmark = MOCK_ONLY
BUY = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "1"}
SUBMITTED = "SELECT count(*), max(created_at) FROM orders_transaction"
OPEN = "SELECT count(*) FROM orders_order WHERE status = ANY('{routing,building,submitted}')"
LIMIT_S = 60


async def rows(client: Client, statement: str) -> Any:
    url = client.engine.services["databaseUrl"]

    def ask() -> Any:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchone()

    return await asyncio.to_thread(ask)


async def until(true: Any, what: str) -> None:
    ends = time.monotonic() + LIMIT_S
    while not await true():
        assert time.monotonic() < ends, what
        await asyncio.sleep(0.1)


async def switch(client: Client, state: str) -> datetime:
    answer = await client.http.post("/api/trading-state", json={"state": state}, headers=client.staff)
    assert answer.status_code == 200, answer.text
    return datetime.fromisoformat(answer.json()["at"])


async def batch(client: Client, count: int = 50, **fields: Any) -> list[dict[str, Any]]:
    answer = await client.http.post("/api/orders/batch", json={"orders": [{**BUY, **fields}] * count})
    return list(answer.json()["results"])


@pytest.fixture
async def client(engine: Engine) -> Any:
    async with Client(engine) as client:
        yield client
        await switch(client, "ACTIVE")
        await client.http.put("/api/risk?account=demo", json={}, headers=client.staff)


async def test_halted_stops_everything_that_is_not_submitted(client: Client) -> None:
    plan = {"kind": "schedule", **BUY, "amount": "100", "slices": 100, "every": "PT1S"}
    made = await client.http.post("/api/plans", json=plan)
    assert made.status_code == 200, made.text
    # Limits that fire by themselves: the price is above them.
    resting = await batch(client, 20, type="limit", limitPrice="0.0001", allowFarPrice=True)
    results: list[dict[str, Any]] = []
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            results.extend(await batch(client))

    loads = [asyncio.create_task(load()) for _ in range(2)]
    await until(lambda: busy(client), "transactions under way")
    halted = await switch(client, "HALTED")
    await asyncio.sleep(1)
    before, last = await rows(client, SUBMITTED)
    await until(lambda: ended(client), "what was submitted ends")
    await asyncio.sleep(2)
    stop.set()
    await asyncio.gather(*loads)

    after, last = await rows(client, SUBMITTED)
    late_s = (last - halted).total_seconds()
    print(f"\nthe last transaction was written {1000 * late_s:.0f} ms after the switch was answered; {after} in all")
    assert late_s < 1 and after == before
    codes = Counter(result["error"]["code"] for result in results if "error" in result)
    assert set(codes) <= {"TRADING_HALTED", "UNAVAILABLE"} and codes["TRADING_HALTED"], codes
    statuses = [(await client.get(f"/api/orders/{each['orderId']}"))["status"] for each in resting]
    assert set(statuses) <= {"pending", "confirmed"}, "what waits for its trigger goes on waiting"

    await switch(client, "ACTIVE")
    await until(lambda: more(client, after), "trading goes on")
    await client.http.delete(f"/api/plans/{made.json()['planId']}")


async def busy(client: Client) -> bool:
    return bool((await rows(client, SUBMITTED))[0] > 20)


async def ended(client: Client) -> bool:
    return bool((await rows(client, OPEN))[0] == 0)


async def more(client: Client, than: int) -> bool:
    return bool((await rows(client, SUBMITTED))[0] > than)


async def test_a_budget_is_spent_to_the_last_order_and_no_further(client: Client) -> None:
    await until(lambda: ended(client), "an idle engine")
    answer = await client.http.put("/api/risk?account=demo", json={"maxDailySpend": "100"}, headers=client.staff)
    assert answer.status_code == 200, answer.text
    results = [each for found in await asyncio.gather(*(batch(client) for _ in range(10))) for each in found]
    ids = {each["orderId"] for each in results if "orderId" in each}
    refused = [each["error"]["code"] for each in results if "error" in each]
    assert set(refused) <= {"SPEND_BUDGET_EXCEEDED"}, Counter(refused)
    found: list[dict[str, Any]] = []

    async def all_ended() -> bool:
        found[:] = [await client.get(f"/api/orders/{each}") for each in ids]
        return all(order["status"] in ("confirmed", "failed") for order in found)

    await until(all_ended, "the end of all orders")
    ends = Counter((order["status"], (order["failure"] or {}).get("code")) for order in found)
    assert ends.pop(("confirmed", None)) == 100
    assert set(ends) <= {("failed", "SPEND_BUDGET_EXCEEDED")} and sum(ends.values()) == len(ids) - 100
    assert (await client.get("/api/risk"))["used"]["spentToday"] == "100"


async def test_a_loss_stops_buying_within_seconds(client: Client) -> None:
    async def traded(token_in: str, token_out: str, amount: str) -> dict[str, Any]:
        asked = {"tokenIn": token_in, "tokenOut": token_out, "amount": amount, "slippageBps": 5000}
        order = (await client.http.post("/api/orders/execute", json=asked)).json()["orderId"]
        found: dict[str, Any] = {}

        async def done() -> bool:
            found.update(await client.get(f"/api/orders/{order}"))
            return found["status"] in ("confirmed", "failed")

        await until(done, "the order's end")
        assert found["status"] == "confirmed", found
        return found

    async def market(price: str) -> None:
        body = {"pair": "JUP-USDC", "price": price, "hold": True}
        answer = await client.http.post("/api/mock/market", json=body, headers=client.staff)
        assert answer.status_code == 200, answer.text

    await market("1")
    bought = await traded("USDC", "JUP", "50")
    answer = await client.http.put("/api/risk?account=demo", json={"maxDailyLoss": "20"}, headers=client.staff)
    assert answer.status_code == 200, answer.text
    before = Decimal((await client.get("/api/risk"))["used"]["lostToday"])
    await market("0.5")
    await asyncio.sleep(1)  # Until no cached price is used that was seen before.
    await traded("JUP", "USDC", bought["amountOut"])

    async def stopped() -> bool:
        answer = await client.http.post("/api/orders/test", json=BUY)
        return bool(answer.json().get("error", {}).get("code") == "LOSS_BUDGET_EXCEEDED")

    began = time.monotonic()
    await until(stopped, "the loss is never noted")
    print(f"noted after {time.monotonic() - began:.1f} s")
    refused = (await client.http.post("/api/orders/execute", json=BUY)).json()["error"]
    lost = Decimal((await client.get("/api/account"))["used"]["lostToday"])
    assert refused["code"] == "LOSS_BUDGET_EXCEEDED" and refused["details"]["limit"] == ["20"]
    assert lost >= max(Decimal(20), before) and Decimal(refused["details"]["value"][0]) == lost


async def test_the_command_stops_and_starts_trading(client: Client) -> None:
    def risk(*arguments: str) -> str:
        command = [sys.executable, "manage.py", "risk", *arguments]
        done = subprocess.run(command, cwd=BASE_DIR, env=client.engine.env, capture_output=True, text=True, check=True)
        return done.stdout

    assert "everybody: HALTED" in await asyncio.to_thread(risk, "halt")
    assert (await client.execute()).json()["error"]["code"] == "TRADING_HALTED"
    assert "maxOpenOrders 7" in await asyncio.to_thread(risk, "limits", "maxOpenOrders=7", "--account", "demo")
    assert "demo: HALTED" in await asyncio.to_thread(risk, "--account", "demo")
    assert "everybody: ACTIVE" in await asyncio.to_thread(risk, "activate")
    assert (await client.execute()).status_code == 200
