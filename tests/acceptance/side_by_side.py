"""`python -m tests.acceptance.side_by_side COMMIT`: order workers of two versions at one engine.

The engine is this version's; an order worker of the older commit joins it, with the packages of this one. Every order must
come to its end, none may land twice, and both workers must have had a share.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psycopg

from orderengine.host.launch import PARENT
from runtime.redis_url import for_kombu
from tests.acceptance.client import ORDER, Client
from tests.engine import BASE_DIR, Engine
from tests.waiting import until

ORDERS = 200
SHARES = """
SELECT e.name, o.status, count(*) FROM orders_order o LEFT JOIN orders_executor e ON e.id = o.executor GROUP BY 1, 2
"""


def unpacked(commit: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", commit], cwd=BASE_DIR, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def older(engine: Engine, folder: Path) -> "subprocess.Popen[bytes]":
    """Its order worker."""
    environment = engine.env | {
        "DATABASE_URL": engine.services["databaseUrl"],
        "REDIS_URL": engine.services["redisUrl"],
        # In Celery's own form of a Unix socket's address: earlier versions hand it on as it is.
        "CELERY_BROKER_URL": for_kombu(engine.services["redisUrl"]),
        "EMBEDDED": "1",
        "DJANGO_SETTINGS_MODULE": "orderengine.settings",
        PARENT: str(os.getpid()),
    }
    worker = ["worker", "-Q", "orders", "-P", "threads", "-c", "100", "-n", "older@%h", "--without-gossip"]
    with (folder / "older.log").open("wb") as log:
        # Until November 2026 it stood elsewhere.
        module = "orderengine.host.celery_cli" if (folder / "orderengine" / "host").exists() else "orderengine.celeryd"
        command = [sys.executable, "-m", module, *worker]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


async def orders(engine: Engine) -> None:
    async with Client(engine) as client:
        headers = {"X-Request-Id": "side-by-side"}
        for n in range(ORDERS // 10):
            batch = {"orders": [ORDER] * 10}
            answer = await client.http.post("/api/orders/batch", json=batch, headers=headers if n % 2 else None)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(0.1)


def run(commit: str, folder: Path) -> bool:
    unpacked(commit, folder)
    with Engine(EXECUTION_MODE="mock", MOCK_LATENCY="0.3", MOCK_FAILURE_RATE="0.1").running() as engine:
        child = older(engine, folder)
        try:
            with psycopg.connect(engine.services["databaseUrl"], autocommit=True) as database:

                def count(query: str) -> int:
                    row = database.execute(query).fetchone()  # type: ignore[call-overload]
                    return int(row[0]) if row else 0

                until(lambda: count("SELECT count(*) FROM orders_executor WHERE state = 'alive'") == 2, 120)
                began = time.monotonic()
                asyncio.run(orders(engine))
                until(lambda: count("SELECT count(*) FROM orders_order WHERE finished_at IS NULL") == 0, 120)
                seconds = time.monotonic() - began
                shares = [(str(name), str(status), int(many)) for name, status, many in database.execute(SHARES)]
            twice = asyncio.run(landed_twice(engine))
        finally:
            child.terminate()
            code = child.wait(30)
        said = (folder / "older.log").read_text() + engine.log("orders-1") + engine.log("dbsync")
    print(f"{ORDERS} orders in {seconds:.1f} s, {twice} landed twice; the older worker ended with {code}")
    for name, status, many in sorted(shares):
        print(f"  {name}: {many} {status}")
    hosts = Counter(name for name, _, _ in shares)
    errors = [line for line in said.splitlines() if '"error"' in line or "Traceback" in line]
    print(*errors[:10], sep="\n")
    return not twice and len(hosts) == 2 and code == 0 and not errors and sum(many for *_, many in shares) == ORDERS


async def landed_twice(engine: Engine) -> int:
    async with Client(engine) as client:
        return int((await client.chain())["ordersLandedTwice"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="orderengine-older-") as made:
        sys.exit(0 if run(sys.argv[1], Path(made)) else 1)
