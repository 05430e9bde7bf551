"""How soon an order's bytes may leave: from its POST to the commit of its intent, by stage, at several rates.

Without the mock's waits, so that what is left is the engine's own. A commit's moment is what Postgres noted for it
(`pg_xact_commit_timestamp`), before it waits for its disk; a request's is when it was due, so that a client that is late
is not taken for an engine that is quick. All on one host's clock.
"""

from typing import Any

from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure, percentile, table

RATES = (10, 100, 500, 1000)
GOALS_MS = {10: 20.0, 500: 50.0, 1000: 80.0}
"""p99 of POST → intent, by rate."""
CONNECTIONS = 64
COMMITS = """
SELECT order_id::text, status, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
FROM orders_orderevent WHERE at >= to_timestamp(%s) AND status = ANY('{pending,routing,submitted}')
"""
STAGES = ("answered", "pending", "routing", "intent", "total")
WORDS = {
    "answered": "POST → answered",
    "pending": "POST → accepted",
    "routing": "accepted → claimed",
    "intent": "claimed → intent",
    "total": "POST → intent",
}


def run(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    with running(MOCK_LATENCY="0") as engine:
        engine.keep_commit_times()
        engine.load("open", rate=50, seconds=2, connections=CONNECTIONS)
        engine.until_finished()
        engine.until_quiet()
        for rate in RATES:
            figures += measured(engine, rate, 5 if quick else 20 if rate <= 100 else 15)
    return figures


def measured(engine: BenchEngine, rate: int, seconds: float) -> list[Figure]:
    before = engine.cpu()
    client = engine.load("open", rate=rate, seconds=seconds, connections=CONNECTIONS, keep=True)
    engine.until_finished()
    cpu_ms = sum(spent(before, engine.cpu()).values()) * 1000 / max(1, client["ok"])
    stages = stages_ms(engine, client)
    rows = [("stage", "p50 ms", "p95 ms", "p99 ms")]
    for stage, values in stages.items():
        rows.append((WORDS[stage], *(f"{percentile(values, part):.1f}" for part in (50, 95, 99))))
    print(f"  {rate}/s: {client['ok']} of {client['sent']} accepted, CPU {cpu_ms:.2f} ms an order", flush=True)
    print(table(rows, right=(1, 2, 3)), flush=True)
    made = [Figure(f"latency.{rate}.cpu", f"{rate}/s: CPU an order, all processes", cpu_ms, "ms")]
    for stage, values in stages.items():
        goal = GOALS_MS.get(rate) if stage == "total" else None
        name, what = f"latency.{rate}.{stage}", f"{rate}/s: {WORDS[stage]}"
        made.append(Figure(f"{name}_p50", f"{what}, p50", percentile(values, 50), "ms"))
        made.append(Figure(f"{name}_p99", f"{what}, p99", percentile(values, 99), "ms", at_most=goal))
    return made


def stages_ms(engine: BenchEngine, client: dict[str, Any]) -> dict[str, list[float]]:
    """What each accepted order spent in each stage. An order that has no intent, because it failed, is left out."""
    times: dict[str, dict[str, float]] = {}
    for order_id, status, at in engine.rows(COMMITS, client["started_at"] - 1):
        times.setdefault(order_id, {}).setdefault(status, at)
    stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
    stages["answered"] = list(client["latencies_ms"])
    for order_id, due_at in client["accepted"]:
        found = times.get(order_id, {})
        if len(found) < 3:
            continue
        moments = [due_at, found["pending"], found["routing"], found["submitted"]]
        for stage, start, end in zip(STAGES[1:4], moments, moments[1:], strict=False):
            stages[stage].append((end - start) * 1000)
        stages["total"].append((moments[3] - moments[0]) * 1000)
    return stages
