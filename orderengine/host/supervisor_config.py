"""supervisord's configuration for a table of processes."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from orderengine.host.processes import BASE_DIR, ENGINE, STORAGE, Process

STOP_S = {ENGINE: 6, STORAGE: 3}
"""From the stop signal to SIGKILL: workers drain for five seconds, and ten must do for everything."""


EXPANDED_TWICE = ("stdout_logfile",)


def section(title: str, values: Mapping[str, object]) -> str:
    """supervisord expands %(…)s in every value, in some of them twice."""
    lines = [
        f"{name}={str(value).replace('%', '%%%%' if name in EXPANDED_TWICE else '%%')}"
        for name, value in values.items()
    ]
    return "\n".join([f"[{title}]", *lines, ""])


def configuration(processes: list[Process], data_dir: Path, control: Path) -> str:
    """The text of the file. It is read without comments (`supervisord.PlainParser`): paths may hold ` #` and ` ;`."""
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
    return "\n".join([*sections, *(program(process, data_dir) for process in processes)])


def program(process: Process, data_dir: Path) -> str:
    return section(
        f"program:{process.name}",
        {
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
        },
    )
