"""An engine that believes it is on mainnet, on a localnet that says so: from halted to the first swap and the caps."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from routing.cluster import GENESIS
from tests.engine import BASE_DIR, Engine
from tests.localnet.node import Localnet, running
from tests.waiting import until

ENDS_S = 90


@pytest.fixture(scope="module")
def node() -> Iterator[Localnet]:
    with running(slot_ms=100, hold="", genesis=GENESIS["mainnet"]) as made:
        yield made


@pytest.fixture(scope="module")
def engine(node: Localnet) -> Iterator[Engine]:
    live = {"EXECUTION_MODE": "mainnet", "MAINNET_I_UNDERSTAND": "true", "RPC_URLS": node.addresses["rpcUrl"]}
    with Engine(**live).running() as engine:
        yield engine


def manage(engine: Engine, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=BASE_DIR, env=engine.env, capture_output=True, text=True, check=False)


def test_from_halted_to_the_first_swap(engine: Engine, node: Localnet) -> None:
    with httpx.Client(base_url=engine.url, trust_env=False, timeout=30) as http:
        assert http.get("/api/wallets").status_code == 401, "nobody acts without a key over real money"
        http.headers["Authorization"] = f"Bearer {engine.credentials['staffApiKey']}"

        def order(amount: str) -> dict[str, Any]:
            body = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": amount}
            answer: dict[str, Any] = http.post("/api/orders/execute", json=body).json()
            return answer

        def code(answer: dict[str, Any]) -> str:
            return str(answer.get("error", {}).get("code"))

        def ends(placed: dict[str, Any]) -> dict[str, Any]:
            assert "orderId" in placed, placed
            path = f"/api/orders/{placed['orderId']}"
            until(lambda: http.get(path).json()["status"] in ("confirmed", "failed"), ENDS_S)
            found: dict[str, Any] = http.get(path).json()
            return found

        account = http.get("/api/account").json()["account"]
        made = manage(engine, "wallets", "create", account)
        assert made.returncode == 0, made.stderr
        until(lambda: http.get("/api/wallets").json()["wallets"], ENDS_S)
        address = http.get("/api/wallets").json()["wallets"][0]["address"]
        for token, amount in (("SOL", "1"), ("USDC", "1000")):
            node.control("give", owner=address, token=token, amount=amount)

        assert http.get("/api/risk").json()["tradingState"] == "HALTED"
        assert "MEND  caps" in manage(engine, "doctor").stdout
        until(lambda: code(order("10")) == "TRADING_HALTED", ENDS_S)
        assert http.post("/api/trading-state", json={"state": "ACTIVE"}).json()["error"]["code"] == "CAPS_NOT_SET"
        caps = {"maxNotionalPerOrder": "50", "maxDailySpend": "100"}
        assert http.put("/api/risk?account=*", json=caps).status_code == 200
        assert http.post("/api/trading-state", json={"state": "ACTIVE"}).status_code == 200
        assert "ok    caps" in manage(engine, "doctor").stdout

        assert code(order("50.01")) == "NOTIONAL_EXCEEDS_MAX_PER_ORDER"
        for _ in range(2):
            ended = ends(order("50"))
            assert (ended["status"], ended["mode"]) == ("confirmed", "mainnet"), ended
        until(lambda: code(order("1")) == "SPEND_BUDGET_EXCEEDED", ENDS_S)


def test_a_restart_does_not_halt_what_an_operator_has_let_go_on(engine: Engine) -> None:
    manage(engine, "prepare", "--no-wait")
    headers = {"Authorization": f"Bearer {engine.credentials['staffApiKey']}"}
    found = httpx.get(f"{engine.url}/api/risk", headers=headers, trust_env=False).json()
    assert found["tradingState"] == "ACTIVE"


def test_a_mode_of_another_cluster_does_not_start(node: Localnet) -> None:
    engine = Engine(EXECUTION_MODE="devnet", RPC_URLS=node.addresses["rpcUrl"])
    try:
        engine.start(wait=False)
        until(lambda: "another cluster" in engine.report(), ENDS_S)
        assert "ready " not in engine.said()
    finally:
        engine.stop()
        engine.remove()
