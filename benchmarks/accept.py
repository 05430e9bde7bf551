"""How many single orders a second are taken in: fifty connections, each sends its next order when the last is answered.

The whole engine runs, so the worker executes meanwhile what it can and the others wait; afterwards everything must finish.
The same with an Idempotency-Key for each order, with the order worker stopped (accepting alone), and with k6 as client.
"""

from benchmarks import load
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure, number, percentile
from benchmarks.ledgerview import group_sizes

CONNECTIONS = 50


def run(quick: bool) -> list[Figure]:
    seconds = 5 if quick else 20
    with running(MOCK_LATENCY="1") as engine:
        figures = measured(engine, "accept", "accept, worker executing", seconds, judged=True)
        engine.until_finished(300)
        statuses = dict(engine.rows("SELECT status, count(*) FROM orders_order GROUP BY status"))
        unfilled = sum(statuses.values()) - statuses.get("confirmed", 0)
        figures.append(
            Figure("accept.unfilled", "accept: accepted and not confirmed afterwards", unfilled, "", at_most=0)
        )
    with running(MOCK_LATENCY="0") as engine:
        engine.order_workers("stopProcess")
        figures += measured(engine, "accept.alone", "accept alone", seconds)
        figures += measured(engine, "accept.keyed", "accept alone, Idempotency-Key each", seconds / 2, unique=True)
        k6 = load.run_script("saturation", engine.engine.url, engine.key, {"DURATION": f"{seconds}s"})
        figures += [
            Figure("accept.k6.rate", "accept alone, k6 as client", k6.rate, "orders/s"),
            Figure("accept.k6.p99", "accept alone, k6 as client, p99", k6.p99_ms, "ms"),
        ]
    return figures


def measured(
    engine: BenchEngine, name: str, what: str, seconds: float, *, judged: bool = False, unique: bool = False
) -> list[Figure]:
    engine.load("closed", connections=CONNECTIONS, seconds=1)
    before = engine.cpu()
    result = engine.load("closed", connections=CONNECTIONS, seconds=seconds, unique=unique)
    after = engine.cpu()
    web_ms = (after["web"] - before["web"]) * 1000 / max(1, result["ok"])
    group = group_sizes(engine, result["started_at"])["pending"]
    target = {"at_least": 3000.0} if judged else {}
    refused = result["answered"] - result["ok"]
    print(f"  {what}: {number(result['ok'] / result['seconds'])}/s, answers {result['statuses']}", flush=True)
    return [
        Figure(f"{name}.rate", what, result["ok"] / result["seconds"], "orders/s", **target),
        Figure(f"{name}.p50", f"{what}, p50", percentile(result["latencies_ms"], 50), "ms"),
        Figure(
            f"{name}.p99", f"{what}, p99", percentile(result["latencies_ms"], 99), "ms", at_most=60 if judged else None
        ),
        Figure(f"{name}.refused", f"{what}, answers other than 200", refused),
        Figure(f"{name}.web_ms", f"{what}, CPU of web", web_ms, "ms/order"),
        Figure(f"{name}.group", f"{what}, orders a commit", group["mean"]),
        Figure(
            f"{name}.client_ms", f"{what}, CPU of the client", result["load_cpu_s"] * 1000 / result["sent"], "ms/order"
        ),
    ]
