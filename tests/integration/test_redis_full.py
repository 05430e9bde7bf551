"""Redis at its maxmemory: processes stay, the scrape says so, and orders that were accepted meanwhile are executed."""

import json
import time
from collections.abc import Callable

import httpx
import redis

from tests.acceptance.test_metrics import scrape
from tests.engine import Engine
from tests.waiting import until

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "slippageBps": 5000}
FULL_S = 8
WORKERS = ("orders-1", "quotes", "limit", "sniper", "dbsync", "beat", "web")


def pids(engine: Engine) -> dict[str, str]:
    return {name: (engine.data_dir / "run" / f"{name}.pid").read_text() for name in WORKERS}


def test_workers_outlive_a_full_redis(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(MOCK_LATENCY="0.1")
    until(lambda: all((engine.data_dir / "run" / f"{name}.pid").exists() for name in WORKERS), 60, 0.2)
    until(lambda: scrape(engine).get("orderengine_quote_age_seconds{pair=SOL-USDC}", 99) < 5, 60, 0.5)
    url = json.loads((engine.data_dir / "run" / "services.json").read_text())["redisUrl"]
    before = pids(engine)
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", 1)
        began = time.monotonic()
        placed = []
        while time.monotonic() - began < FULL_S:
            answer = httpx.post(f"{engine.url}/api/orders/execute", json=ORDER, timeout=10)
            assert answer.status_code == 200, answer.text
            placed.append(answer.json()["orderId"])
            samples = scrape(engine)
            time.sleep(0.5)  # The rate of the load, not a wait for something.
        used, most = (samples[f"orderengine_redis_memory_{name}bytes{{}}"] for name in ("", "max_"))
        assert used > 0.85 * most == 0.85
        client.config_set("maxmemory", 0)
    for order_id in placed:
        until(lambda: httpx.get(f"{engine.url}/api/orders/{order_id}").json()["status"] == "confirmed", 60, 0.3)  # noqa: B023
    assert pids(engine) == before, "a process ended"
