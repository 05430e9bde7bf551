"""Ten thousand sockets, each on a resting order of its own, on one web process: memory and CPU while nothing happens."""

import time

from benchmarks.consumption import spent
from benchmarks.engines import running
from benchmarks.figures import Figure

RESTING = {
    "tokenIn": "SOL",
    "tokenOut": "USDC",
    "amount": "1",
    "type": "limit",
    "limitPrice": "1000000",
    "allowFarPrice": True,
}
WATCHED_S = 20


def run(quick: bool) -> list[Figure]:
    count = 1000 if quick else 10_000
    with running() as engine:
        order_ids = engine.post_batches(count, RESTING)
        with engine.held([f"/ws/{order_ids[0]}"], connections=10):
            before = engine.memory()
            idle_from = engine.cpu()
            time.sleep(5)
            idle = spent(idle_from, engine.cpu())
        opening = engine.cpu()
        with engine.held([f"/ws/{order_id}" for order_id in order_ids], connections=200, seconds=120) as held:
            opened = spent(opening, engine.cpu())
            time.sleep(5)
            cpu = engine.cpu()
            time.sleep(WATCHED_S)
            watched = spent(cpu, engine.cpu())
            after = engine.memory()
    print(f"  {held['snapshots']} of {count} open after {held['opened_s']:.1f} s, closed {held['closed']}", flush=True)
    extra = {name: watched[name] / WATCHED_S - idle[name] / 5 for name in ("web", "postgres", "redis")}
    return [
        Figure("sockets.open", "idle sockets on one web process", held["snapshots"], at_least=count),
        Figure("sockets.memory", "memory of an idle socket, web", (after["web"] - before["web"]) / count, "KiB"),
        Figure(
            "sockets.memory.redis", "memory of an idle socket, Redis", (after["redis"] - before["redis"]) / count, "KiB"
        ),
        Figure("sockets.opening", "CPU of opening a socket, web", opened["web"] * 1000 / count, "ms"),
        *(
            Figure(f"sockets.cpu.{name}", f"CPU of the idle sockets, {name}", cores * 100, "% of a core")
            for name, cores in extra.items()
        ),
    ]
