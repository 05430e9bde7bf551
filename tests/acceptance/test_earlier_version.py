"""An engine of an earlier version is killed in the middle of its work; this one starts on its data and ends everything."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from tests.acceptance.client import ORDER
from tests.acceptance.side_by_side import unpacked
from tests.engine import BASE_DIR, Engine, free_port
from tests.waiting import until

EARLIER = "27d5555"
"""The last commit before orders/ and routing/ were parted into rooms, and before a Unix socket for Redis."""
FAR = {**ORDER, "type": "limit", "limitPrice": "400", "allowFarPrice": True}
LAUNCH = {"tokenIn": "USDC", "tokenOut": "NEW", "amount": "10", "type": "sniper", "slippageBps": 5000}
HOPELESS = {**ORDER, "amount": "10000000000"}
"""More than any pool holds: it fails for good at the first attempt."""


@pytest.fixture
def services(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Postgres and a Redis that outlive the engines, in forms of a URL that the earlier version reads as well."""
    postgres = embedded.postgres(tmp_path / "services")
    postgres.prepare()
    port = free_port()
    redis = [str(embedded.redis_program()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    environment = dict(os.environ) | {PARENT: str(os.getpid())}
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in (postgres.command(), redis)
    ]
    until(postgres.answers, 60)
    yield {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "EMBEDDED": "1",
        "SECRET_KEY": "earlier-" * 8,
    }
    for child, signum in zip(children, (signal.SIGINT, signal.SIGTERM), strict=True):
        child.send_signal(signum)
        child.wait()


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    known = subprocess.run(["git", "cat-file", "-e", f"{EARLIER}^{{commit}}"], cwd=BASE_DIR, capture_output=True)
    if known.returncode:
        pytest.skip(f"this checkout has no history: {EARLIER} is not in it")
    folder = tmp_path / "earlier"
    folder.mkdir()
    unpacked(EARLIER, folder)
    return folder


def killed(engine: Engine) -> None:
    """kill -9 of all of it, the foreground command first, so that nothing is started again."""
    assert engine.process is not None
    engine.process.kill()
    for file in (engine.data_dir / "run").glob("*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)
    engine.process.wait()


def taken(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def placed(engine: Engine, order: dict[str, object], count: int) -> list[str]:
    headers = {"Authorization": f"Bearer {engine.credentials['apiKey']}"}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=30) as client:
        answers = await asyncio.gather(*(client.post("/api/orders/execute", json=order) for _ in range(count)))
        return [taken(answer)["orderId"] for answer in answers]


def test_it_finishes_what_an_earlier_version_left(tmp_path: Path, earlier: Path, services: dict[str, str]) -> None:
    data, port = tmp_path / "data", str(free_port())
    before = Engine(data, code=earlier, PORT=port, MOCK_SEED="7", EXECUTION_MODE="mock", **services)
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(psycopg.connect(services["DATABASE_URL"], autocommit=True))

        def of(status: str) -> set[str]:
            rows = database.execute("SELECT id FROM orders_order WHERE status = %s AND NOT resting", (status,))
            return {str(row[0]) for row in rows}

        before.start()
        try:
            resting = asyncio.run(placed(before, FAR, 5)) + asyncio.run(placed(before, LAUNCH, 3))
            hopeless = asyncio.run(placed(before, HOPELESS, 2))
            until(lambda: of("failed") == set(hopeless), 60)
            working = asyncio.run(placed(before, ORDER, 40))
            until(lambda: len(of("submitted")) >= 10, 60)
            submitted = of("submitted")
        finally:
            killed(before)
        assert not of("confirmed") & submitted and submitted

        now = Engine(data, PORT=port, MOCK_SEED="7", EXECUTION_MODE="mock", **services)
        now.start()
        try:
            until(lambda: set(working) <= of("confirmed") | of("failed"), 120)
            assert submitted <= of("confirmed")
            staff = stack.enter_context(
                httpx.Client(
                    base_url=now.url, headers={"Authorization": f"Bearer {now.credentials['staffApiKey']}"}, timeout=30
                )
            )
            letters = {each["orderId"]: each["id"] for each in staff.get("/api/dead-letters").json()["deadLetters"]}
            assert set(hopeless) <= letters.keys()
            assert {row[0] for row in database.execute("SELECT count(*) FROM orders_order WHERE resting")} == {8}
            staff.post("/api/mock/market", json={"pair": "SOL-USDC", "price": "500", "hold": True}).raise_for_status()
            staff.post("/api/mock/market", json={"pair": "NEW-USDC", "listed": True}).raise_for_status()
            until(lambda: set(resting) <= of("confirmed"), 120)
            for order_id in hopeless:
                staff.post(f"/api/dead-letters/{letters[order_id]}/requeue").raise_for_status()
            until(lambda: set(hopeless) <= of("failed") and letters_of(staff, hopeless) == 2, 60)
            assert staff.get("/api/mock/chain").json()["ordersLandedTwice"] == 0
        finally:
            now.stop()
            now.remove()
            before.remove()


def letters_of(staff: httpx.Client, order_ids: list[str]) -> int:
    """How many open dead letters the orders have: a requeued one that failed again has a new one."""
    time.sleep(0.2)
    letters = staff.get("/api/dead-letters").json()["deadLetters"]
    return len([each for each in letters if each["orderId"] in order_ids])
