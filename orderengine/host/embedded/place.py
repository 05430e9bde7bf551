"""Where embedded services live: private folders, sockets, secrets and ports, and how a service is launched."""

import contextlib
import hashlib
import json
import os
import platform
import pwd
import re
import socket
import stat
import sys
from pathlib import Path

from orderengine import environment

LAUNCH = Path(__file__).parent.with_name("launch.py")
SOCKET_NAME = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 103
LONGEST = (f"pg/{SOCKET_NAME}", "supervisor.sock.4194304")
"""Of the names below it; supervisord makes its own under a name that ends in its process id."""
"""Bytes of a Unix socket's path: 107 on Linux, 103 on macOS."""


PORT_TRIES = 50


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


def owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def data_folder(path: Path) -> None:
    """Closed to others when it is new or was ours before; a folder that holds other things keeps its mode."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except PermissionError as error:
        raise Unavailable(
            f"{path} may not be made or entered ({error.strerror}): set DATA_DIR to a folder of your own"
        ) from None
    if found.st_uid != os.geteuid():
        raise Unavailable(f"{path} belongs to {owner(found.st_uid)}: set DATA_DIR to a folder of your own")
    if found.st_mode & 0o022:
        raise Unavailable(f"{path} can be written by others: set DATA_DIR to a folder of your own")
    # Settings read before the first start leave their secret key there.
    if {entry.name for entry in path.iterdir()} <= {"secret_key"} or (path / "run").exists():
        path.chmod(0o700)


def socket_folder(run_dir: Path) -> Path:
    """Where sockets go: `run_dir`, or a private folder of a fixed name where that path is too long or has more than letters.

    A comma parts several hosts in a libpq URL, and each client of a URL has other characters that it reads wrongly.
    """
    plain = re.fullmatch(r"[\w./+@=-]+", str(run_dir), re.ASCII)
    if plain and all(len(os.fsencode(run_dir / name)) <= MAX_SOCKET_PATH for name in LONGEST):
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


def machine() -> str:
    """What decides which wheels there are: `Python 3.13 on Linux aarch64`."""
    return "Python {}.{} on {} {}".format(*sys.version_info[:2], platform.system(), platform.machine())


def free_port(preferred: int = 0) -> int:
    """`preferred` where it can be bound, else any."""
    return free_ports(1, preferred)


def free_ports(count: int, preferred: int = 0) -> int:
    """The first of `count` neighbouring ports: `preferred` where all can be bound, else any."""
    for port in (preferred, *[0] * PORT_TRIES):
        with contextlib.ExitStack() as probes:
            try:
                first = bound_port(probes, port)
                for further in range(1, count):
                    bound_port(probes, first + further)
            except (OSError, OverflowError):  # Taken, or beyond 65535.
                continue
            return first
    raise Unavailable("no port is free on 127.0.0.1")


def bound_port(probes: contextlib.ExitStack, port: int) -> int:
    probe = probes.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])


def publish(run_dir: Path, urls: dict[str, str]) -> None:
    """Let commands in another terminal find what runs here."""
    new = run_dir / "services.json.new"
    new.unlink(missing_ok=True)
    secret(new, json.dumps(urls))
    new.replace(run_dir / "services.json")
