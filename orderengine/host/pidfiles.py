"""One running engine per data folder, and no process left over from one that crashed."""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

from orderengine.host.launch import PARENT


class Taken(Exception):
    """Another engine runs on this data folder."""


def lock(run_dir: Path) -> int:
    """Held by the descriptor that is returned; the system releases it when its process ends, however it ends."""
    descriptor = os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 32).decode().strip() or "unknown"
        os.close(descriptor)
        raise Taken(f"pid {pid}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def read_pid(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def alive(pid: int) -> bool:
    """Zombies are not: somebody else has yet to collect them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        if Path("/proc/self/stat").exists():
            return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def ours(pid: int, data_dir: Path) -> bool:
    """Whether that pid still names a process of this data folder: pids are used again."""
    if pid == os.getpid() or not alive(pid):
        return False
    command, environment = process_text(pid)
    folder = os.fsencode(data_dir)
    marked = any(b"DATA_DIR=" + folder + end in environment for end in (b"\0", b" "))
    return folder + b"/" in command or (marked and PARENT.encode() + b"=" in environment)


def process_text(pid: int) -> tuple[bytes, bytes]:
    """Its command line and its environment."""
    try:
        folder = Path(f"/proc/{pid}")
        return (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
    except OSError:
        found = [
            subprocess.run(["ps", *options, "-o", "command=", "-p", str(pid)], check=False, capture_output=True).stdout
            for options in (["ww"], ["eww"])
        ]
        return found[0], found[1]


def living(data_dir: Path) -> dict[str, int]:
    found = {file.stem: read_pid(file) for file in (data_dir / "run").glob("*.pid")}
    return {name: pid for name, pid in found.items() if pid and ours(pid, data_dir)}


def send(pids: dict[str, int], signum: int | None = None) -> None:
    """`signum`, or to each what stops it in order."""
    for name, pid in pids.items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum or (signal.SIGINT if name == "postgres" else signal.SIGTERM))


def stop_all(data_dir: Path, patience_s: float) -> None:
    """Ends what the pid files name: by a request first, to supervisord before all others, by SIGKILL after `patience_s`."""
    end = time.monotonic() + patience_s
    left = living(data_dir)
    while left and time.monotonic() < end:
        chief = {name: pid for name, pid in left.items() if name == "supervisord"}
        send(chief or left)
        pause = min(end, time.monotonic() + (patience_s if chief else 1.0))
        while left and time.monotonic() < pause and (not chief or "supervisord" in left):
            time.sleep(0.05)
            left = living(data_dir)
    while left:
        send(left, signal.SIGKILL)
        time.sleep(0.05)
        left = living(data_dir)
    for file in (data_dir / "run").glob("*.pid"):
        file.unlink(missing_ok=True)
