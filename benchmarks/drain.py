"""How fast prepared orders drain to Postgres: accepted while the order worker is stopped, no waits at the mock."""

import time

from benchmarks.consumption import spent
from benchmarks.engines import SPEED, running
from benchmarks.figures import Figure
from benchmarks.ledgerview import event_times

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}


def run(quick: bool) -> list[Figure]:
    count = 1000 if quick else 5000
    with running(MOCK_LATENCY="0", **SPEED) as engine:
        workers = engine.workers
        engine.order_workers("stopProcess")
        engine.post_batches(count, ORDER)
        before = engine.cpu()
        started = time.time()
        engine.order_workers("startProcess")
        engine.until_finished()
        after = engine.cpu()
        before |= dict.fromkeys(workers, 0.0)  # They are new processes.
        first, _, _ = event_times(engine, "routing")
        _, last, confirmed = event_times(engine, "confirmed")
        cpu = sum(spent(before, after).values())
    seconds = (last - first).total_seconds()
    print(f"  drained {confirmed} in {seconds:.2f} s", flush=True)
    return [
        Figure("drain.rate", f"drain {count:,} prepared orders", confirmed / seconds, "orders/s", at_least=3000),
        Figure("drain.unconfirmed", "drain: orders not confirmed", count - confirmed, at_most=0),
        Figure("drain.start", "drain: worker start to its first claim", first.timestamp() - started, "s"),
        Figure("drain.cpu", "drain: CPU an order, the worker's start included", cpu * 1000 / count, "ms"),
    ]
