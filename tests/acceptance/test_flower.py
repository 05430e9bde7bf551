"""Flower answers nobody without its password, and the engine's own pages only to whoever may see tasks."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.engine import Engine
from tests.waiting import until

PATIENCE_S = 60


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(MOCK_LATENCY="0").running() as engine:
        yield engine


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
