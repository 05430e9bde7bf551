"""What only a real chain has: signed transactions that anybody can read back, pools that move, nodes that lie or die."""

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair
from solders.signature import Signature

from localnet.formats import FORMATS
from localnet.genesis import TOKENS
from orders.codes import FAILURES
from tests.acceptance.client import Client
from tests.bookkeeping import of_wallets
from tests.engine import BASE_DIR, Engine
from tests.onchain import SOL, OnChain, balances, discrepancies
from tests.waiting import until

ENDS_S = 120
PAIRS = [("USDC", "SOL"), ("SOL", "USDC")]
FINAL = ("confirmed", "failed", "cancelled", "expired")
BID = 5_000
"""Micro-lamports a compute unit: what others pay wanders. Up to a thousand are drawn on top."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    bids = {"FEE_STRATEGY": "fixed", "FEE_PRICE": str(BID)}
    with Engine(EXECUTION_MODE="localnet", LOCALNET_SLOT_MS="100", RETRY_BASE_MS="50", **bids).running() as engine:
        yield engine


@pytest.fixture(scope="module")
def chain(engine: Engine) -> Iterator[OnChain]:
    with contextlib.closing(OnChain(engine.localnet["rpcUrl"])) as chain:
        yield chain


@pytest.fixture(scope="module", autouse=True)
def before(engine: Engine, chain: OnChain) -> dict[str, Counter[str]]:
    """What each wallet has before the first order."""
    return balances(chain, engine.services["databaseUrl"])


def rows(engine: Engine) -> list[dict[str, Any]]:
    with psycopg.connect(engine.services["databaseUrl"], row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM orders_order").fetchall()


async def ends(client: Client, order_id: str) -> dict[str, Any]:
    async with asyncio.timeout(ENDS_S):
        while (order := await client.get(f"/api/orders/{order_id}"))["status"] not in FINAL:
            await asyncio.sleep(0.1)
    return dict(order)


async def post(client: Client, path: str, **body: Any) -> Any:
    answer = await client.http.post(path, json=body, headers=client.staff)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_market_order_is_a_transaction_that_anybody_can_read(client: Client, engine: Engine) -> None:
    """Read with solana-py: our memo, the venue's program, our wallet's signature, and balances that changed by the fill."""
    order = await ends(client, (await client.place(tokenIn="USDC", tokenOut="SOL", amount="150"))["orderId"])
    assert order["status"] == "confirmed" and order["mode"] == "localnet", order
    async with AsyncClient(engine.localnet["rpcUrl"]) as node:
        found = (
            await node.get_transaction(Signature.from_string(order["txHash"]), max_supported_transaction_version=0)
        ).value
    assert found is not None and found.slot == order["slot"]
    read: Any = found.transaction
    meta, message = read.meta, read.transaction.message
    assert meta is not None and meta.err is None and str(message.account_keys[0]) == order["wallet"]
    invoked = [line for line in meta.log_messages or () if f"Program {FORMATS[order['venue']].program} invoke" in line]
    assert len(invoked) == 1, "the pool's program, itself or called by Jupiter's"
    memo = f"{order['orderId']}/{order['attempts']}"
    assert any(memo in line for line in meta.log_messages or ()), "the memo program logs the memo"
    change = {}
    for sign, held in ((-1, meta.pre_token_balances), (1, meta.post_token_balances)):
        for each in held or ():
            if str(each.owner) == order["wallet"]:
                key = str(each.mint)
                change[key] = change.get(key, 0) + sign * int(each.ui_token_amount.amount)
    assert change[str(TOKENS["USDC"].mint)] == -150 * 10**6
    assert change[str(TOKENS["SOL"].mint)] == Decimal(order["amountOut"]).scaleb(9)


async def test_a_limit_fires_when_the_pool_has_moved(client: Client) -> None:
    await post(client, "/api/mock/market", pair="SOL-USDC", price="100", hold=True)
    placed = await client.place(type="limit", limitPrice="105", amount="1")
    await asyncio.sleep(1)
    assert (await client.get(f"/api/orders/{placed['orderId']}"))["status"] == "pending"
    await post(client, "/api/mock/market", pair="SOL-USDC", price="107", hold=True)
    order = await ends(client, placed["orderId"])
    assert order["status"] == "confirmed" and float(order["executedPrice"]) >= 105, order
    await post(client, "/api/mock/market", pair="SOL-USDC", price="100", hold=True)


@pytest.mark.parametrize(
    ("kind", "gates", "ended"),
    [
        ("good", None, "confirmed"),
        ("good", {"minPoolSize": "90000", "maxTopHoldersBps": 1000, "minLpBurntBps": 9000}, "confirmed"),
        ("late", None, "confirmed"),
        ("freezable", None, "GATE_FAILED"),
        ("freezable", {"freezeAuthority": False}, "confirmed"),
        ("unsellable", None, "GATE_FAILED"),
        ("hoarded", {"maxTopHoldersBps": 1000}, "GATE_FAILED"),
        ("unheard-of", {"timeout": "PT1S"}, "GATE_TIMEOUT"),
        ("good", {"minPoolAge": "PT1H", "timeout": "PT1S"}, "GATE_TIMEOUT"),
    ],
)
async def test_a_sniper_looks_at_a_token_before_it_buys(
    client: Client, engine: Engine, kind: str, gates: dict[str, Any] | None, ended: str
) -> None:
    control, mint = engine.localnet["controlUrl"], str(Keypair().pubkey())

    async def ask(name: str, **body: Any) -> None:
        answer = await client.http.post(f"{control}/{name}", json=body)
        assert answer.status_code == 200, answer.text

    await ask("token", mint=mint, symbol=f"GATE{kind}", decimals=6, kind=kind)
    asked = {"tokenIn": "USDC", "tokenOut": mint, "amount": "10", "type": "sniper", "slippageBps": 500}
    placed = await client.place(**asked, **({} if gates is None else {"gates": gates}))
    await ask("pool", venue="RAYDIUM", base=mint, quote="USDC", price="0.1", depth="100000", lpBurntPercent=95)
    order = await ends(client, placed["orderId"])
    if ended == "confirmed":
        assert order["status"] == "confirmed", order
        events = (await client.get(f"/api/orders/{placed['orderId']}/events"))["events"]
        [found] = [each["data"]["gates"] for each in events if each["status"] == "building"]
        named = {each["gate"] for each in found}
        assert named >= {"mint", "mintAuthority", "sellable"} and {each["verdict"] for each in found} == {"pass"}
        assert ("lpBurnt" in named) is bool(gates and "minLpBurntBps" in gates)
    else:
        found = (await client.get(f"/api/orders/{placed['orderId']}/events"))["events"][-1]["data"]["gates"]
        assert {each["verdict"] for each in found} >= {"fail" if ended == "GATE_FAILED" else "unknown"}, found
        assert (order["status"], order["failure"]["code"], order["txHash"]) == ("failed", ended, None), order


async def test_a_sniper_buys_in_a_pool_that_was_made_later(client: Client) -> None:
    placed = await client.place(tokenIn="USDC", tokenOut="NEW", amount="10", type="sniper", slippageBps=500)
    await asyncio.sleep(1)
    assert (await client.get(f"/api/orders/{placed['orderId']}"))["status"] == "pending"
    await post(client, "/api/localnet/pool", pair="NEW-USDC", venue="raydium", price="0.1")
    order = await ends(client, placed["orderId"])
    assert order["status"] == "confirmed" and 95 < float(order["amountOut"]) < 100, order


BUY = {"kind": "bracket", "tokenIn": "USDC", "tokenOut": "SOL", "slippageBps": 500}


async def plan_ends(client: Client, plan_id: str) -> dict[str, Any]:
    async with asyncio.timeout(ENDS_S):
        while (plan := await client.get(f"/api/plans/{plan_id}"))["finishedAt"] is None:
            await asyncio.sleep(0.1)
    return dict(plan)


@pytest.mark.parametrize("size", [{"amount": "200"}, {"amountOut": "2"}, {"amount": {"percent": 3}}])
async def test_a_bracket_is_real_transactions_to_the_last_base_unit(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]], size: dict[str, Any]
) -> None:
    """Entry, a take-profit of a half, then the stop of what is left: three transactions, and exactly what was bought is sold."""
    await post(client, "/api/mock/market", pair="SOL-USDC", price="100", hold=True)
    exits = [
        {"kind": "takeProfit", "atBps": 800, "portionBps": 5000, "slippageBps": 500},
        {"kind": "stopLoss", "atBps": 1500, "slippageBps": 500},
    ]
    made = await client.http.post("/api/plans", json=BUY | size | {"exits": exits})
    assert made.status_code == 200, made.text
    plan_id = made.json()["planId"]

    async def exit_is(leg: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(ENDS_S):
            while not any(
                each["leg"] == leg and holds(each) for each in (await client.get(f"/api/plans/{plan_id}"))["legs"]
            ):
                await asyncio.sleep(0.1)

    await exit_is("stop", lambda leg: leg["resting"])
    await post(client, "/api/mock/market", pair="SOL-USDC", price="112", hold=True)
    await exit_is("tp1", lambda leg: leg["status"] == "confirmed")
    await post(client, "/api/mock/market", pair="SOL-USDC", price="80", hold=True)
    plan = await plan_ends(client, plan_id)
    await post(client, "/api/mock/market", pair="SOL-USDC", price="100", hold=True)

    assert plan["status"] == "completed", plan
    entry, *sales = [
        await client.get(f"/api/orders/{leg['orderId']}") for leg in plan["legs"] if leg["status"] == "confirmed"
    ]
    assert [order["leg"] for order in (entry, *sales)] == ["entry", "tp1", "stop"], plan
    assert sum(Decimal(order["amountIn"]) for order in sales) == Decimal(entry["amountOut"])
    assert Decimal(plan["progress"]["cost"]) == pytest.approx(Decimal(entry["amountIn"]) / Decimal(entry["amountOut"]))
    assert plan["progress"]["remaining"] == "0"
    by_signature = {
        each.signature: each.order_id for wallet in before for each in chain.landed(wallet) if each.err is None
    }
    assert [by_signature[order["txHash"]] for order in (entry, *sales)] == [
        order["orderId"] for order in (entry, *sales)
    ]
    assert list(discrepancies(chain, rows(engine), before)) == []


async def test_exact_outputs_are_received_to_the_last_base_unit(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]]
) -> None:
    """Twenty side by side, both ways, and one that the wallet cannot pay: the chain says what each got and sold."""
    await post(client, "/api/mock/market", pair="SOL-USDC", price="100", hold=True)
    wanted = {("USDC", "SOL"): "0.123456789", ("SOL", "USDC"): "12.345678"}
    asked = [
        client.place(tokenIn=a, tokenOut=b, amount=None, amountOut=wanted[a, b], slippageBps=500) for a, b in PAIRS * 10
    ]
    placed = [each["orderId"] for each in await asyncio.gather(*asked)]
    orders = [await ends(client, order_id) for order_id in placed]
    assert {order["status"] for order in orders} == {"confirmed"}, orders
    for order in orders:
        assert order["amountOut"] == order["exactOut"] == wanted[order["tokenIn"], order["tokenOut"]]
        events = (await client.get(f"/api/orders/{order['orderId']}/events"))["events"]
        most = [Decimal(event["data"]["maxIn"]) for event in events if event["status"] == "submitted"]
        assert Decimal(order["amountIn"]) <= most[-1]
    [wallet] = (await client.get("/api/wallets"))["wallets"]
    has = {each["token"]: Decimal(each["amount"]) for each in wallet["balances"]}
    beyond = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": None, "amountOut": f"{has['USDC'] / 99:.3f}"}
    dear = await ends(client, (await client.place(**beyond))["orderId"])
    assert dear["failure"] and dear["failure"]["code"] == "INSUFFICIENT_FUNDS", dear
    assert list(discrepancies(chain, rows(engine), before)) == []


async def settled(client: Client, ids: list[str]) -> set[str]:
    """What became of the orders, when all are final: their statuses, and why those failed that did."""
    orders = [await ends(client, order_id) for order_id in ids]
    return {f"{order['status']} {order['failure'] or ''}".strip() for order in orders}


async def test_nodes_that_fail_cost_no_order_and_double_none(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]]
) -> None:
    for node, fault in ((1, "drop"), (2, "delay"), (1, "land_then_timeout"), (2, "refuse"), (1, "lag"), (2, "lag")):
        await post(client, "/api/localnet/fault", fault=fault, count=10, node=node)
    await post(client, "/api/localnet/fault", fault="null_history", count=10)
    orders = [client.place(tokenIn=a, tokenOut=b, amount="1", slippageBps=500) for a, b in PAIRS * 10]
    ids = [each["orderId"] for each in await asyncio.gather(*orders)]
    assert await settled(client, ids) == {"confirmed"}
    assert list(discrepancies(chain, rows(engine), before)) == []


async def test_a_transaction_that_expired_is_followed_by_one_that_bids_more_and_says_so(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]]
) -> None:
    """Every sending is dropped until the first transaction can never land; what was signed then lands alone."""
    await post(client, "/api/localnet/fault", fault="drop", count=100_000)
    try:
        order_id = (await client.place(tokenIn="USDC", tokenOut="SOL", amount="3", slippageBps=500))["orderId"]
        await submitted(client, order_id, 1)
        answer = await client.http.post(f"{engine.localnet['controlUrl']}/tick", json={"blocks": 200})
        assert answer.status_code == 200, answer.text
        (first, second) = await submitted(client, order_id, 2)
    finally:
        await post(client, "/api/localnet/fault", fault="drop", count=0)
    order = await ends(client, order_id)
    assert (order["status"], order["attempts"]) == ("confirmed", 2), order
    events = (await client.get(f"/api/orders/{order_id}/events"))["events"]
    (retried,) = [each["data"] for each in events if each["status"] == "pending" and each["seq"] > 1]
    assert retried["error"]["code"] == "TRANSACTION_EXPIRED"
    assert first["signature"] != second["signature"] == order["txHash"]
    assert BID <= first["bid"]["price"] < BID + 1_000 and 2 * BID <= second["bid"]["price"] < 2 * BID + 1_000
    assert second["bid"]["lamports"] > first["bid"]["lamports"]
    assert "after" not in first["bid"]["reason"] and second["bid"]["reason"].endswith("times 2 after 1 expired")
    async with AsyncClient(engine.localnet["rpcUrl"]) as node:
        asked = [Signature.from_string(each["signature"]) for each in (first, second)]
        found = (await node.get_signature_statuses(asked, search_transaction_history=True)).value
    assert found[0] is None and found[1] is not None and found[1].err is None
    assert list(discrepancies(chain, rows(engine), before)) == []


async def submitted(client: Client, order_id: str, count: int) -> list[dict[str, Any]]:
    """The data of its so many transactions."""
    async with asyncio.timeout(ENDS_S):
        while True:
            events = (await client.get(f"/api/orders/{order_id}/events"))["events"]
            found = [each["data"] for each in events if each["status"] == "submitted"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


async def test_a_chain_that_is_killed_forgets_nothing(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]]
) -> None:
    ids = [(await client.place(slippageBps=500))["orderId"] for _ in range(10)]
    await asyncio.sleep(0.3)
    engine.wait_restarted("localnet", engine.kill("localnet", signal.SIGKILL))
    ended = await settled(client, ids)
    # Three attempts may pass before a busy machine has it running again.
    assert all(each == "confirmed" or "VENUE_UNAVAILABLE" in each for each in ended), ended
    until(chain.answers, ENDS_S)
    ids = [(await client.place(slippageBps=500))["orderId"] for _ in range(3)]
    assert await settled(client, ids) == {"confirmed"}
    assert list(discrepancies(chain, rows(engine), before)) == []


async def test_positions_are_what_the_wallet_has_gained(
    client: Client, engine: Engine, chain: OnChain, before: dict[str, Counter[str]]
) -> None:
    """After all of the above, to the last base unit: what the books say, and the fees of what was reverted."""
    expected = of_wallets(chain, (await client.get("/api/positions"))["positions"])
    for wallet in before:
        for each in chain.landed(wallet):
            if each.err is not None:
                expected[SOL] -= chain.transaction(each.signature)["meta"]["fee"]
    gained: Counter[str] = Counter()
    for wallet, has in balances(chain, engine.services["databaseUrl"]).items():
        gained.update(has)
        gained.subtract(before[wallet])
    assert expected and {mint: n for mint, n in gained.items() if n} == {mint: n for mint, n in expected.items() if n}


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
async def test_the_guide_does_what_it_says(client: Client, engine: Engine) -> None:
    """Its commands and its Python, as they stand in docs/solana.md."""
    await post(client, "/api/mock/market", pair="NEW-USDC", listed=True)
    await post(client, "/api/mock/market", pair="NEW-USDC", listed=False)
    listed = True
    async with asyncio.timeout(ENDS_S):
        while listed:
            pairs = {pair["pair"]: pair for pair in (await client.get("/api/pairs"))["pairs"]}
            listed = pairs["NEW-USDC"]["listed"]
    text = (BASE_DIR / "docs" / "solana.md").read_text()
    for written, here in (
        ("http://127.0.0.1:8000", engine.url),
        ("http://127.0.0.1:8899", engine.localnet["rpcUrl"]),
        (".data/", f"{engine.data_dir}/"),
    ):
        text = text.replace(written, here)
    scripts = ["set -eu\n" + block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(scripts) == 2 and len(programs) == 1
    commands = [["sh", "-c", scripts[0]], [sys.executable, "-c", programs[0]], ["sh", "-c", scripts[1]]]
    said = []
    for command in commands:
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=BASE_DIR, capture_output=True, text=True, timeout=ENDS_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert '"status":"confirmed"' in said[0] and '"mode":"localnet"' in said[0]
    assert "Memo" in said[1] and "lamports" in said[1]
    assert '"pool":' in said[2] or '"swaps":' in said[2]


def test_every_code_of_the_guide_is_one_of_the_catalogue() -> None:
    table = (BASE_DIR / "docs" / "solana.md").read_text().partition("## When an order fails")[2]
    named = {code for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)}
    assert len(named) > 12 and named <= FAILURES.keys()
