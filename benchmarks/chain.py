"""Real transactions on a local Solana: orders over several wallets while nodes lose, delay, refuse and do not answer.

Everything is on this machine: the chain and its programs take their part of the processors. Afterwards Postgres is held
against the chain: no order landed twice, and each wallet has what its orders say, to the last base unit.
"""

import random
import subprocess
import sys
from collections import Counter

import httpx
from psycopg.rows import dict_row

from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure
from benchmarks.ledgerview import event_times
from localnet.genesis import TOKENS
from tests.engine import BASE_DIR
from tests.onchain import Witness

FAULTS = ("drop", "delay", "land_then_timeout", "refuse", "lag", "null_history")
FAULTY = 100
"""Orders to each fault of each kind."""
FUNDS = {"USDC": "1000000", "SOL": "10000"}
AMOUNTS = {("SOL", "USDC"): "0.1", ("USDC", "SOL"): "10"}
SLIPPAGE_BPS = 1_000
"""Ten thousand swaps move the pools; what is measured is not the market."""
LIMIT_S = 1_800
MAKE = """
import django, sys
django.setup()
from django.core.management import call_command
for n in range(int(sys.argv[1])):
    call_command("wallets", "create", "demo", "--name", f"bench-{n}")
"""


def run(quick: bool) -> list[Figure]:
    return measured(500, 5) if quick else measured(10_000, 20, at_least=300)


def measured(count: int, wallets: int, at_least: float | None = None) -> list[Figure]:
    with running(EXECUTION_MODE="localnet", RETRY_BASE_MS="100") as engine:
        addresses = funded(engine, wallets)
        witness = Witness.call(engine.engine.localnet["rpcUrl"], engine.engine.services["databaseUrl"])
        misbehave(engine, count // FAULTY)
        before = engine.cpu()
        place(engine, count, addresses)
        engine.until_finished(LIMIT_S)
        used = spent(before, engine.cpu())
        first, _, _ = event_times(engine, "routing")
        _, last, confirmed = event_times(engine, "confirmed")
        with engine.database.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute("SELECT * FROM orders_order").fetchall()
        wrong = witness.discrepancies(rows)
        witness.chain.close()
        failures = Counter(row["failure_code"] for row in rows if row["status"] != "confirmed")
    seconds = (last - first).total_seconds()
    ours = sum(each for name, each in used.items() if name != "localnet")
    print(f"  {confirmed} of {count} confirmed in {seconds:.1f} s; not confirmed: {dict(failures)}", flush=True)
    for each in wrong[:10]:
        print(f"    {each}", flush=True)
    what = f"localnet: {count:,} orders over {wallets} wallets, faults on"
    return [
        Figure("chain.rate", what, confirmed / seconds, "orders/s", at_least=at_least),
        Figure("chain.cpu", f"{what}: CPU an order, the chain's own apart", ours * 1000 / count, "ms", at_most=3),
        Figure("chain.cpu.chain", f"{what}: CPU an order of the chain itself", used["localnet"] * 1000 / count, "ms"),
        Figure("chain.confirmed", f"{what}: confirmed", 100 * confirmed / count, "%"),
        Figure(
            "chain.wrong", f"{what}: landed twice, or a wallet that is not what its orders say", len(wrong), at_most=0
        ),
    ]


def funded(engine: BenchEngine, wallets: int) -> list[str]:
    """New wallets of the account demo with money in them; their addresses."""
    command = [sys.executable, "-c", MAKE, str(wallets)]
    environment = {**engine.engine.env, "DJANGO_SETTINGS_MODULE": "orderengine.settings"}
    subprocess.run(command, cwd=BASE_DIR, env=environment, check=True, stdout=subprocess.DEVNULL)
    addresses = [
        row[0] for row in engine.rows("SELECT address FROM wallets_wallet WHERE name LIKE 'bench-%%' ORDER BY id")
    ]
    with httpx.Client(base_url=engine.engine.localnet["controlUrl"], timeout=30, trust_env=False) as client:
        for address in addresses:
            for symbol, amount in FUNDS.items():
                token = str(TOKENS[symbol].mint) if symbol != "SOL" else symbol
                body = {"owner": address, "token": token, "amount": amount}
                client.post("/give", json=body).raise_for_status()
    return addresses


def misbehave(engine: BenchEngine, count: int) -> None:
    with httpx.Client(base_url=engine.engine.localnet["controlUrl"], timeout=30, trust_env=False) as client:
        for name in FAULTS:
            client.post("/fault", json={"fault": name, "count": count}).raise_for_status()


def place(engine: BenchEngine, count: int, addresses: list[str]) -> None:
    """In batches of a hundred, both ways in turn, so that the pools stay where they are."""
    rng = random.Random(1)
    with httpx.Client(
        base_url=engine.engine.url, headers={"Authorization": f"Bearer {engine.key}"}, timeout=60
    ) as client:
        for start in range(0, count, 100):
            orders = []
            for n in range(start, min(start + 100, count)):
                (sold, bought), amount = rng.choice(list(AMOUNTS.items()))
                wallet = addresses[n % len(addresses)]
                order = {"tokenIn": sold, "tokenOut": bought, "amount": amount, "slippageBps": SLIPPAGE_BPS}
                orders.append({**order, "wallet": wallet})
            answer = client.post("/api/orders/batch", json={"orders": orders}).raise_for_status().json()
            refused = [result["error"] for result in answer["results"] if "error" in result]
            assert not refused, refused[:3]
