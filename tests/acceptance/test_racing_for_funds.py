"""Orders of two workers race for the money of one wallet: as many trade as it can pay, the others are told at once."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from tests.engine import BASE_DIR, Engine

ORDERS, PAID = 200, 10
LIMIT_S = 120


def test_no_more_is_sold_than_there_is(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(EXECUTION_MODE="localnet", WORKERS_ORDERS="2")
    command = [sys.executable, "manage.py", "wallets", "create", "demo", "--name", "race"]
    made = subprocess.run(command, cwd=BASE_DIR, env=engine.env, capture_output=True, text=True, check=True)
    wallet = made.stdout.split("\t")[0]
    key = engine.credentials["apiKey"]
    with httpx.Client(base_url=engine.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        for token, amount in (("SOL", "5"), ("USDC", str(PAID))):
            client.post(f"/api/wallets/{wallet}/airdrop", json={"token": token, "amount": amount}).raise_for_status()
        until(lambda: balance(client, wallet, "USDC") == str(PAID), "the money is there")
        order = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "1", "slippageBps": 5000, "wallet": wallet}
        results = [
            result
            for _ in range(ORDERS // 100)
            for result in client.post("/api/orders/batch", json={"orders": [order] * 100}).json()["results"]
        ]
        until(lambda: not at_work(client), "all orders end")
        found = [client.get(f"/api/orders/{result['orderId']}").json() for result in results]
        ended = Counter((order["status"], (order["failure"] or {}).get("code")) for order in found)
        assert ended == {("confirmed", None): PAID, ("failed", "INSUFFICIENT_FUNDS"): ORDERS - PAID}
        until(lambda: balance(client, wallet, "USDC") == "0", "everything is sold")


def until(true: Callable[[], Any], what: str) -> None:
    ends = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.2)


def at_work(client: httpx.Client) -> list[Any]:
    statuses = ("pending", "routing", "building", "submitted")
    return [
        each for status in statuses for each in client.get("/api/orders", params={"status": status}).json()["orders"]
    ]


def balance(client: httpx.Client, wallet: str, token: str) -> str:
    for each in client.get("/api/wallets").json()["wallets"]:
        if str(each["id"]) == wallet:
            return next((held["amount"] for held in each["balances"] if held["token"] == token), "0")
    return "0"
