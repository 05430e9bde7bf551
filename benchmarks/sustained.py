"""Sustained end to end: orders at a fixed rate for a minute, the mock's waits as of a real venue, one watcher per ten.

Climbs from the promised rate as far as it holds, or descends until one does, each rate on an engine of its own: after a rate
that was too much Postgres clears up for minutes. What the mock itself takes is the p99 at twenty orders a second, where
nothing waits for anything.
"""

from benchmarks import endtoend
from benchmarks.engines import Unfinished, running
from benchmarks.figures import Figure

PROMISED = 1500
UP = (1500, 1750, 2000, 2500)
DOWN = (1300, 1200, 1100, 1000, 900, 800, 700, 600, 500, 250)


def run(quick: bool) -> list[Figure]:
    seconds = 10 if quick else 60
    up, down = ((PROMISED,), (500,)) if quick else (UP, DOWN)
    figures: list[Figure] = []
    highest: endtoend.Outcome | None = None
    with running(MOCK_LATENCY="1") as engine:
        base = endtoend.run(engine, 20, 10 if quick else 30)
        base_ms = base.end_to_end_p99_ms
        print(f"  {endtoend.summary(base)}", flush=True)
        figures.append(Figure("sustained.mock_p99", "the mock's own time, p99", base_ms, "ms"))

    def held(rate: int) -> bool:
        nonlocal highest, figures
        try:
            with running(MOCK_LATENCY="1") as engine:
                outcome = endtoend.run(engine, rate, seconds)
        except Unfinished as error:
            print(f"  {rate}/s: {error}", flush=True)
            return False
        print(f"  {endtoend.summary(outcome)}", flush=True)
        figures += endtoend.figures(f"sustained.{rate}", f"{rate}/s", outcome, base_ms)
        if not outcome.held(base_ms):
            return False
        highest = outcome
        return True

    if held(up[0]):
        all(held(rate) for rate in up[1:])
    else:
        any(held(rate) for rate in down)
    if highest is None:
        return [Figure("sustained.rate", "sustained end to end", 0, "orders/s", at_least=PROMISED), *figures]
    added = highest.end_to_end_p99_ms - base_ms
    head = [
        Figure("sustained.rate", "sustained end to end", highest.confirmed_per_s, "orders/s", at_least=PROMISED * 0.99),
        Figure("sustained.added_p99", "sustained: p99 beyond the mock's time", added, "ms", at_most=endtoend.SLACK_MS),
        Figure("sustained.cpu", "CPU a confirmed order, all processes", highest.cpu_ms["all"], "ms", at_most=1.2),
    ]
    return head + figures
