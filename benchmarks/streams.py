"""How late a committed event is at its client, with a thousand sockets open, and whether any is missed.

Three runs: a thousand sockets rest on limit orders while others watch market orders that come at a moderate rate; over a
thousand orders in six seconds, each with a socket of its own; two hundred clients that connect at once after their POST.

The lag is arrival minus the moment Postgres noted for the commit, before it waits for its disk, on one host's clock.
The storm's lag counts from the event's `at`, the start of the writing transaction.
"""

from typing import Any

from benchmarks import endtoend
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure, percentile
from benchmarks.sockets import RESTING

IDLE = 1_000
RATE = 20
SLOW_MOCK = "4"
"""Orders live for ten seconds, so that a thousand are watched at once without a thousand POSTs a second."""

COMMITTED = """
SELECT order_id::text, seq, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM orders_orderevent WHERE seq > 1
"""


def run(quick: bool) -> list[Figure]:
    with running(MOCK_LATENCY="1") as engine:
        engine.keep_commit_times()
        engine.load("closed", connections=10, seconds=1)
        engine.until_finished()
        resting = [f"/ws/{order_id}" for order_id in engine.post_batches(50 if quick else IDLE, RESTING)]
        with engine.held(resting, connections=200, seconds=60) as held:
            engine.until_quiet()
            calm = engine.load("open", rate=RATE, seconds=5 if quick else 30, connections=64, watch_every=1)
        committed, from_start = committed_to_client_ms(engine, calm), endtoend.lags_ms(calm)
    with running(MOCK_LATENCY=SLOW_MOCK) as engine:
        storm = engine.load("open", rate=200, seconds=1 if quick else 6, connections=64, watch_every=1, watch_s=60)
        engine.until_finished()
    with running(MOCK_LATENCY="1") as engine:
        at_once = engine.load("open", rate=2000, seconds=0.1, connections=200, watch_every=1)
        engine.until_finished()
    for name, client in (("calm", calm), ("storm", storm), ("at once", at_once)):
        print(f"  {name}: {said(client)}", flush=True)
    in_storm = endtoend.lags_ms(storm)
    return [
        Figure("streams.open", "idle sockets beside them", held["snapshots"]),
        Figure("streams.events", f"events watched, {RATE} orders/s", len(committed)),
        Figure("streams.p50", "event committed → client, p50", percentile(committed, 50), "ms", at_most=3),
        Figure("streams.p99", "event committed → client, p99", percentile(committed, 99), "ms", at_most=15),
        Figure(
            "streams.started_p50", "start of the writing transaction → client, p50", percentile(from_start, 50), "ms"
        ),
        Figure(
            "streams.started_p99", "start of the writing transaction → client, p99", percentile(from_start, 99), "ms"
        ),
        Figure("streams.broken", "sockets that missed an event", missed(calm) + missed(storm), at_most=0),
        Figure(
            "streams.storm.open", "storm, 200 orders/s with a socket each: open at once", storm["watches"]["most_open"]
        ),
        Figure(
            "streams.storm.p50", "storm: start of the writing transaction → client, p50", percentile(in_storm, 50), "ms"
        ),
        Figure(
            "streams.storm.p99", "storm: start of the writing transaction → client, p99", percentile(in_storm, 99), "ms"
        ),
        Figure(
            "streams.at_once",
            f"of {at_once['watches']['started']} connecting after POST, missed any",
            missed(at_once),
            at_most=0,
        ),
    ]


def committed_to_client_ms(engine: BenchEngine, client: dict[str, Any]) -> list[float]:
    committed = {(order_id, seq): at for order_id, seq, at in engine.rows(COMMITTED)}
    return [(at - committed[order_id, seq]) * 1000 for order_id, seq, at in client["watches"]["arrivals"]]


def missed(client: dict[str, Any]) -> int:
    return int(client["watches"]["started"] - client["watches"]["complete"])


def said(client: dict[str, Any]) -> str:
    watches = client["watches"]
    complete = f"{watches['complete']} of {watches['started']} streams complete"
    return f"{complete}, {watches['most_open']} open at once, {watches['reasons']}"
