"""Flower answers nobody without its password, and the engine's own pages only to whoever may see tasks."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from orderengine.host import flower
from tests.engine import Engine
from tests.waiting import until

PATIENCE_S = 60
MAX_TASKS = 15
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(MOCK_LATENCY="0", FLOWER_MAX_TASKS=str(MAX_TASKS)).running() as engine:
        yield engine


def known_tasks(engine: Engine) -> dict[str, Any]:
    secret = (engine.data_dir / "flower.password").read_text().strip()
    url = f"{engine.services['flowerUrl']}/api/tasks?limit=1000"
    return dict(httpx.get(url, auth=("flower", secret), timeout=PATIENCE_S).raise_for_status().json())


def trade_until(engine: Engine, met: Callable[[], bool]) -> None:
    """One order after the other: each has a task of its own."""

    def traded() -> bool:
        order_id = httpx.post(f"{engine.url}/api/orders/execute", json=ORDER).raise_for_status().json()["orderId"]
        path = f"{engine.url}/api/orders/{order_id}"
        until(lambda: httpx.get(path).json()["status"] == "confirmed", PATIENCE_S, 0.01)
        return met()

    until(traded, PATIENCE_S, 0)


def answer(engine: Engine, path: str, *, signed: bool = False) -> int:
    secret = (engine.data_dir / "flower.password").read_text().strip()
    pair = base64.b64encode(f"flower:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"} if signed else {}
    try:
        return httpx.get(f"{engine.services['flowerUrl']}{path}", headers=headers, timeout=PATIENCE_S).status_code
    except httpx.TransportError:
        return 0


def test_no_page_of_flower_is_open_to_other_users_of_the_machine(engine: Engine) -> None:
    until(lambda: answer(engine, "/tasks", signed=True) == 200, PATIENCE_S)
    for path in ("/metrics", "/tasks", "/workers", "/api/workers", "/api/tasks", "/api/task/types"):
        assert answer(engine, path) == 401, path
    assert answer(engine, "/metrics", signed=True) == 200


def test_it_remembers_so_many_tasks_and_forgets_the_oldest(engine: Engine) -> None:
    """Or it grows by half a gigabyte an hour under load."""
    assert int(flower.MAX_TASKS) * 5_000 < 64 * 1024**2, "bytes, as measured"
    trade_until(engine, lambda: len(known_tasks(engine)) >= MAX_TASKS - 2)
    first = set(known_tasks(engine))
    trade_until(engine, lambda: len(first - set(known_tasks(engine))) > 5)
    assert len(known_tasks(engine)) <= MAX_TASKS
    # Nine ticks a second would leave no room for orders.
    assert {task["name"] for task in known_tasks(engine).values()} == {"execute_orders"}
