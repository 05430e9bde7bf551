"""The commands of the engine's processes, from the table `runtime.fleet`, for supervision and for containers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orderengine.environment import KEYS_OF_WALLETS
from orderengine.host.embedded import launch_command
from runtime import fleet

BASE_DIR = Path(__file__).resolve().parent.parent.parent
ENGINE, STORAGE = "engine", "storage"
"""Two groups: supervisord stops one group after the other, and storage goes last."""

FIRST = ("web", "orders-1")
"""What must run before the engine calls itself ready."""

STAGGER_S = 0.3
"""Between two processes that nobody waits for: each costs some CPU while the first orders arrive, a tenth of a second where
imports are shared (`preload`) and a second elsewhere."""

MAX_PROCESSES = 1000
"""Of one kind."""

HEARTBEAT_S = 4
"""Seconds between two events by which Celery says that a worker lives. Flower calls one offline after twice as long."""


@dataclass(frozen=True)
class Process:
    name: str
    command: list[str]
    """Complete, launcher included."""
    group: str = ENGINE
    stop_signal: str = "TERM"


def celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orderengine.host.celery_cli", *arguments]


def worker(name: str, kind: fleet.Kind, threads: int) -> list[str]:
    """Heartbeats stay on: by them Flower knows an idle worker, and one that crashed. Gossip and mingle have no use here."""
    pool = ["-P", "threads", "-c", str(threads)]
    quiet = ["--without-gossip", "--without-mingle", f"--heartbeat-interval={HEARTBEAT_S}"]
    return celery("worker", "-Q", str(kind.queue), *pool, "-n", f"{name}@%h", *quiet, "--loglevel=info")


def web(*options: str) -> list[str]:
    """`options` of the server; by default the listening socket is descriptor 3."""
    return [sys.executable, "-m", "orderengine.host.server", *(options or ("--fd=3",))]


def beat() -> list[str]:
    return celery("beat", "-S", "orderengine.beat:Scheduler", "--pidfile=", "--loglevel=info")


def command(kind: fleet.Kind, name: str, environment: Mapping[str, str]) -> list[str]:
    """Of one process. The web process serves the listening socket that it finds as descriptor 3.

    Raises `ValueError` for a variable that cannot be read.
    """
    if kind.queue:
        variable = kind.threads_variable
        threads = count(environment, variable, kind.threads) if variable else kind.threads
        return worker(name, kind, threads)
    return {
        "web": web(),
        "beat": beat(),
        "webhooks": [sys.executable, "-m", "webhooks"],
        "flower": [sys.executable, "-m", "orderengine.host.flower"],
    }[kind.name]


def count(environment: Mapping[str, str], name: str, default: int, most: int = MAX_PROCESSES) -> int:
    """Raises `ValueError`, which names the variable."""
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def how_many(kind: fleet.Kind, environment: Mapping[str, str]) -> int:
    return count(environment, kind.count_variable, 1) if kind.count_variable else 1


def engine(environment: Mapping[str, str], run_dir: Path, listener: Path) -> list[Process]:
    """In the order they start: first the two an order needs, then the others one after the other."""
    found = [(kind, name) for kind in fleet.KINDS for name in fleet.names(kind, how_many(kind, environment))]
    found.sort(key=lambda pair: pair[1] not in FIRST)
    made = []
    for turn, (kind, name) in enumerate(found, start=-len(FIRST)):
        options = [f"--listener={listener}"] if kind is fleet.WEB else []
        if not kind.signs:
            options += [f"--without={variable}" for variable in KEYS_OF_WALLETS]
        if kind.nice:
            options.append(f"--nice={kind.nice}")
        if turn > 0:
            options.append(f"--after={turn * STAGGER_S:.1f}")
        made.append(Process(name, launch_command(run_dir, name, *options, command=command(kind, name, environment))))
    return made
