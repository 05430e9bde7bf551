"""Where the time of an order goes: `python -m benchmarks.profiles [--rate 500] [--seconds 15]`.

An engine under a fixed rate, twice. First undisturbed: CPU by thread of the web and order processes and by connection of
Postgres, Redis' commands and slow log. Then with py-spy on the two: by function, own time and with all that it calls. It
stops a process for every sample, which at a high rate slows the engine down, and it sees only threads that hold the
interpreter's lock, so its shares are a hint where to look; what a change brings is measured by the threads' CPU.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from benchmarks import consumption, endtoend
from benchmarks.engines import BenchEngine, running
from benchmarks.figures import number, table

SAMPLES_PER_S = 100
TOP = 25
PROCESSES = ("web", "orders-1")
PY_SPY = str(Path(sys.executable).parent / "py-spy")
THREAD = re.compile(r'^Thread (\d+) .*: "(.+?)"$', re.MULTILINE)
OURS = ("accounts/", "orderengine/", "orders/", "routing/", "runtime/", "triggers/")
"""Only these are shown with what they call: every sample is below the server's main function."""
BACKENDS = """
SELECT pid, COALESCE(NULLIF(application_name, ''), backend_type) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""


class Threads:
    """CPU of a process' threads, by their names in Python; a pool's threads, of which there may be hundreds, together."""

    def __init__(self, name: str, pid: int) -> None:
        self._name = name
        self._pid = pid
        self._before = consumption.threads_s(pid)

    def shown(self, orders: int) -> str:
        after = consumption.threads_s(self._pid)
        dump = subprocess.run([PY_SPY, "dump", "--pid", str(self._pid)], capture_output=True, text=True, check=True)
        names = {int(thread): re.sub(r"_\d+$", "", name) for thread, name in THREAD.findall(dump.stdout)}
        spent: Counter[str] = Counter()
        for thread, seconds in after.items():
            spent[names.get(thread, "others")] += seconds - self._before.get(thread, 0.0)
        rows = [(f"{self._name}: thread", "ms/order")]
        rows += [(name, f"{seconds * 1000 / orders:.4f}") for name, seconds in spent.most_common()]
        return table(rows, right=(1,))


class Samples:
    """py-spy on one process, while something else runs."""

    def __init__(self, name: str, pid: int, seconds: float, folder: Path) -> None:
        self.name = name
        self._file = folder / f"{name}.txt"
        command = [PY_SPY, "record", "--pid", str(pid), "--format", "raw"]
        command += ["--rate", str(SAMPLES_PER_S), "--duration", f"{seconds:.0f}", "--gil", "--output", str(self._file)]
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stacks(self) -> Counter[tuple[str, ...]]:
        self._child.wait()
        found: Counter[tuple[str, ...]] = Counter()
        for line in self._file.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            found[tuple(stack.split(";"))] += int(count)
        return found


def shares(stacks: Counter[tuple[str, ...]]) -> tuple[Counter[str], Counter[str]]:
    """Samples by function: its own, and with all that it calls. Lines of a function count together."""
    own: Counter[str] = Counter()
    cumulative: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = [frame.rpartition(":")[0] + ")" if ":" in frame else frame for frame in stack]
        own[frames[-1]] += count
        for frame in set(frames):
            cumulative[frame] += count
    return own, cumulative


def shown(name: str, stacks: Counter[tuple[str, ...]], cpu_ms: float) -> str:
    """The functions that take most, as a share and as milliseconds of an order."""
    own, cumulative = shares(stacks)
    cumulative = Counter(
        {frame: count for frame, count in cumulative.items() if any(f"({folder}" in frame for folder in OURS)}
    )
    total = max(1, sum(own.values()))
    parts = []
    for title, counts in (("own time", own), ("with all that it calls", cumulative)):
        rows = [(f"{name}: {title}", "%", "ms/order")]
        rows += [
            (frame, number(100 * count / total), f"{cpu_ms * count / total:.3f}")
            for frame, count in counts.most_common(TOP)
        ]
        parts.append(table(rows, right=(1, 2)))
    return "\n\n".join(parts)


class Backends:
    """CPU of Postgres' processes. Each writer of the ledger has a connection of its own, so this is CPU by statement."""

    def __init__(self, engine: BenchEngine) -> None:
        self._engine = engine
        self._before = self._cpu()

    def _cpu(self) -> dict[tuple[int, str], float]:
        return {(pid, name): consumption.cpu_s(pid) for pid, name in self._engine.rows(BACKENDS)}

    def shown(self, orders: int) -> str:
        spent: Counter[str] = Counter()
        for (pid, name), seconds in self._cpu().items():
            spent[name] += round((seconds - self._before.get((pid, name), 0.0)) * 1000)
        rows = [("Postgres: connection", "ms/order")]
        rows += [(name, f"{ms / orders:.3f}") for name, ms in spent.most_common() if ms]
        return table(rows, right=(1,))


def commands(engine: BenchEngine) -> str:
    with redis.Redis.from_url(engine.engine.services["redisUrl"]) as client:
        stats: dict[str, Any] = client.info("commandstats")
        slow = client.slowlog_get(5)
    rows = [("Redis command", "calls", "µs a call", "µs")]
    for name, stat in sorted(stats.items(), key=lambda item: -item[1]["usec"])[:12]:
        calls, each_us, seconds = (number(stat[key]) for key in ("calls", "usec_per_call", "usec"))
        rows.append((name.removeprefix("cmdstat_"), calls, each_us, seconds))
    entries = "".join(f"\n{entry['duration'] / 1000:.1f} ms {entry['command'][:90]!r}" for entry in slow)
    return table(rows, right=(1, 2, 3)) + f"\nslow log:{entries or ' empty'}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    with running(MOCK_LATENCY="1") as engine, tempfile.TemporaryDirectory() as folder:
        endtoend.run(engine, 50, 3)
        threads = [Threads(name, engine.engine.pid(name)) for name in PROCESSES]
        backends = Backends(engine)
        outcome = endtoend.run(engine, options.rate, options.seconds)
        confirmed = max(1, outcome.ledger.confirmed)
        print(endtoend.summary(outcome))
        for part in [*(each.shown(confirmed) for each in threads), backends.shown(confirmed)]:
            print("\n" + part)
        print("\n" + commands(engine))

        samples = [Samples(name, engine.engine.pid(name), options.seconds, Path(folder)) for name in PROCESSES]
        sampled = endtoend.run(engine, options.rate, options.seconds)
        print("\nUnder py-spy: " + endtoend.summary(sampled))
        for sample in samples:
            print("\n" + shown(sample.name, sample.stacks(), outcome.cpu[sample.name] * 1000 / confirmed))


if __name__ == "__main__":
    main()
