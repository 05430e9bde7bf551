"""Whether anything grows in an hour of steady load: memory of every process, bytes of the database an order.

`--quick` takes a minute, in which caches still fill: its growth an hour says little.
"""

import time
from typing import Any

from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine, finished, generate, running
from benchmarks.figures import Figure

RATE = 100
SECONDS = 3600
QUICK_SECONDS = 60
WARM_S = 0.2
"""Of the whole: what a process takes for its first orders is no growth."""
DATABASE_BYTES = "SELECT pg_database_size(current_database())::float8"


def run(quick: bool) -> list[Figure]:
    seconds = QUICK_SECONDS if quick else SECONDS
    with running(MOCK_LATENCY="1") as engine:
        [database] = engine.row(DATABASE_BYTES)
        cpu = engine.cpu()
        client = generate(engine.spec("open", rate=RATE, seconds=seconds, watch_every=10))
        time.sleep(seconds * WARM_S)
        warm, warm_at = engine.memory(), time.monotonic()
        time.sleep(seconds * (1 - WARM_S) - 1)
        late, hours = engine.memory(), (time.monotonic() - warm_at) / 3600
        load = finished(client)
        engine.until_finished()
        return figures(engine, load, warm, late, hours, database, sum(spent(cpu, engine.cpu()).values()))


def figures(
    engine: BenchEngine,
    load: dict[str, Any],
    warm: dict[str, int],
    late: dict[str, int],
    hours: float,
    database: float,
    cpu_s: float,
) -> list[Figure]:
    [orders, confirmed] = engine.row("SELECT count(*), count(*) FILTER (WHERE status = 'confirmed') FROM orders_order")
    [bytes_now] = engine.row(DATABASE_BYTES)
    grown = {name: (late[name] - warm[name]) / 1024 / hours for name in late if name in warm}
    return [
        Figure("soak.orders", f"soak, {RATE} orders/s: orders", orders),
        Figure("soak.refused", "soak: answers other than 200", load["answered"] - load["ok"], at_most=0),
        Figure("soak.unconfirmed", "soak: accepted and not confirmed", orders - confirmed, at_most=0),
        Figure(
            "soak.database", "soak: the database's growth an order", (bytes_now - database) / max(1, orders), "bytes"
        ),
        Figure("soak.cpu", "soak: CPU an order, all processes", cpu_s * 1000 / max(1, orders), "ms"),
        Figure("soak.memory", "soak: memory at the end, all processes", sum(late.values()) / 1024, "MiB"),
        Figure("soak.growth", "soak: growth of all processes", sum(grown.values()), "MiB/h"),
        *(Figure(f"soak.growth.{name}", f"soak: growth of {name}", value, "MiB/h") for name, value in grown.items()),
    ]
