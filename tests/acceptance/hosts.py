"""Several hosts of one engine on this machine: each in a network namespace of its own, or only with ports of its own.

The hosts share Postgres, Redis and the mock world, as servers share a database; what a host sees of them goes through its
own cable, which can be pulled. Without the right to make namespaces the cable is a proxy for each host.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from orderengine.host.processes import BASE_DIR
from tests.chaos.proxy import Proxy, to_unix
from tests.engine import free_port


class Host:
    """One machine: its processes reach Postgres and Redis through `cut` and `heal` alone."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.environment = environment | {
            "PORT": str(self.port),
            "METRICS_DIR": str(self.folder / "metrics"),
            "ALIVE_FILE": str(self.folder / "alive"),
        }
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.cables: list[Proxy] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self, postgres: embedded.Postgres, redis: embedded.Redis, rng: random.Random) -> None:
        database = Proxy(to_unix(str(postgres.sockets / embedded.SOCKET_NAME)), rng)
        broker = Proxy(to_unix(str(redis.socket)), rng)
        self.cables = [database, broker]
        for cable in self.cables:
            await cable.start()
        login = f"orderengine:{postgres.password}@127.0.0.1:{database.port}"
        self.environment |= {
            "DATABASE_URL": f"postgresql://{login}/orderengine",
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
        }

    def start(self, *services: str) -> None:
        for service in services:
            with (self.folder / f"{service}.log").open("ab") as log:
                command = [sys.executable, "-m", "orderengine.container", service]
                self.children[service] = subprocess.Popen(
                    command, cwd=BASE_DIR, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )

    def cut(self) -> None:
        """Nothing passes and no connection is closed: as if the cable were pulled."""
        for cable in self.cables:
            cable.swallow()

    def heal(self) -> None:
        for cable in self.cables:
            cable.heal(reset=True)

    def log(self) -> str:
        return "".join(f"--- {file}\n{file.read_text()[-2000:]}" for file in self.folder.glob("*.log"))

    async def stop(self) -> None:
        for cable in self.cables:
            cable.heal()
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                await asyncio.to_thread(child.wait, 30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for cable in self.cables:
            await cable.stop()


class Storage:
    """Postgres and Redis of their own, where no host lives."""

    def __init__(self, folder: Path) -> None:
        home = folder / "storage"
        home.mkdir()
        self.postgres, self.redis = embedded.postgres(home), embedded.redis(home)
        self.postgres.prepare()
        self.redis.prepare()
        environment = dict(os.environ) | {PARENT: str(os.getpid())}
        self._children = []
        for command, signum in ((self.postgres.command(), signal.SIGINT), (self.redis.command(), signal.SIGTERM)):
            with (home / f"{len(self._children)}.log").open("wb") as log:
                child = subprocess.Popen(command, env=environment, stdout=log, stderr=log, process_group=0)
            self._children.append((child, signum))

    async def up(self) -> None:
        async with asyncio.timeout(60):
            while not (self.postgres.answers() and self.redis.answers()):
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        for child, signum in self._children:
            child.send_signal(signum)
        for child, _ in self._children:
            child.wait(30)
