"""The foreground command: brings an engine up under supervisord, says when it is ready, takes it down."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from orderengine import environment as variables
from orderengine import hosts
from orderengine.host import disk, embedded, listening, pidfiles, processes
from orderengine.host.launch import PARENT, check_file_limit
from orderengine.host.reason import Logs
from orderengine.host.signals import Signals
from orderengine.host.supervisor import STOP_S, Supervisor
from orderengine.host.supervisor import Refused as Refused

PATIENCE_S = 15.0
"""Between two lines that say what is being waited for."""


def say(text: str) -> None:
    print(text, flush=True)


def data_dir(environment: Mapping[str, str]) -> Path:
    """Raises `Refused` for a path that cannot stand in a configuration file."""
    given = Path(environment.get("DATA_DIR") or ".data").expanduser()
    path = Path(os.path.normpath(processes.BASE_DIR / given))
    if any(character in str(path) for character in "\r\n"):
        raise Refused(f"DATA_DIR {str(path)!r} holds a line break: set DATA_DIR to another folder")
    return path


class Engine:
    def __init__(self, environment: Mapping[str, str], signals: Signals) -> None:
        self.signals = signals
        self.host = environment.get("HOST") or "127.0.0.1"
        self.port = processes.count(environment, "PORT", 8000, most=65_535)
        self.data_dir = data_dir(environment)
        self.run_dir = self.data_dir / "run"
        self.environment = dict(environment)
        variables.clean(self.environment, embedded=not environment.get("DATABASE_URL"))
        self.environment |= {
            "HOST": self.host,
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "EXECUTION_MODE": environment.get("EXECUTION_MODE") or "mock",
            "PYTHONUNBUFFERED": "1",
            PARENT: str(os.getpid()),
        }
        self.supervisor: Supervisor | None = None

    def run(self) -> int:
        check_file_limit()
        os.umask(0o077)  # DATA_DIR may be a folder that others read; what the engine makes there is not for them.
        embedded.data_folder(self.data_dir)
        embedded.private_folder(self.run_dir)
        embedded.private_folder(self.data_dir / "log")
        self.logs = Logs(self.data_dir / "log")
        fresh = not (self.environment.get("DATABASE_URL") or (self.data_dir / "postgres").exists())
        if shortage := disk.shortage(self.data_dir, fresh=fresh):
            raise Refused(shortage)
        try:
            lock = pidfiles.lock(self.run_dir)
        except pidfiles.Taken as error:
            raise Refused(
                f"an engine ({error}) already runs on {self.data_dir}: stop it or set another DATA_DIR"
            ) from None
        try:
            pidfiles.stop_all(self.data_dir, STOP_S)
            with listening.bound(self.host, self.port) as listener:
                return self.supervised(listener)
        finally:
            os.close(lock)

    def supervised(self, listener: listening.Listener) -> int:
        sockets = embedded.socket_folder(self.run_dir)
        listener.give_to(sockets / "web.sock")
        storage = self.storage()
        table = processes.engine(self.environment, self.run_dir, sockets / "web.sock")
        self.supervisor = Supervisor(self.data_dir, sockets, self.environment)
        self.supervisor.start([*(process for process, _ in storage), *table])
        try:
            self.bring_up(self.supervisor, storage, table)
            say(f"ready http://{hosts.bracketed(self.host)}:{self.port}")
            while self.supervisor.running():
                self.signals.wait(60)
            raise Refused(f"supervisord ended: {self.logs.reason('start')}")
        finally:
            self.signals.stopping = True
            listener.close()
            self.supervisor.stop()
            if sockets != self.run_dir:
                shutil.rmtree(sockets, ignore_errors=True)

    def storage(self) -> list[tuple[processes.Process, Callable[[], bool]]]:
        """What is embedded, made ready to run; and where everyone finds it."""
        given = [bool(self.environment.get(name)) for name in ("DATABASE_URL", "REDIS_URL")]
        self.environment["EMBEDDED"] = str(int(not any(given)))
        found: list[tuple[processes.Process, Callable[[], bool]]] = []
        if not given[0]:
            postgres = embedded.postgres(self.data_dir)
            if not postgres.data.exists():
                say("orderengine: making a database cluster")
            postgres.prepare()
            self.environment["DATABASE_URL"] = postgres.url
            process = processes.Process("postgres", postgres.command(), processes.STORAGE, stop_signal="INT")
            found.append((process, postgres.answers))
        if not given[1]:
            redis = embedded.redis(self.data_dir)
            redis.prepare()
            self.environment["REDIS_URL"] = redis.url
            found.append((processes.Process("redis", redis.command(), processes.STORAGE), redis.answers))
        found += self.localnet()
        if not self.environment.get("FLOWER_PORT"):
            self.environment["FLOWER_PORT"] = str(embedded.free_port(self.port + 1 if self.port < 65_535 else 0))
        if not self.environment.get("FLOWER_BASIC_AUTH"):
            secret = embedded.secret(self.data_dir / "flower.password", secrets.token_hex(24))
            self.environment["FLOWER_BASIC_AUTH"] = f"flower:{secret}"
        urls = {
            "databaseUrl": self.environment["DATABASE_URL"],
            "redisUrl": self.environment["REDIS_URL"],
            "flowerUrl": f"http://127.0.0.1:{self.environment['FLOWER_PORT']}/flower",
            "executionMode": self.environment["EXECUTION_MODE"],
            "paper": str(self.environment.get("PAPER", "").lower() in variables.TRUE).lower(),
            "rpcUrls": self.environment.get("RPC_URLS", ""),
        }
        embedded.publish(self.run_dir, urls)
        return found

    def localnet(self) -> list[tuple[processes.Process, Callable[[], bool]]]:
        """A Solana of our own, where the mode asks for one and no nodes are named."""
        if self.environment["EXECUTION_MODE"] != "localnet" or self.environment.get("RPC_URLS"):
            return []
        localnet = embedded.localnet(
            self.data_dir,
            engine_port=self.port,
            slot_ms=processes.count(self.environment, "LOCALNET_SLOT_MS", 400, most=10_000),
            seed=processes.count(self.environment, "LOCALNET_SEED", 1, most=2**31),
        )
        localnet.prepare()
        self.environment["RPC_URLS"] = ",".join(localnet.rpc_urls)
        return [(processes.Process("localnet", localnet.command(), processes.STORAGE), localnet.answers)]

    def bring_up(
        self,
        supervisor: Supervisor,
        storage: list[tuple[processes.Process, Callable[[], bool]]],
        table: list[processes.Process],
    ) -> None:
        self.until(lambda: supervisor.call("getState") is not None, "supervisord", "start")
        for process, _ in storage:
            supervisor.run(process)
        for process, answers in storage:
            self.until(answers, process.name)
        with self.preparing() as prepared:
            self.until(lambda: prepared() >= 1, "the database's migrations", "prepare")
            first = [process for process in table if process.name in processes.FIRST]
            for process in first:
                supervisor.run(process)
            self.until(self.answers, "web")
            self.until(lambda: prepared() >= 2, "orders-1")
        for process in table:
            if process not in first:
                supervisor.run(process)
        self.until(lambda: all((self.run_dir / f"{each.name}.pid").exists() for each in table), "every process")

    def until(self, met: Callable[[], bool], name: str, log: str = "") -> None:
        speak = time.monotonic() + PATIENCE_S
        while not met():
            if self.supervisor and not self.supervisor.running():
                raise Refused(f"supervisord ended: {self.logs.reason('start')}")
            if time.monotonic() > speak:
                say(f"orderengine: waiting for {name}: {self.logs.reason(log or name)}")
                speak += PATIENCE_S
            self.signals.wait(0.03)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[Callable[[], int]]:
        """Runs `manage.py prepare`; yields a function that says how many of its stages it has reached."""
        log = self.data_dir / "log" / "prepare.log"
        command = [sys.executable, "manage.py", "prepare"]
        said = self.run_dir / "prepare.out"
        with said.open("wb") as stages, log.open("wb") as errors:
            child = subprocess.Popen(
                embedded.launch_command(self.run_dir, "prepare", command=command),
                cwd=processes.BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stages,
                stderr=errors,
                process_group=0,
            )

        def prepared() -> int:
            if child.poll():
                raise Refused(f"the database cannot be prepared: {self.logs.reason(log.stem)}")
            return said.read_bytes().count(b"\n")

        try:
            yield prepared
        finally:
            child.kill()
            child.wait()
            (self.run_dir / "prepare.pid").unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether /readyz says 200, asked under a name that ALLOWED_HOSTS has."""
        here = listening.reachable(self.host)
        allowed = self.environment.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*")
        connection = HTTPConnection(here, self.port, timeout=0.5)
        try:
            connection.request("GET", "/readyz", headers={"Host": allowed or hosts.bracketed(here)})
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
