"""Measures this engine and another one in turn, on one machine in one sitting, with k6 as the client of both.

    python -m benchmarks.compare FOLDER [--with FOLDER] [--rounds 2] [--seconds 20] [--rate 200 …] [--out FILE]

A folder holds `peer.toml` (docs/performance.md has its form; ours is benchmarks/peer.toml). `--with` replaces this engine by
another: an older checkout's `benchmarks` folder, say. Linux only: CPU and memory are read from /proc.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import consumption, machine, peers
from benchmarks.figures import number, table
from benchmarks.load import Outcome, run_script

HERE = Path(__file__).resolve().parent
RATES = (20, 200)
SAMPLES = 100
"""Orders of a load that are asked for afterwards, spread over it."""
DRAIN_S = 60.0
"""For what a load left behind. An engine that needs longer starts the next round with a new process anyway."""


@dataclass(frozen=True)
class Taken:
    """What a load did to an engine."""

    outcome: Outcome
    cpu_s: float
    all_final_s: float | None
    """From the load's end until the sampled orders were final; None: some were not within `DRAIN_S`."""


def busy_s() -> float:
    """CPU seconds that the whole machine has used since it was started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / consumption.TICKS


class Foreign:
    """Cores that neither the engine, nor k6, nor this process used: what the figures have to be read with."""

    def __init__(self, running: peers.Running) -> None:
        self._running = running
        self._began, self._used = time.monotonic(), self._others_s()

    def _others_s(self) -> float:
        times = os.times()
        return busy_s() - self._running.cpu_s() - sum(times[:4])

    def cores(self) -> float:
        return max(0.0, (self._others_s() - self._used) / (time.monotonic() - self._began))


def load(running: peers.Running, *, seconds: int, rate: int = 0) -> Taken:
    """Posts orders at a rate, or by fifty clients without a pause (rate 0); waits until they are final."""
    order = running.peer.order
    before = running.cpu_s()
    with tempfile.NamedTemporaryFile("r") as said:
        outcome = run_script(
            "compare",
            running.url,
            None,
            {
                "ORDER_PATH": order.path,
                "BODY": json.dumps(order.body),
                "HEADERS": json.dumps(order.headers),
                "ORDER_ID": order.id,
                "RATE": str(rate),
                "DURATION": f"{seconds}s",
                "SAMPLE": str(max(1, rate * seconds // SAMPLES) if rate else 20),
                "K6_CONSOLE_OUTPUT": said.name,
                "K6_LOG_FORMAT": "raw",
            },
        )
        ids = said.read().split()
    if outcome.accepted and not ids:
        raise peers.Unusable(f"{running.peer.name}: an answer has no field {order.id}")
    all_final_s = until_final(running, ids[:: max(1, len(ids) // SAMPLES)] + ids[-1:])
    return Taken(outcome, running.cpu_s() - before, all_final_s)


def until_final(running: peers.Running, ids: list[str]) -> float | None:
    began = time.monotonic()
    # The last ones first: when they are final the others almost always are.
    for order_id in reversed(ids):
        while not running.is_final(order_id):
            if time.monotonic() - began > DRAIN_S:
                return None
            time.sleep(0.1)
    return time.monotonic() - began


def measure(running: peers.Running, *, seconds: int, rates: Sequence[int]) -> dict[str, float | None]:
    """One side's figures of one round, by their row in the table; each part takes so many seconds."""
    found: dict[str, float | None] = {"start → ready, s": running.started_s}
    running.until_quiet()
    foreign, before = Foreign(running), running.cpu_s()
    time.sleep(seconds)
    found["idle: CPU in 30 s, s"] = (running.cpu_s() - before) * 30 / seconds
    found["idle: memory, MiB"] = running.memory_mib()
    for rate in rates:
        taken = load(running, seconds=seconds, rate=rate)
        found |= {
            f"{rate}/s: accepted/s": taken.outcome.rate,
            f"{rate}/s: answered p50, ms": taken.outcome.p50_ms,
            f"{rate}/s: answered p99, ms": taken.outcome.p99_ms,
            f"{rate}/s: CPU an order, ms": each_ms(taken),
            f"{rate}/s: all final after the last, s": taken.all_final_s,
        }
    taken = load(running, seconds=seconds)
    found |= {
        "50 clients: accepted/s": taken.outcome.rate,
        "50 clients: answered p50, ms": taken.outcome.p50_ms,
        "50 clients: answered p99, ms": taken.outcome.p99_ms,
        "50 clients: all final after the last, s": taken.all_final_s,
        "memory afterwards, MiB": running.memory_mib(),
        "others used meanwhile, cores": foreign.cores(),
    }
    return found


def each_ms(taken: Taken) -> float | None:
    return taken.cpu_s * 1000 / taken.outcome.accepted if taken.outcome.accepted else None


def shown(sides: list[str], rounds: list[tuple[dict[str, float | None], ...]]) -> str:
    """Each side's rounds one beside the other, and the ratio of their medians."""
    rows = [("", *(f"{side}, {n + 1}" for n in range(len(rounds)) for side in sides), f"{sides[1]} ÷ {sides[0]}")]
    for row in rounds[0][0]:
        values = [[measured[n][row] for measured in rounds] for n in range(len(sides))]
        cells = ["–" if measured[n][row] is None else number(measured[n][row]) for measured in rounds for n in (0, 1)]
        rows.append((row, *cells, ratio(*values)))
    return table(rows, right=range(1, len(rows[0])))


def ratio(ours: list[float | None], theirs: list[float | None]) -> str:
    if None in ours or None in theirs or not statistics.median(ours):  # type: ignore[type-var]
        return "–"
    return number(statistics.median(theirs) / statistics.median(ours))  # type: ignore[type-var,operator]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description="This engine and another in turn."
    )
    parser.add_argument("peer", type=Path, help="folder with the other engine's peer.toml")
    parser.add_argument("--with", dest="first", type=Path, default=HERE, help="in place of this engine")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=int, action="append", help="orders a second (20 and 200)")
    parser.add_argument("--seconds", type=int, default=20, help="of each part: idle, every rate, no pause")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    options = parser.parse_args()
    # Whatever ends us, the engine under measurement ends and its data goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sides = [peers.read(options.first), peers.read(options.peer)]
        rounds = []
        for n in range(options.rounds):
            measured = []
            for side in sides:
                print(f"{side.name}, round {n + 1} of {options.rounds} …", flush=True)
                with peers.running(side) as running:
                    measured.append(measure(running, seconds=options.seconds, rates=options.rate or RATES))
            rounds.append(tuple(measured))
    except peers.Unusable as error:
        print(error, file=sys.stderr)
        return 2
    names = [side.name for side in sides]
    print("\n" + shown(names, rounds))
    if options.out:
        about = {"environment": machine.environment(), "calibration": machine.calibration()}
        kept = [dict(zip(names, measured, strict=True)) for measured in rounds]
        options.out.write_text(json.dumps({**about, "rounds": kept}, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
