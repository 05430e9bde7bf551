"""Memory of an order in flight: thousands that wait for a slow mock, against the same engine before them."""

import time

from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure

SLOW_MOCK = "4"
"""An order takes about ten seconds: time to look. With more the poller's prices would be too old to be used."""
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}
WARM = 500
GATHER_S = 12


def most_in_flight(engine: BenchEngine, wanted: int) -> int:
    """Waits until so many are, or as many as there will be."""
    end = time.monotonic() + GATHER_S
    while True:
        count = engine.row("SELECT count(*) FROM orders_order WHERE run_at IS NOT NULL AND status <> 'pending'")[0]
        if count >= wanted or time.monotonic() > end:
            return int(count)
        time.sleep(0.2)


def run(quick: bool) -> list[Figure]:
    count = 1000 if quick else 4000
    with running(MOCK_LATENCY=SLOW_MOCK) as engine:
        # What a process takes once for its first orders is not an order's.
        engine.post_batches(WARM, ORDER)
        engine.until_finished()
        before = engine.memory()
        engine.post_batches(count, ORDER)
        in_flight = most_in_flight(engine, count)
        during = engine.memory()
        engine.until_finished()
    grown = {name: during[name] - before[name] for name in ("orders-1", "web", "redis", "postgres")}
    return [
        Figure("memory.in_flight", "memory: orders in flight", in_flight, at_least=count),
        Figure("memory.order", "memory an order in flight, order worker", grown["orders-1"] / in_flight, "KiB"),
        *(
            Figure(f"memory.{name}", f"memory: {name} beside them", grown[name] / 1024, "MiB")
            for name in ("web", "redis", "postgres")
        ),
    ]
