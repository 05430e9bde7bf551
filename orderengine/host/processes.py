"""Which processes make an engine, and supervisord's configuration for them."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orderengine.host.embedded import launch_command

BASE_DIR = Path(__file__).resolve().parent.parent.parent
ENGINE, STORAGE = "engine", "storage"
"""Two groups: supervisord stops one group after the other, and storage goes last."""

STOP_S = {ENGINE: 6, STORAGE: 3}
"""From the stop signal to SIGKILL: workers drain for five seconds, and ten must do for everything."""

FIRST = ("web", "orders-1")
"""What must run before the engine calls itself ready."""

STAGGER_S = 0.7
"""Between two processes that nobody waits for: each costs a second of CPU while the first orders arrive."""


NICE = {"flower": 10}
"""Where processors are short, orders go before whoever looks on."""


@dataclass(frozen=True)
class Process:
    name: str
    command: list[str]
    """Complete, launcher included."""
    group: str = ENGINE
    stop_signal: str = "TERM"


def web(*address: str) -> list[str]:
    """`address` as the server's options; by default the socket that `launch.py` hands over as descriptor 3."""
    return [sys.executable, "-m", "orderengine.host.server", *(address or ("--fd=3",))]


def celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orderengine.host.celery_cli", *arguments]


def worker(name: str, queue: str, threads: int) -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    pool = ["-P", "threads", "-c", str(threads)]
    return celery("worker", "-Q", queue, *pool, "-n", f"{name}@%h", *quiet, "--loglevel=info")


def beat() -> list[str]:
    return celery("beat", "-S", "orderengine.beat:Scheduler", "--pidfile=", "--loglevel=info")


def count(environment: Mapping[str, str], name: str, default: int, most: int = 1000) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def engine(environment: Mapping[str, str], run_dir: Path, listener: Path) -> list[Process]:
    """In the order they start: first the two an order needs, then the others one after the other."""
    threads = count(environment, "ORDER_THREADS", 400)
    webs = ["web", *(f"web-{n}" for n in range(2, count(environment, "WEB_WORKERS", 1) + 1))]
    orders = [f"orders-{n}" for n in range(1, count(environment, "WORKERS_ORDERS", 1) + 1)]
    commands = {
        "web": web(),
        **{name: worker(name, "orders", threads) for name in orders},
        **{name: web() for name in webs},
        "dbsync": worker("dbsync", "dbsync", 4),
        "quotes": worker("quotes", "quotes", 4),
        "beat": beat(),
        "limit": worker("limit", "limit", 4),
        "sniper": worker("sniper", "sniper", 4),
        "flower": [sys.executable, "-m", "orderengine.host.flower"],
    }
    made = []
    for turn, (name, command) in enumerate(commands.items(), start=-len(FIRST)):
        options = [f"--listener={listener}"] if name in webs else []
        if nice := NICE.get(name.partition("-")[0]):
            options.append(f"--nice={nice}")
        if turn > 0:
            options.append(f"--after={turn * STAGGER_S:.1f}")
        made.append(Process(name, launch_command(run_dir, name, *options, command=command)))
    return made


def section(title: str, values: Mapping[str, object]) -> str:
    """supervisord expands %(…)s in every value."""
    return "\n".join([f"[{title}]", *(f"{name}={str(value).replace('%', '%%')}" for name, value in values.items()), ""])


def configuration(processes: list[Process], data_dir: Path, control: Path) -> str:
    daemon = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": data_dir / "log" / "supervisord.log",
        "logfile_maxbytes": "5MB",
        "logfile_backups": 2,
        "pidfile": data_dir / "run" / "supervisord.pid",
        "identifier": "orderengine",
    }
    if os.geteuid() == 0:
        daemon["user"] = "root"
    sections = [
        section("supervisord", daemon),
        section("unix_http_server", {"file": control, "chmod": "0700"}),
        section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    for priority, group in enumerate((STORAGE, ENGINE)):
        names = [process.name for process in processes if process.group == group]
        if names:
            sections.append(section(f"group:{group}", {"programs": ",".join(names), "priority": priority + 1}))
    for process in processes:
        values = {
            "command": shlex.join(process.command),
            "directory": BASE_DIR,
            "autostart": "false",
            # With startsecs=0 every end counts as a running process's: it starts again at once, for ever.
            "autorestart": "true",
            "startsecs": 0,
            "stopsignal": process.stop_signal,
            "stopwaitsecs": STOP_S[process.group],
            "redirect_stderr": "true",
            "stdout_logfile": data_dir / "log" / f"{process.name}.log",
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": 2,
        }
        sections.append(section(f"program:{process.name}", values))
    return "\n".join(sections)
