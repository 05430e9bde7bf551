"""An engine on paper: orders of every type on live quotes, marked wherever they show, and a chain that hears of none."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from tests.acceptance.client import Client
from tests.engine import Engine

ENDS_S = 120
MODE = "paper-localnet"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(
        EXECUTION_MODE="localnet", PAPER="true", LOCALNET_SLOT_MS="100", RETRY_BASE_MS="50"
    ).running() as engine:
        yield engine


async def ends(client: Client, **order: Any) -> dict[str, Any]:
    """Places the order and waits for its end."""
    placed = await client.place(**order)
    return await end_of(client, placed["orderId"])


async def end_of(client: Client, order_id: str) -> dict[str, Any]:
    async with asyncio.timeout(ENDS_S):
        while True:
            order: dict[str, Any] = await client.get(f"/api/orders/{order_id}")
            if order["status"] in ("confirmed", "failed", "cancelled", "expired"):
                return order
            await asyncio.sleep(0.2)


async def wallet(client: Client) -> tuple[dict[str, Any], dict[str, Decimal]]:
    [found] = (await client.get("/api/wallets"))["wallets"]
    return found, {each["token"]: Decimal(each["amount"]) for each in found["balances"]}


async def control(engine: Engine, name: str, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{engine.localnet['controlUrl']}/{name}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_orders_end_on_paper_and_the_chain_hears_of_none(client: Client, engine: Engine) -> None:
    own, before = await wallet(client)
    order = await ends(client, tokenIn="USDC", tokenOut="SOL", amount="100")

    assert (order["status"], order["mode"]) == ("confirmed", MODE), order
    assert order["txHash"].startswith("paper-") and order["slot"] and order["wallet"] == own["address"]
    assert {fee["kind"] for fee in order["fees"]} >= {"venue", "network"}
    _, after = await wallet(client)
    paid = sum(Decimal(fee["amount"]) for fee in order["fees"] if fee["kind"] != "venue")
    assert after["USDC"] == before["USDC"] - 100
    assert after["SOL"] == before["SOL"] + Decimal(order["amountOut"]) - paid

    events = (await client.get(f"/api/orders/{order['orderId']}/events"))["events"]
    assert [each["status"] for each in events] == ["pending", "routing", "building", "submitted", "confirmed"]
    assert (await client.get("/api/fills"))["fills"][0]["mode"] == MODE
    body = {"jsonrpc": "2.0", "id": 1, "method": "getSignaturesForAddress", "params": [own["address"]]}
    async with httpx.AsyncClient() as http:
        assert (await http.post(engine.localnet["rpcUrl"], json=body)).json()["result"] == []
    assert not list((engine.data_dir / "wallets").glob("*")) and not list((engine.data_dir / "keys").glob("*"))


async def test_a_limit_fires_when_the_live_pool_has_moved(client: Client, engine: Engine) -> None:
    await control(engine, "market", base="SOL", quote="USDC", price="100", hold=True)
    placed = await client.place(tokenIn="SOL", tokenOut="USDC", amount="1", type="limit", limitPrice="105")
    await asyncio.sleep(1)
    assert (await client.get(f"/api/orders/{placed['orderId']}"))["status"] == "pending"
    await control(engine, "market", base="SOL", quote="USDC", price="107", hold=True)
    order = await end_of(client, placed["orderId"])
    assert order["status"] == "confirmed" and Decimal(order["executedPrice"]) >= 105, order


@pytest.mark.parametrize(("kind", "ended"), [("good", None), ("unsellable", "GATE_FAILED")])
async def test_a_sniper_is_held_to_its_gates(client: Client, engine: Engine, kind: str, ended: str | None) -> None:
    mint, rich = str(Keypair().pubkey()), str(Keypair().pubkey())
    await control(engine, "give", owner=rich, token="SOL", amount="1")
    await control(engine, "give", owner=rich, token="USDC", amount="1000")
    await control(engine, "token", mint=mint, symbol="PAPERED", decimals=6, kind=kind)
    placed = await client.place(tokenIn="USDC", tokenOut=mint, amount="10", type="sniper", slippageBps=500)
    await control(engine, "pool", venue="RAYDIUM", base=mint, quote="USDC", price="0.1", depth="100000")
    order = await end_of(client, placed["orderId"])
    assert (order["failure"] or {}).get("code") == ended, order
    assert order["status"] == ("confirmed" if ended is None else "failed")


async def test_what_the_wallet_has_not_is_not_spent(client: Client) -> None:
    own, before = await wallet(client)
    order = await ends(client, tokenIn="JUP", tokenOut="USDC", amount=str(before["JUP"] + 1))
    assert (order["status"], order["failure"]["code"]) == ("failed", "INSUFFICIENT_FUNDS"), order
    given = await client.http.post(f"/api/wallets/{own['id']}/airdrop", json={"token": "JUP", "amount": "2"})
    assert given.status_code == 200, given.text
    assert (await wallet(client))[1]["JUP"] == before["JUP"] + 2


async def test_the_page_says_so(client: Client, engine: Engine) -> None:
    page = (await client.http.get(engine.url + "/")).text
    assert f'data-mode="{MODE}"' in page and "simulated landings" in page and 'id="faucet"' in page
