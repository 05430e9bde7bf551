"""CPU and memory of an engine's processes, from /proc. Linux only; elsewhere the figures are missing, not wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command, which may hold spaces: index 0 is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.setdefault(int(stat(int(entry.name))[1]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def tree(pid: int, below: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in below.get(pid, ()):
        yield from tree(child, below)


def cpu_s(pid: int) -> float:
    """Of the process and of its children that have ended."""
    try:
        fields = stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def threads_s(pid: int) -> dict[int, float]:
    """CPU seconds so far of each thread of a process, by its id; to the nanosecond, where a process' own are to 10 ms."""
    found = {}
    for thread in os.scandir(f"/proc/{pid}/task"):
        try:
            found[int(thread.name)] = int(Path(thread.path, "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def memory_kib(pid: int) -> int:
    """What the process alone takes: its own pages and its share of shared ones (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def processes(run_dir: Path) -> dict[str, list[int]]:
    """Every process of the engine by name, with its children (Postgres' backends are Postgres)."""
    below = children()
    found = {}
    for file in sorted(run_dir.glob("*.pid")):
        pid = int(file.read_text())
        # supervisord's children are the others.
        found[file.stem] = [pid] if file.stem == "supervisord" else list(tree(pid, below))
    return found


def cpu(run_dir: Path) -> dict[str, float]:
    """CPU seconds so far, by process name."""
    return {name: sum(map(cpu_s, pids)) for name, pids in processes(run_dir).items()}


def memory(run_dir: Path) -> dict[str, int]:
    """KiB, by process name."""
    return {name: sum(map(memory_kib, pids)) for name, pids in processes(run_dir).items()}


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before.get(name, 0.0) for name in after}
