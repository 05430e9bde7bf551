"""How fast prepared orders drain to Postgres: accepted while the order workers are stopped, no waits at the mock.

With one order worker, as by default, and with three: one more than there are cores, as each waits now and then.
"""

import time

from benchmarks.consumption import spent
from benchmarks.engines import running
from benchmarks.figures import Figure
from benchmarks.ledgerview import event_times

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}


def run(quick: bool) -> list[Figure]:
    count = 1000 if quick else 5000
    return drained(count, 3, "drain", at_least=3000) + drained(count, 1, "drain.default")


def drained(count: int, workers: int, name: str, at_least: float | None = None) -> list[Figure]:
    what = "drain, one order worker" if workers == 1 else f"drain, {workers} order workers"
    with running(MOCK_LATENCY="0", WORKERS_ORDERS=str(workers)) as engine:
        names = engine.workers
        engine.order_workers("stopProcess")
        engine.post_batches(count, ORDER)
        before = engine.cpu()
        started = time.time()
        engine.order_workers("startProcess")
        engine.until_finished()
        after = engine.cpu()
        before |= dict.fromkeys(names, 0.0)  # They are new processes.
        first, _, _ = event_times(engine, "routing")
        _, last, confirmed = event_times(engine, "confirmed")
        cpu = sum(spent(before, after).values())
    seconds = (last - first).total_seconds()
    print(f"  {what}: {confirmed} in {seconds:.2f} s", flush=True)
    return [
        Figure(
            f"{name}.rate", f"{what}: {count:,} prepared orders", confirmed / seconds, "orders/s", at_least=at_least
        ),
        Figure(f"{name}.unconfirmed", f"{what}: orders not confirmed", count - confirmed, at_most=0),
        Figure(f"{name}.start", f"{what}: start to the first claim", first.timestamp() - started, "s"),
        Figure(f"{name}.cpu", f"{what}: CPU an order, the start included", cpu * 1000 / count, "ms"),
    ]
