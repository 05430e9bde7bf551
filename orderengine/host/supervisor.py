"""supervisord as a child process, and the questions and commands that go to it."""

import subprocess
import sys
import time
import xmlrpc.client  # nosec B411
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from orderengine.host import embedded, pidfiles, processes, supervisor_config

STOP_S = 9.3
"""Ten seconds are promised for a stop; supervisord itself needs up to nine."""


class Refused(Exception):
    """The engine does not start; the text is one line with the remedy."""


class Supervisor:
    """supervisord as our child, reached through its own socket."""

    def __init__(self, data_dir: Path, sockets: Path, environment: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.control = sockets / "supervisor.sock"
        self.environment = dict(environment)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, table: list[processes.Process]) -> None:
        run_dir = self.data_dir / "run"
        file = run_dir / "supervisord.conf"
        file.write_text(supervisor_config.configuration(table, self.data_dir, self.control))
        self.control.unlink(missing_ok=True)
        command = [sys.executable, "-m", "orderengine.host.supervisord", "-c", str(file)]
        with (self.data_dir / "log" / "start.log").open("wb") as log:
            self.child = subprocess.Popen(
                embedded.launch_command(run_dir, "supervisord", command=command),
                cwd=processes.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def call(self, method: str, *arguments: object) -> Any:
        """None while it does not answer."""
        transport = SupervisorTransport(None, None, f"unix://{self.control}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, HTTPException, xmlrpc.client.Error):
            return None
        finally:
            transport.close()

    def run(self, process: processes.Process) -> None:
        if self.call("startProcess", f"{process.group}:{process.name}", False) is None:
            raise Refused(f"{process.name} cannot be started: see {self.data_dir / 'log' / 'supervisord.log'}")

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def stop(self) -> None:
        """In order, through supervisord; by force when time is over."""
        end = time.monotonic() + STOP_S
        self.call("shutdown")
        if self.running() and self.child:
            # Again as a signal: it may not have answered. A second request to end changes nothing.
            self.child.terminate()
        while self.running() and time.monotonic() < end:
            time.sleep(0.03)
        if self.running() and self.child:
            self.child.kill()
            self.child.wait()
        pidfiles.stop_all(self.data_dir, max(0.0, end - time.monotonic()))
