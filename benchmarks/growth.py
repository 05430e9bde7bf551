"""What an order costs as load grows, and what a second process brings: every rate on one and two workers and webs."""

from benchmarks import endtoend, storage
from benchmarks.engines import BenchEngine, Unfinished, running
from benchmarks.figures import Figure, percentile

RATES = (10, 100, 300, 1000, 1500)
SHAPES = ((1, 1), (2, 1), (1, 2), (2, 2))
"""Order workers, web processes."""


def run(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    rates, shapes = ((10, 300), ((1, 1),)) if quick else (RATES, SHAPES)
    for orders, webs in shapes:
        with running(MOCK_LATENCY="1", WORKERS_ORDERS=str(orders), WEB_WORKERS=str(webs)) as engine:
            for rate in rates:
                seconds = 8 if quick else 30 if rate <= 10 else 15
                figures += measured(engine, rate, seconds, orders, webs)
    return figures


def measured(engine: BenchEngine, rate: int, seconds: int, orders: int, webs: int) -> list[Figure]:
    name = f"growth.{orders}x{webs}.{rate}"
    what = f"{rate}/s, {orders} worker{'s' * (orders > 1)}, {webs} web{'s' * (webs > 1)}"
    try:
        outcome = endtoend.run(engine, rate, seconds)
    except Unfinished as error:
        print(f"  {what}: {error}", flush=True)
        engine.until_finished(600)
        return [Figure(f"{name}.confirmed", f"{what}: confirmed", 0, "orders/s")]
    print(f"  {orders}x{webs} {endtoend.summary(outcome)}", flush=True)
    client, ledger = outcome.client, outcome.ledger
    return [
        Figure(f"{name}.confirmed", f"{what}: confirmed", outcome.confirmed_per_s, "orders/s"),
        Figure(f"{name}.p99", f"{what}: confirmed − accepted p99", percentile(ledger.end_to_end_ms, 99), "ms"),
        Figure(f"{name}.accept_p99", f"{what}: accept p99", percentile(client["latencies_ms"], 99), "ms"),
        *(
            Figure(f"{name}.cpu.{kind}", f"{what}: CPU of {kind}", ms, "ms/order")
            for kind, ms in outcome.cpu_ms.items()
        ),
        Figure(f"{name}.commits", f"{what}: commits", outcome.commits_per_order, "an order"),
        *storage.figures(name, what, *outcome.storage, len(ledger.orders)),
        Figure(f"{name}.client_cpu", f"{what}: client", client["cpu_s"] * 1000 / client["sent"], "ms/order"),
    ]
