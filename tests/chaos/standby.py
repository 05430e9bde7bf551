"""A primary and its synchronous standby: two embedded clusters, streaming replication, and a promotion."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from orderengine.host import embedded
from orderengine.host.launch import PARENT

REPLICATOR = "replicator"
START_S = 60


class Pair:
    """`url` names both servers and takes the one that writes, as a client of a failover cluster does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.primary = self._server("primary")
        self.standby = self._server("standby")

    def _server(self, name: str) -> embedded.Postgres:
        home = self._folder / name
        home.mkdir(parents=True)
        return embedded.postgres(home)

    @property
    def url(self) -> str:
        hosts = ",".join(str(server.sockets) for server in (self.primary, self.standby))
        return (
            f"postgresql://orderengine:{self.primary.password}@/orderengine"
            f"?host={quote(hosts, safe='')}&target_session_attrs=read-write"
        )

    def start(self) -> None:
        self.primary.prepare()
        hba = self.primary.data / "pg_hba.conf"
        hba.write_text(hba.read_text() + f"local replication {REPLICATOR} scram-sha-256\n")
        self.primary.run(
            *("postgres", "--single", "-D", str(self.primary.data), "postgres"),
            text=f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{self.primary.password}';\n",
        )
        # A commit is answered for when the standby has it on disk: what is promised survives the loss of the primary.
        self._launch("primary", self.primary, "--synchronous_standby_names=*", "--wal_level=replica")
        self._copy()
        self._launch("standby", self.standby)

    def _copy(self) -> None:
        self.standby.sockets.mkdir(mode=0o700, exist_ok=True)
        embedded.give(self.standby.sockets, self.standby.user)
        source = f"host={self.primary.sockets} user={REPLICATOR} password={self.primary.password}"
        self.standby.data.mkdir(mode=0o700)
        embedded.give(self.standby.data, self.standby.user)
        self.standby.run("pg_basebackup", "-d", source, "-D", str(self.standby.data), "-R", "-X", "stream")

    def _launch(self, name: str, server: embedded.Postgres, *settings: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [*server.command(), *settings],
                env=dict(os.environ) | {PARENT: str(os.getpid())},
                stdout=log,
                stderr=log,
                process_group=0,
            )
        ends = time.monotonic() + START_S
        while not server.answers():
            assert time.monotonic() < ends, (self._folder / f"{name}.log").read_text()
            time.sleep(0.05)

    def fail_over(self) -> None:
        """The primary is gone in an instant and for good; the standby takes its place."""
        primary = self._running.pop("primary")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(primary.pid, signal.SIGKILL)
        primary.wait()
        shutil.rmtree(self.primary.data)
        self.standby.run("pg_ctl", "promote", "-D", str(self.standby.data), "-w", f"--timeout={START_S}")

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
            process.wait()
