"""A throwaway server on this machine: Debian with real systemd in namespaces, over an overlay of this file system.

Every port is free there, so the documented commands run as they are written. It needs root; nothing it writes stays.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import until

BOOT = Path(__file__).with_name("boot.sh")
NAMESPACES = ["--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child"]
CLONE_NEWNET = 0x40000000
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
PACKAGES = {
    "/lib/systemd/systemd": "systemd",
    "/usr/lib/python3.*/ensurepip": "python3-venv",
    "/usr/share/postgresql-common": "postgresql",
    "/usr/bin/redis-server": "redis-server",
    "/usr/bin/caddy": "caddy",
    "/usr/sbin/nginx": "nginx",
    "/usr/bin/prometheus": "prometheus",
    "/usr/bin/prometheus-alertmanager": "prometheus-alertmanager",
    "/usr/bin/prometheus-postgres-exporter": "prometheus-postgres-exporter",
}
"""A file of each package that the documents install: Debian's package."""


def lacking() -> str:
    """Why there can be no such server here, or an empty string."""
    if os.geteuid():
        return "a server of its own needs root: namespaces, an overlay and other users"
    missing = [package for file, package in PACKAGES.items() if not list(Path("/").glob(file[1:]))]
    return f"apt-get install {' '.join(missing)}" if missing else ""


class Machine:
    """`root` is its file system as seen from here, while it runs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orderengine-machine-"))
        self._group = _unified() / self.folder.name
        self._unshare: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self._outside = os.open("/proc/self/ns/net", os.O_RDONLY)

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    def start(self) -> None:
        self._group.mkdir()
        command = ["unshare", *NAMESPACES, "bash", str(BOOT), str(self.folder)]
        with (self.folder / "boot.log").open("wb") as log:
            self._unshare = subprocess.Popen(
                # systemd takes the group it finds itself in for the root of all groups.
                ["sh", "-c", f'echo $$ > "{self._group}/cgroup.procs"; exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._booted, 60, 0.2)

    def _booted(self) -> bool:
        assert self._unshare and self._unshare.poll() is None, (self.folder / "boot.log").read_text()
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = int(children[0])
        if Path(f"/proc/{self.pid}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(
        self, script: str, *, check: bool = True, outside: bool = False, limit_s: float = 300
    ) -> "subprocess.CompletedProcess[str]":
        """A shell script as root there, ended by its first error. `outside`: with this machine's network."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"]
        network = f"--net=/proc/self/fd/{self._outside}" if outside else "--net"
        done = subprocess.run(
            [*enter, network, "bash", "-euo", "pipefail", "-c", script],
            env=ENVIRONMENT
            | {name: value for name, value in os.environ.items() if outside and name.startswith("PIP_")},
            capture_output=True,
            text=True,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
            pass_fds=(self._outside,),
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def ask(self, script: str) -> str:
        return self.run(script).stdout.strip()

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and those it starts meanwhile, open their sockets there."""
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def stop(self) -> None:
        if self._unshare:
            self._unshare.send_signal(signal.SIGKILL)  # `--kill-child` ends systemd, and with it everything there.
            self._unshare.wait()
        until(self._gone, 30, 0.1)
        os.close(self._outside)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _gone(self) -> bool:
        for group in sorted(self._group.rglob("*/"), key=lambda path: -len(path.parts)) + [self._group]:
            with contextlib.suppress(OSError):
                group.rmdir()
        return not self._group.exists()


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _unified() -> Path:
    """Where the second version of control groups is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise AssertionError("no control groups of the second version are mounted")
