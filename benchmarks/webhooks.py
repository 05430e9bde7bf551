"""Webhooks: 100,000 deliveries to an endpoint that fails three times in ten, beside one that hangs and one that is slow; and what
an endpoint that gets every event costs executing.

The receiver verifies each signature, so the rate is that of sender and receiver on this machine together.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import httpx

from benchmarks import endtoend
from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure
from tests.receiver import Receiver
from webhooks.sender import LOOK_EVERY_S

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"}
STEPS = ["order.pending", "order.routing", "order.building", "order.submitted", "order.confirmed"]
BESIDE = (
    ("without", "without a webhook", []),
    ("ends", "beside a webhook of what ends", STEPS[-1:]),
    ("all", "beside a webhook of every event", STEPS),
)
PACE = 300
"""Orders a second, below what the machine can do."""
MAX_S = 1800
SLOW_S = 0.02
DRAINED = """
SELECT min(at) FILTER (WHERE status = 'routing'), max(at) FILTER (WHERE status = 'confirmed'),
    count(*) FILTER (WHERE status = 'confirmed')
FROM orders_orderevent WHERE at >= to_timestamp(%s)
"""
UNSENT = "SELECT count(*) FROM webhooks_delivery WHERE state = 'waiting'"


def run(quick: bool) -> list[Figure]:
    return (
        delivered(2_000 if quick else 20_000)
        + beside(*((1_000, 2) if quick else (5_000, 5)))
        + paced(5 if quick else 30)
    )


def listen(engine: BenchEngine, receiver: Receiver, path: str, types: list[str]) -> str:
    """Makes a webhook; its id."""
    made = ask(engine, "POST", "", {"url": receiver.url(path), "types": types})
    receiver.secrets[path] = made["secret"]
    return str(made["webhookId"])


def change(engine: BenchEngine, webhook: str, fields: dict[str, Any]) -> None:
    ask(engine, "PATCH", f"/{webhook}", fields)
    time.sleep(2 * LOOK_EVERY_S)  # The sender has seen it.


def ask(engine: BenchEngine, method: str, path: str, fields: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {engine.key}"}
    answer = httpx.request(method, f"{engine.engine.url}/api/webhooks{path}", json=fields, headers=headers, timeout=30)
    return answer.raise_for_status().json()


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + MAX_S
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {MAX_S} s")
        time.sleep(0.5)


def delivered(orders: int) -> list[Figure]:
    wanted = orders * len(STEPS)
    environment = {"MOCK_LATENCY": "0", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOK_RETRY_BASE_MS": "1"}
    with Receiver(slow_s=SLOW_S).running() as receiver, running(**environment) as engine:
        listen(engine, receiver, "fails", STEPS)
        listen(engine, receiver, "slow", ["order.confirmed"])
        listen(engine, receiver, "hangs", ["order.confirmed"])

        def accepted() -> int:
            return sum(each.accepted for each in receiver.of("fails"))

        before, started = engine.cpu(), time.monotonic()
        ids = set(engine.post_batches(orders, ORDER))
        until(lambda: accepted() >= 0.99 * wanted)
        seconds = time.monotonic() - started
        # What failed many times in a row is tried again after minutes.
        until(lambda: accepted() >= wanted)
        until(lambda: len(receiver.of("slow")) >= orders)
        cpu = spent(before, engine.cpu())
        took = receiver.accepted("fails")
        memory = engine.memory()["webhooks"]
        log = engine.engine.log("webhooks")
    in_order = list(range(1, len(STEPS) + 1))
    attempts = len(receiver.of("fails"))
    print(f"  {wanted:,} deliveries, {attempts:,} attempts; 99 % in {seconds:.0f} s", flush=True)
    if "Traceback" in log:
        raise RuntimeError(log[-2000:])
    return [
        Figure(
            "webhooks.rate",
            f"webhooks: {wanted:,} deliveries, 3 in 10 attempts failing, the first 99 %",
            0.99 * wanted / seconds,
            "/s",
        ),
        Figure("webhooks.lost", "webhooks: events not delivered", len(ids - took.keys()), at_most=0),
        Figure(
            "webhooks.disorder",
            "webhooks: orders whose events came out of order or twice",
            sum(seqs != in_order for seqs in took.values()),
            at_most=0,
        ),
        Figure("webhooks.together", "webhooks: requests at once for one order", receiver.most_at_once, at_most=1),
        Figure("webhooks.cpu", "webhooks: CPU of the sender, an attempt", cpu["webhooks"] * 1000 / attempts, "ms"),
        Figure("webhooks.memory", "webhooks: memory of the sender after it (PSS)", memory / 1024, "MiB"),
    ]


def beside(orders: int, rounds: int) -> list[Figure]:
    """Prepared orders, drained on cores that are all in use: what noting and sending deliveries takes is missing there.

    One engine, with and without a webhook in turn, so that whatever else the machine does meets all of them. The receiver, which
    stands for somebody else's machine, gets what is left of the processors.
    """
    rates: dict[str, list[float]] = {name: [] for name, _, _ in BESIDE}
    with (
        Receiver(nice=19).running() as receiver,
        running(MOCK_LATENCY="0", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8") as engine,
    ):
        webhook = listen(engine, receiver, "ok", STEPS)
        drained(engine, orders)  # The first one meets cold caches.
        for n in range(rounds):
            # Each comes first in its turn: tables grow, and the clock of a warm processor falls.
            for name, what, types in BESIDE[n % len(BESIDE) :] + BESIDE[: n % len(BESIDE)]:
                change(engine, webhook, {"enabled": bool(types), **({"types": types} if types else {})})
                rates[name].append(drained(engine, orders))
                print(f"  drain {what}: {rates[name][-1]:.0f} orders/s", flush=True)
    figures = []
    for name, what, _ in BESIDE:
        drain, share = (
            f"drain of {orders:,} prepared orders {what}",
            [100 * mine / bare for mine, bare in zip(rates[name], rates["without"], strict=True)],
        )
        figures.append(
            Figure(f"webhooks.drain.{name}", f"{drain}, median of {rounds}", median(rates[name]), "orders/s")
        )
        if name != "without":
            what = f"{drain}: share of the one without, median of {rounds}"
            figures.append(Figure(f"webhooks.drain.{name}.share", what, median(share), "%", at_least=95))
    return figures


def drained(engine: BenchEngine, orders: int) -> float:
    """Orders a second, from the first claim to the last confirmation; when all of it has been sent as well."""
    engine.order_workers("stopProcess")
    since = time.time()
    engine.post_batches(orders, ORDER)
    engine.order_workers("startProcess")
    engine.until_finished()
    first, last, confirmed = engine.row(DRAINED, since)
    until(lambda: engine.row(UNSENT)[0] == 0)
    return float(confirmed / (last - first).total_seconds())


def paced(seconds: int) -> list[Figure]:
    """Orders at a fixed rate: what a webhook adds to their way."""
    figures = []
    for name, what, types in BESIDE:
        with (
            Receiver().running() as receiver,
            running(MOCK_LATENCY="1", WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8") as engine,
        ):
            if types:
                listen(engine, receiver, "ok", types)
            outcome = endtoend.run(engine, PACE, seconds)
        print(f"  {what}: {endtoend.summary(outcome)}", flush=True)
        p99 = outcome.end_to_end_p99_ms
        figures.append(
            Figure(f"webhooks.pace.{name}", f"{PACE} orders/s {what}: accepted to confirmed, p99", p99, "ms")
        )
    return figures
