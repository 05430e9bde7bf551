"""Debian's Postgres as an operator's own: run by an unprivileged user, on loopback, thrown away afterwards."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import psycopg

from tests.engine import BASE_DIR, free_port
from tests.waiting import until

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
REASON = "no Postgres of Debian's: apt-get install postgresql"
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Server:
    """A cluster in `home`, archiving into `home`/backup; `home` must be reachable by USER."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.data, self.backup = home / "data", home / "backup"
        self.secrets = home / "secrets"
        self.process: subprocess.Popen[bytes] | None = None
        for script in ("archive-wal", "backup.sh"):
            shutil.copy(BASE_DIR / "deploy" / "postgres" / script, home / script)
        self.backup.mkdir()
        if os.geteuid() == 0:
            for path in (home, self.backup):
                shutil.chown(path, USER, USER)

    def run(self, *command: str, check: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        """As USER, with Postgres' programs on the path."""
        known = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "BACKUP_DIR": str(self.backup), "HOME": str(self.home)}
        reached = {"PGHOST": str(self.home), "PGPORT": str(self.port)}
        done = subprocess.run(
            command,
            env=known | reached | environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            user=USER if os.geteuid() == 0 else None,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def create(self) -> None:
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256")
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host replication orderengine_backup 127.0.0.1/32 scram-sha-256\n")

    def start(self) -> None:
        archive = f"archive_command=WAL_ARCHIVE={self.backup}/wal {self.home}/archive-wal %p %f"
        settings = ["archive_mode=on", archive, "listen_addresses=127.0.0.1", f"unix_socket_directories={self.home}"]
        command = [f"{PROGRAMS}/postgres", "-D", str(self.data), "-p", str(self.port)]
        with (self.home / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(part for setting in settings for part in ("-c", setting))],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=USER if os.geteuid() == 0 else None,
            )
        until(lambda: self.run("psql", "-U", "postgres", "-c", "SELECT 1", check=False).returncode == 0, 60, 0.2)

    def superuser(self, statement: str, database: str = "orderengine") -> str:
        return self.run("psql", "-XAtq", "-U", "postgres", "-d", database, "-c", statement).stdout.strip()

    def roles(self) -> None:
        """By the two documented commands: the secrets, then roles.sql."""
        command = ["python3", "deploy/make_secrets.py", str(self.secrets)]
        subprocess.run(command, cwd=BASE_DIR, check=True, capture_output=True)
        if os.geteuid() == 0:
            shutil.chown(self.secrets, USER, USER)
        shutil.copy(BASE_DIR / "deploy/postgres/roles.sql", self.home)
        file = str(self.home / "roles.sql")
        self.run("psql", "-X", "-U", "postgres", "-v", f"secrets={self.secrets}", "-d", "orderengine", "-f", file)

    def url(self, secret: str) -> str:
        return (self.secrets / secret).read_text().strip().replace("@postgres:5432", f"@127.0.0.1:{self.port}")

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(2)  # Fast shutdown.
            self.process.wait(60)
            self.process = None


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(url, autocommit=True)
