"""Resting orders: what a tick costs beside them, how soon a crossing is dispatched, what an order weighs in Redis.

The path is the engine's own, from the price written to the message on the queue `orders`: poller's look, Celery, a limit worker
process, its claim in Lua. Only the venues and the execution are left out.

The Node engine's figures (100,000 orders) were measured on a machine like this one: 146 ms a pass with nothing crossing,
228 ms (p95 321) to the first dispatch, 10,000 at once not finished after 150 s.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, percentile
from orderengine.host import embedded, processes
from runtime import fleet

PAIR = "SOL-USDC"
A_BUCKET = 100
AT_ONCE = 10_000
NODE = {"pass_ms": 146.0, "crossing_p50_ms": 228.0, "crossing_p95_ms": 321.0}


def run(quick: bool) -> list[Figure]:
    sizes = (10_000,) if quick else (100_000, 1_000_000)
    figures = [
        Figure(
            "triggers.node.pass", "Node engine, 100,000 resting: a pass with nothing crossing", NODE["pass_ms"], "ms"
        ),
        Figure(
            "triggers.node.crossing.p50", "Node engine: crossing to first dispatch, p50", NODE["crossing_p50_ms"], "ms"
        ),
        Figure(
            "triggers.node.crossing.p95", "Node engine: crossing to first dispatch, p95", NODE["crossing_p95_ms"], "ms"
        ),
    ]
    with services() as environment:
        for size in sizes:
            child = [sys.executable, "-m", "benchmarks.triggers", str(size), "30" if quick else "100"]
            said = subprocess.run(child, env=environment, stdout=subprocess.PIPE, check=True, timeout=1_800).stdout
            figures += of(size, json.loads(said))
    return figures


def of(size: int, found: dict[str, float]) -> list[Figure]:
    name, what = f"triggers.{size}", f"{size:,} resting"
    return [
        Figure(f"{name}.tick", f"{what}: CPU of a tick beyond an empty book's", found["tick_ms"], "ms", at_most=1),
        Figure(
            f"{name}.crossing.p50", f"{what}: BEST written to first dispatch, p50", found["p50_ms"], "ms", at_most=5
        ),
        Figure(
            f"{name}.crossing.p99", f"{what}: BEST written to first dispatch, p99", found["p99_ms"], "ms", at_most=20
        ),
        Figure(
            f"{name}.at_once",
            f"{what}: {AT_ONCE:,} crossing at once, all dispatched",
            found["at_once_s"],
            "s",
            at_most=1,
        ),
        Figure(f"{name}.twice", f"{what}: orders of them dispatched twice", found["twice"], "", at_most=0),
        Figure(f"{name}.memory", f"{what}: Redis memory of an order", found["bytes"], "bytes"),
    ]


@contextmanager
def services() -> Iterator[dict[str, str]]:
    """A Redis and a limit worker; the environment of whoever uses them."""
    with tempfile.TemporaryDirectory(prefix="bench-triggers-") as folder:
        redis = embedded.redis(Path(folder))
        redis.prepare()
        environment = dict(os.environ) | {
            "DATA_DIR": folder,
            "REDIS_URL": redis.url,
            "EMBEDDED": "1",
            "MOCK_LATENCY": "0",
        }
        children = [subprocess.Popen(redis.command(), env=environment, stdout=subprocess.DEVNULL)]
        try:
            while not redis.answers():
                time.sleep(0.05)
            command = processes.worker("limit", fleet.kind("limit"), 4)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            children.append(subprocess.Popen(command, env=environment, cwd=processes.BASE_DIR, **quiet))  # type: ignore[call-overload]
            yield environment
        finally:
            for child in reversed(children):
                child.send_signal(signal.SIGTERM)
                child.wait(30)


class Queue:
    """What arrives on the queue `orders`, and when."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.arrived: list[tuple[float, list[str]]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            if found := self._redis.brpop("orders", timeout=1):
                at = time.monotonic()
                body = json.loads(base64.b64decode(json.loads(found[1])["body"]))
                self.arrived.append((at, body[1]["order_ids"]))

    def count(self) -> int:
        return sum(len(ids) for _, ids in self.arrived)

    def take(self, count: int, limit_s: float) -> list[tuple[float, list[str]]]:
        """Waits for so many ids; what arrived."""
        end = time.monotonic() + limit_s
        while self.count() < count and time.monotonic() < end:
            time.sleep(0.002)
        taken, self.arrived = self.arrived, []
        return taken


