"""`make bench`: measures every row, prints one table, writes benchmarks/results.json and the documents' tables.

python -m benchmarks                       # all of it but the soak, about half an hour on two quiet cores
python -m benchmarks --only soak           # an hour of its own
python -m benchmarks --only drain --only streams
python -m benchmarks --again               # a second run beside the first, into results-again.json
python -m benchmarks --quick               # short runs, into results-quick.json: does it work at all
"""

import argparse
import importlib
import importlib.util
import signal
import sys
import time
import traceback
from datetime import UTC, datetime

from benchmarks import machine, report
from benchmarks.figures import AGAIN_RESULTS, QUICK_RESULTS, RESULTS, Figure, keep, number, shown

BENCHMARKS = (
    "floor",
    "accept",
    "latency",
    "sustained",
    "drain",
    "streams",
    "idle",
    "memory",
    "sockets",
    "triggers",
    "trailing",
    "partitions",
    "growth",
    "chain",
    "prices",
    "webhooks",
    "books",
    "halt",
    "soak",
)
ASKED_FOR = {"soak"}
"""They take an hour: only by `--only`."""


def available() -> list[str]:
    return [name for name in BENCHMARKS if importlib.util.find_spec(f"benchmarks.{name}")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures the engine on this machine.")
    parser.add_argument("--quick", action="store_true", help="short runs, kept apart from the real results")
    parser.add_argument("--again", action="store_true", help="a second run, to be compared with the first")
    parser.add_argument("--only", action="append", choices=available(), metavar="NAME", help=", ".join(available()))
    options = parser.parse_args()
    # Whatever ends us, the engine under measurement ends and its data goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    file = QUICK_RESULTS if options.quick else AGAIN_RESULTS if options.again else RESULTS
    environment = machine.environment()
    print(
        ", ".join(f"{name} {value}" for name, value in environment.items() if isinstance(value, str | int)), flush=True
    )
    figures: list[Figure] = []
    failed = []
    for name in options.only or [each for each in available() if each not in ASKED_FOR]:
        calibration = machine.calibration()
        speed = f"Python {number(calibration['python_ms'])} ms, fdatasync {number(calibration['fdatasync_ms'])} ms"
        print(f"{name} (this machine now: {speed}, load {calibration['load_average']})", flush=True)
        started = time.monotonic()
        try:
            measured = importlib.import_module(f"benchmarks.{name}").run(options.quick)
        except Exception:
            # The others are still worth measuring.
            traceback.print_exc()
            failed.append(name)
            continue
        about = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started),
            "calibration": calibration,
            "environment": environment,
        }
        keep(file, name, measured, about)
        figures += measured
    print(f"\n{shown(figures)}\n\n{file}")
    if not options.quick:
        report.write()
    missed = [figure.what for figure in figures if figure.met is False]
    if missed:
        print("missed: " + "; ".join(missed))
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
