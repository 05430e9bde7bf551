"""The same seeded orders on the same seeded localnet, by venues that are read directly, asked over HTTP, and both."""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.acceptance.client import Client
from tests.engine import Engine

WAYS = ("direct", "http", "both")
SEED = 23
ENDS_S = 60
PRICES = {"RAYDIUM": "98", "METEORA": "100"}
"""So far apart that no order of the test changes which venue is the better one for it."""
DEPTH = "20000000"
Fill = tuple[str, str, str]
"""(venue, amountIn, amountOut)."""


def asked(draw: random.Random) -> list[dict[str, Any]]:
    """Market orders of both directions, exact outputs where every way sells them, and a limit that waits for the pools."""
    orders: list[dict[str, Any]] = []
    for _ in range(4):
        sold = Decimal(draw.randrange(1, 5 * 10**9)).scaleb(-9)
        spent = Decimal(draw.randrange(1, 500 * 10**6)).scaleb(-6)
        wanted = Decimal(draw.randrange(1, 10**9)).scaleb(-9)
        orders.append({"tokenIn": "SOL", "tokenOut": "USDC", "amount": str(sold)})
        orders.append({"tokenIn": "USDC", "tokenOut": "SOL", "amount": str(spent)})
        # SOL is bought at Raydium here, whose server sells exact outputs, too.
        orders.append({"tokenIn": "USDC", "tokenOut": "SOL", "amount": None, "amountOut": str(wanted)})
    limit = {"type": "limit", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "limitPrice": "105"}
    return [*orders, limit]


class Trade:
    """An engine whose venues are reached in one of the ways."""

    def __init__(self, client: Client) -> None:
        self.client, self.addresses = client, client.engine.localnet

    async def control(self, name: str, **body: Any) -> Any:
        answer = await self.client.http.post(f"{self.addresses['controlUrl']}/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pools(self, times: str = "1") -> None:
        """Made anew, so that they hold the same everywhere to the base unit."""
        for venue, price in PRICES.items():
            price = str(Decimal(price) * Decimal(times))
            made = await self.control("pool", venue=venue, base="SOL", quote="USDC", price=price, depth=DEPTH)
            assert made["pool"]

    async def fill(self, order_id: str) -> Fill:
        async with asyncio.timeout(ENDS_S):
            while (order := await self.client.get(f"/api/orders/{order_id}"))["status"] not in ("confirmed", "failed"):
                await asyncio.sleep(0.05)
        assert order["status"] == "confirmed", order
        return order["venue"], order["amountIn"], order["amountOut"]

    async def fills(self, orders: list[dict[str, Any]]) -> list[Fill]:
        """One after the other: each finds the pools as the one before has left them."""
        await self.control("market", base="SOL", quote="USDC", hold=True)
        async with asyncio.timeout(ENDS_S):  # A swap that the market maker sent before is not to move the new pools.
            while (await self.control("state"))["queued"]:
                await asyncio.sleep(0.05)
        await self.pools()
        found = []
        for order in orders:
            placed = await self.client.place(**order, slippageBps=100)
            if order.get("type") == "limit":
                await asyncio.sleep(1)
                assert (await self.client.get(f"/api/orders/{placed['orderId']}"))["status"] == "pending"
                await self.pools("1.1")
            found.append(await self.fill(placed["orderId"]))
        return found


async def test_each_way_fills_the_same_orders_the_same_to_the_base_unit(
    start_engine: Callable[..., Engine],
) -> None:
    orders, found = asked(random.Random(SEED)), {}
    for way in WAYS:
        engine = start_engine(
            EXECUTION_MODE="localnet",
            LOCALNET_SLOT_MS="100",
            LOCALNET_SEED=str(SEED),
            VENUE_RAYDIUM=way,
            VENUE_METEORA=way,
        )
        async with Client(engine) as client:
            found[way] = await Trade(client).fills(orders)
        engine.stop()
    assert {venue for venue, _, _ in found["direct"]} == set(PRICES), "both venues have their share"
    assert found["direct"] == found["http"] == found["both"]
