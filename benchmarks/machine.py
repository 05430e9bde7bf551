"""The machine and what runs on it, and how fast it is right now: figures of two runs compare as ratios to that."""

import os
import platform
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("Django", "celery", "channels", "msgspec", "psycopg", "redis", "uvicorn", "uvloop", "k6")
LOOP = 1_000_000
SYNCS = 300
BLOCK = b"\0" * 8192


def python_ms() -> float:
    """CPU time of a fixed loop of integer arithmetic and dictionary writes, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        seen: dict[int, int] = {}
        total = 0
        for n in range(LOOP):
            total = (total * 31 + n) & 0xFFFFFFFF
            seen[total & 1023] = n
        best = min(best, time.process_time() - start)
    return best * 1000


def sync_ms() -> float:
    """Median of an 8 KiB append with fdatasync, where data folders go."""
    times = []
    with tempfile.TemporaryFile(dir=os.environ.get("TMPDIR")) as file:
        for _ in range(SYNCS):
            start = time.perf_counter()
            os.write(file.fileno(), BLOCK)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return sorted(times)[SYNCS // 2] * 1000


def calibration() -> dict[str, float]:
    return {
        "python_ms": round(python_ms(), 1),
        "fdatasync_ms": round(sync_ms(), 3),
        "load_average": round(os.getloadavg()[0], 2),
    }


def field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def environment() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    linux = platform.system() == "Linux"
    return {
        "processor": field("/proc/cpuinfo", "model name") if linux else platform.processor(),
        "cores": os.cpu_count(),
        "memory": field("/proc/meminfo", "MemTotal") if linux else "",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "commit": commit.stdout.strip(),
    }
