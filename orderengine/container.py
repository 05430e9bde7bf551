"""`python -m orderengine.container NAME`: becomes one kind of process of the engine, where each runs on its own.

The kinds and commands are those of `make run` (`runtime.fleet`, `orderengine.host.processes`). Of `web` and `orders` there are
as many processes as WEB_WORKERS and WORKERS_ORDERS say. The web processes listen on HOST and PORT.
"""

import fcntl
import itertools
import os
import subprocess
import sys
from pathlib import Path

from orderengine import environment, secret_files
from orderengine.host import listening, processes
from orderengine.host.launch import PARENT, check_file_limit, die_with_parent, raise_file_limit
from orderengine.host.replicas import Replicas
from runtime import fleet

NAMES = (*(kind.name for kind in fleet.KINDS), "migrate")
REPLICA = "--replica"
LISTENING = 3
"""The descriptor that the server's command expects."""


def worker_name(kind: fleet.Kind, folder: Path) -> str:
    """`orders-1`, `orders-2`, …: the first that no other process of this host and folder has, kept until this one ends.

    Two workers of one name on a host refuse each other on RabbitMQ and are one to Flower. The lock is inherited by the
    command. Where the folder cannot be written the pid takes the number's place.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for n in itertools.count(1):
            descriptor = os.open(folder / f"{kind.name}-{n}.{os.uname().nodename}.name", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            os.set_inheritable(descriptor, True)
            return f"{kind.name}-{n}"
    except OSError:
        return f"{kind.name}-{os.getpid()}"
    raise AssertionError("unreachable")


def command(name: str) -> list[str]:
    """Raises `ValueError` for an unknown name or a variable that cannot be read."""
    if name == "migrate":
        return [sys.executable, "manage.py", "prepare", "--no-wait"]
    if name not in NAMES:
        raise ValueError(f"there is no process {name!r}; there are {', '.join(NAMES)}")
    kind = fleet.kind(name)
    folder = Path(os.environ.get("DATA_DIR") or ".data") / "run" / "names"
    return processes.command(kind, worker_name(kind, folder) if kind.queue else name, os.environ)


def become(name: str) -> None:
    """Replaces this process by the command."""
    found = command(name)
    os.execv(found[0], found)


def start_replica(name: str) -> "subprocess.Popen[bytes]":
    inherited = (LISTENING,) if name == fleet.WEB.name else ()
    own = [sys.executable, "-m", "orderengine.container", name, REPLICA]
    return subprocess.Popen(own, pass_fds=inherited, env={**os.environ, PARENT: str(os.getpid())})


def listen() -> None:
    """The public socket as descriptor 3."""
    host = os.environ.get("HOST") or "127.0.0.1"
    public = listening.bind(host, processes.count(os.environ, "PORT", 8000, most=65_535))
    descriptor = public.detach()
    if descriptor != LISTENING:
        os.dup2(descriptor, LISTENING)
        os.close(descriptor)
    os.set_inheritable(LISTENING, True)


def run(name: str, *, replica: bool) -> int:
    environment.clean(os.environ, embedded=False)
    if name not in (kind.name for kind in fleet.KINDS if kind.signs):
        environment.without_keys(os.environ)
    secret_files.load()
    check_file_limit()
    raise_file_limit()
    os.chdir(processes.BASE_DIR)
    if replica:
        die_with_parent(15)
        become(name)
    if name == fleet.WEB.name:
        listen()
    how_many = processes.how_many(fleet.kind(name), os.environ) if name in NAMES and name != "migrate" else 1
    if how_many > 1:
        return Replicas(how_many, lambda _: start_replica(name)).run()
    become(name)
    return 0


def main() -> int:
    arguments = sys.argv[1:]
    replica = REPLICA in arguments
    named = [argument for argument in arguments if argument != REPLICA]
    try:
        return run(named[0] if len(named) == 1 else "", replica=replica)
    except (ValueError, listening.Taken, OSError) as error:
        print(f"orderengine: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