def measure(size: int, rounds: int) -> dict[str, float]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
    django.setup()
    from datetime import UTC, datetime
    from decimal import Decimal

    import redis
    from django.conf import settings

    import celery_app
    from orders.ids import uuid7
    from routing.mock.tokens import REGISTRY
    from routing.prices import PairPrices, PriceStore
    from routing.values import Tick
    from routing.venues import RAYDIUM
    from routing.world import registry, world
    from runtime import redis_url
    from triggers.book import Arm, Book, Rest
    from triggers.tasks import Calls, owners
    from triggers.ticker import Ticker

    assert celery_app.app.conf.broker_url == redis_url.for_kombu(settings.REDIS_URL)
    registry.fix(REGISTRY)
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    book, store = Book(settings.REDIS_URL), PriceStore(settings.REDIS_URL)
    ticker = Ticker(world().router, store, book, owners.matcher(), Calls().send, pairs=[], deadline_ms=100)
    queue = Queue(redis.Redis.from_url(settings.REDIS_URL))

    def tick(price: Decimal) -> float:
        """Writes the price and looks what is due; when it was written."""
        now = datetime.now(UTC)
        seen = Tick(PAIR, RAYDIUM, price, 0, Decimal(10**7), Decimal(10**5), now)
        market = PairPrices(PAIR, {RAYDIUM: seen}, seen, now, listed=True)
        store.write([market], {})
        written = time.monotonic()
        ticker.look([market])
        return written

    def cpu() -> float:
        said: dict[str, float] = client.info("cpu")
        return time.process_time() + said["used_cpu_user"] + said["used_cpu_sys"]

    def cost_ms() -> float:
        for _ in range(50):
            tick(Decimal(100))
        before = cpu()
        for _ in range(500):
            tick(Decimal(100))
        return (cpu() - before) * 1000 / 500

    def fill(count: int, least: Decimal) -> list[Decimal]:
        """Orders at prices a cent apart, a hundred at each."""
        prices = [least + Decimal(n) / 100 for n in range(count // A_BUCKET)]
        for start in range(0, len(prices), 50):
            part = prices[start : start + 50]
            book.change(Arm(Rest(uuid7(), PAIR, 1, "gte", price)) for price in part for _ in range(A_BUCKET))
        return prices

    # The worker is up when it answers.
    fill(A_BUCKET, Decimal(50))
    end = time.monotonic() + 120
    while not queue.count() and time.monotonic() < end:
        tick(Decimal(100))
        time.sleep(0.5)
    queue.take(A_BUCKET, 5)

    empty_ms = cost_ms()
    used = int(client.info("memory")["used_memory"])
    prices = fill(size, Decimal(101))
    bytes_each = (int(client.info("memory")["used_memory"]) - used) / size
    tick_ms = max(0.0, cost_ms() - empty_ms)

    waits: list[float] = []
    for price in prices[:rounds]:
        written = tick(price)
        arrived = queue.take(A_BUCKET, 30)
        waits.append((arrived[0][0] - written) * 1000)
        time.sleep(0.02)
    last = prices[min(rounds + AT_ONCE // A_BUCKET, len(prices)) - 1]
    wanted = (len(prices[rounds : rounds + AT_ONCE // A_BUCKET])) * A_BUCKET
    written = tick(last)
    arrived = queue.take(wanted, 150)
    time.sleep(1)
    arrived += queue.take(1, 0)
    ids = [each for _, some in arrived for each in some]
    if len(set(ids)) != wanted:
        raise RuntimeError(f"{len(set(ids))} of {wanted} orders were dispatched")
    return {
        "tick_ms": tick_ms,
        "p50_ms": percentile(waits, 50),
        "p99_ms": percentile(waits, 99),
        "at_once_s": max(at for at, _ in arrived) - written,
        "twice": len(ids) - len(set(ids)),
        "bytes": bytes_each,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
