"""Two nodes and the vendors' servers take one request a second: orders trade, limits fire, and what is slow is said."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.engine import BASE_DIR, Engine
from tests.localnet.node import Localnet, running

ENDS_S = 120
FINAL = ("confirmed", "failed", "cancelled", "expired")


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(slot_ms=200, hold="", nodes="2") as made:
        yield made


@pytest.fixture(scope="module")
def engine(node: Localnet) -> Iterator[Engine]:
    """Everything over HTTP; Jupiter is a third venue."""
    environment = {
        "EXECUTION_MODE": "localnet",
        "RPC_URLS": ",".join(node.addresses["rpcUrls"]),
        "VENUE_RAYDIUM": "http",
        "VENUE_METEORA": "http",
        "VENUE_JUPITER": "http",
        "RAYDIUM_REQUESTS_PER_S": "1",
        "JUPITER_REQUESTS_PER_S": "1",
        "QUOTE_MAX_AGE_MS": "2500",
    }
    with Engine(**environment).running() as engine:
        node.control("limit", apis=1, nodes=1)
        yield engine


async def ends(client: Client, order_id: str) -> dict[str, Any]:
    async with asyncio.timeout(ENDS_S):
        while (order := await client.get(f"/api/orders/{order_id}"))["status"] not in FINAL:
            await asyncio.sleep(0.2)
    return dict(order)


def pools(node: Localnet, price: str) -> None:
    for venue in ("RAYDIUM", "METEORA"):
        node.control("pool", venue=venue, base="SOL", quote="USDC", price=price, depth="20000000")


async def test_market_orders_confirm(client: Client, node: Localnet) -> None:
    pools(node, "100")
    placed = [await client.place(tokenIn=a, tokenOut=b, amount="1", slippageBps=500) for a, b in (("SOL", "USDC"),) * 2]
    orders = [await ends(client, each["orderId"]) for each in placed]
    assert {order["status"] for order in orders} == {"confirmed"}, orders


async def test_a_limit_fires_from_the_batched_prices_and_what_is_slow_is_said(client: Client, node: Localnet) -> None:
    pools(node, "100")
    placed = await client.place(type="limit", limitPrice="105", amount="1", slippageBps=500)
    slow = set()
    async with asyncio.timeout(ENDS_S):
        while not slow:
            said = await client.get("/api/quotes/SOL-USDC")
            slow = {(each["venue"], each["code"]) for each in said.get("slow") or ()}
            await asyncio.sleep(0.2)
    assert {code for _, code in slow} == {"VENUE_RATE_LIMITED"}, slow
    assert (await client.get(f"/api/orders/{placed['orderId']}"))["status"] == "pending"
    pools(node, "110")
    order = await ends(client, placed["orderId"])
    assert order["status"] == "confirmed" and float(order["executedPrice"]) >= 105, order


async def test_jupiter_is_traded_alone_where_nothing_else_is_permitted(
    client: Client, engine: Engine, node: Localnet
) -> None:
    """A market order, a limit, and an exact output, which Jupiter does not sell."""
    node.control("limit", apis=0, nodes=0)
    pools(node, "100")
    await asyncio.to_thread(manage, engine, "venues", "permit", "SOL-USDC", "JUPITER")
    try:
        async with asyncio.timeout(ENDS_S):
            while not (await permitted(client)).get("SOL-USDC"):
                await asyncio.sleep(0.1)
        sold = await ends(client, (await client.place(amount="1", slippageBps=500))["orderId"])
        assert (sold["status"], sold["venue"]) == ("confirmed", "JUPITER"), sold
        exact = await client.place(amount=None, amountOut="10", slippageBps=500)
        refused = await ends(client, exact["orderId"])
        assert refused["failure"]["code"] == "EXACT_OUT_UNSUPPORTED" and refused["txHash"] is None, refused
        placed = await client.place(type="limit", limitPrice="105", amount="1", slippageBps=500)
        pools(node, "110")
        order = await ends(client, placed["orderId"])
        assert (order["status"], order["venue"]) == ("confirmed", "JUPITER"), order
        assert float(order["executedPrice"]) >= 105
    finally:
        await asyncio.to_thread(manage, engine, "venues", "forbid", "SOL-USDC", "JUPITER")


async def permitted(client: Client) -> dict[str, Any]:
    return {each["pair"]: each["permits"] for each in (await client.get("/api/pairs"))["pairs"]}


def manage(engine: Engine, *words: str) -> None:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=BASE_DIR, env=engine.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
