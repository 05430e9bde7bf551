"""How late a committed event is at its client, with a thousand sockets open, and whether any is missed.

The lag is arrival minus the event's `at`, on one host's clock. `at` is the start of the writing transaction, so the
statement and its commit are inside the figure. Two hundred clients that connect right after their POST are judged apart.
"""

from typing import Any

from benchmarks import endtoend
from benchmarks.engines import running
from benchmarks.figures import Figure, percentile

SLOW_MOCK = "4"
"""Orders live for ten seconds, so that a thousand are watched at once without a thousand POSTs a second."""


def run(quick: bool) -> list[Figure]:
    with running(MOCK_LATENCY=SLOW_MOCK) as engine:
        client = engine.load("open", rate=200, seconds=1 if quick else 6, connections=64, watch_every=1, watch_s=60)
        engine.until_finished()
    with running(MOCK_LATENCY="1") as engine:
        at_once = engine.load("open", rate=2000, seconds=0.1, connections=200, watch_every=1)
        engine.until_finished()
    lags = endtoend.lags_ms(client)
    print(f"  {said(client)}\n  at once: {said(at_once)}", flush=True)
    broken, missed = (run["watches"]["started"] - run["watches"]["whole"] for run in (client, at_once))
    return [
        Figure("streams.open", "sockets open at once", client["watches"]["most_open"]),
        Figure("streams.p50", "event committed → client, p50", percentile(lags, 50), "ms", at_most=3),
        Figure("streams.p99", "event committed → client, p99", percentile(lags, 99), "ms", at_most=15),
        Figure("streams.broken", "sockets that missed an event", broken, at_most=0),
        Figure(
            "streams.at_once",
            f"of {at_once['watches']['started']} connecting after POST, missed any",
            missed,
            at_most=0,
        ),
        *(
            Figure(f"streams.p50.{status}", f"{status} → client, p50", percentile(values, 50), "ms")
            for status, values in client["watches"]["lags_ms"].items()
        ),
    ]


def said(client: dict[str, Any]) -> str:
    watches = client["watches"]
    return f"{watches['whole']} of {watches['started']} streams whole, {watches['most_open']} open at once, {watches['reasons']}"
