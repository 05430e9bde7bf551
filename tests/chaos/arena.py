"""The engine under test, in one of its shapes, with everything that a fault needs to get at it."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import redis

from orderengine.host import embedded
from orderengine.host.launch import PARENT
from orderengine.host.supervisor import Supervisor
from routing.mock.chain import MockChain
from routing.mock.world import mock_world
from tests import template
from tests.chaos.proxy import Proxy, to_unix
from tests.chaos.standby import Pair
from tests.clocks import Clocks
from tests.engine import Engine, free_port
from tests.onchain import Witness

READY_WITHIN_S = 240.0
"""For a machine that is busy with other things; a quiet one needs ten seconds."""
PATIENCE_S = 20
"""For an answer to the suite itself: it proves nothing about the engine."""
CHECKPOINT_FILLS = 10
"""So few that the books of a run are answered from checkpoints."""
MAX_CONNECTIONS = 60
MAX_MEMORY = 400 * 2**20
MAX_WAITING = 5
"""Messages in a queue of a quiet engine: beat's ticks come and go."""


@dataclass(frozen=True)
class Shape:
    name: str
    environment: dict[str, str]
    proxied: bool = False
    """Postgres and Redis are the test's own, behind proxies; otherwise the engine's embedded ones."""
    standby: bool = False
    """Of the test's own Postgres there are two: a primary and its synchronous standby. No proxy is before them."""
    clocks: bool = False
    """Every process has a wall clock of its own that can be stepped (`tests.clocks`)."""
    disk_mb: int = 0
    """The data folder is a file system of this size."""

    @property
    def missing(self) -> str:
        """What this machine lacks for it; nothing: it can be tried."""
        if self.clocks and not Clocks.available():
            return "a C compiler"
        if self.disk_mb and os.geteuid() != 0:
            return "the right to mount a file system"
        return ""


class Arena:
    def __init__(self, shape: Shape, rng: random.Random, folder: Path, port: int | None = None) -> None:
        self.shape, self.rng = shape, rng
        self.folder = folder
        self.control = folder / "crash"
        own = {
            "CRASH_AT": str(self.control),
            "PORT": str(port or free_port()),
            "CHECKPOINT_FILLS": str(CHECKPOINT_FILLS),
        }
        environment = {**own, **shape.environment}
        self.engine = Engine(folder / "data", **environment)
        self.clocks: Clocks | None = None
        self.pair: Pair | None = None
        self.postgres_proxy: Proxy | None = None
        self.redis_proxy: Proxy | None = None
        self._children: list[tuple[subprocess.Popen[bytes], int]] = []
        self.database_url = self.redis_url = ""
        self.witness: Witness | None = None
        """Of a real chain; the mock's log is a file."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Arena"]:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            if self.shape.clocks:
                self.clocks = Clocks(self.folder)
                self.engine.env |= self.clocks.environment
            if self.shape.disk_mb and not self.engine.data_dir.exists():
                self.engine.data_dir.mkdir(mode=0o700)
                options = f"size={self.shape.disk_mb}m,mode=0700"
                subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(self.engine.data_dir)], check=True)
                await asyncio.to_thread(template.lay, self.engine.data_dir)
            if self.shape.proxied or self.shape.standby:
                await self._services()
            elif not self.engine.data_dir.exists():
                self.engine.data_dir.mkdir(mode=0o700)
                await asyncio.to_thread(template.lay, self.engine.data_dir)
            await asyncio.to_thread(self.engine.start, False)
            await asyncio.to_thread(self.engine.wait_ready, READY_WITHIN_S)
            if not self.database_url:
                self.database_url = self.engine.services["databaseUrl"]
                self.redis_url = self.engine.services["redisUrl"]
            await asyncio.to_thread(self._until_complete)
            if self.shape.environment.get("EXECUTION_MODE") == "localnet":
                self.witness = Witness.call(self.engine.localnet["rpcUrl"], self.database_url)
            yield self
        finally:
            if self.witness is not None:
                self.witness.chain.close()
            for proxy in (self.postgres_proxy, self.redis_proxy):
                if proxy is not None:
                    proxy.heal()
            try:
                await asyncio.to_thread(self.engine.stop)
            finally:
                self.engine.output.unlink(missing_ok=True)
                for proxy in (self.postgres_proxy, self.redis_proxy):
                    if proxy is not None:
                        await proxy.stop()
                if self.pair is not None:
                    await asyncio.to_thread(self.pair.stop)
                for child, signum in reversed(self._children):
                    child.send_signal(signum)
                    child.wait()
                if self.shape.disk_mb:
                    shutil.copytree(self.engine.data_dir / "log", self.folder / "log", dirs_exist_ok=True)
                    subprocess.run(["umount", "-l", str(self.engine.data_dir)], check=False)

    async def _services(self) -> None:
        home = self.folder / "services"
        home.mkdir()
        redis_ = embedded.redis(home)
        redis_.prepare()
        await asyncio.to_thread(self._launch, redis_.command(), signal.SIGTERM, redis_.answers)
        self.redis_proxy = Proxy(to_unix(str(redis_.socket)), self.rng)
        await self.redis_proxy.start()
        self.redis_url = redis_.url
        if self.shape.standby:
            self.pair = Pair(home)
            await asyncio.to_thread(self.pair.start)
            self.database_url = seen = self.pair.url
        else:
            postgres = embedded.postgres(home)
            await asyncio.to_thread(postgres.prepare)
            await asyncio.to_thread(self._launch, postgres.command(), signal.SIGINT, postgres.answers)
            self.postgres_proxy = Proxy(to_unix(str(postgres.sockets / embedded.SOCKET_NAME)), self.rng)
            await self.postgres_proxy.start()
            self.database_url = postgres.url
            seen = f"postgresql://orderengine:{postgres.password}@127.0.0.1:{self.postgres_proxy.port}/orderengine"
        self.engine.env |= {
            "DATABASE_URL": seen,
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_proxy.port}/0",
            "SECRET_KEY": "chaos-" * 10,
        }

    def _launch(self, command: list[str], signum: int, answers: Callable[[], bool]) -> None:
        """A service of the test's own, until it answers."""
        environment = dict(os.environ) | {PARENT: str(os.getpid())}
        if self.clocks is not None:
            environment |= self.clocks.environment
        with (self.folder / "services" / f"{len(self._children)}.log").open("wb") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log, process_group=0)
        self._children.append((child, signum))
        while not answers():
            assert child.poll() is None, Path(log.name).read_text()
            time.sleep(0.05)

    def _until_complete(self) -> None:
        """The engine calls itself ready before all of it runs; here nothing starts before all of it does."""
        ends = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < ends:
            if all("ready." in self.engine.log(name) for name in ("dbsync", "quotes", *self.order_workers)):
                return
            time.sleep(0.1)
        raise AssertionError(f"the engine is not complete\n{self.engine.report()}")

    @property
    def service_pids(self) -> dict[str, int]:
        """Of the test's own Redis and Postgres."""
        return dict(zip(("redis", "postgres"), (child.pid for child, _ in self._children), strict=False))

    @property
    def api_key(self) -> str:
        return str(self.engine.credentials["apiKey"])

    def staff(self, method: str, path: str, **body: Any) -> Any:
        """The answer to a request with the staff key."""
        headers = {"Authorization": f"Bearer {self.engine.credentials['staffApiKey']}"}
        answer = httpx.request(method, self.engine.url + path, headers=headers, timeout=PATIENCE_S, json=body or None)
        return answer.raise_for_status().json()

    def positions(self) -> list[dict[str, Any]]:
        """What the engine answers with the key of the suite's clients."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = httpx.get(f"{self.engine.url}/api/positions", headers=headers, timeout=PATIENCE_S)
        return list(answer.raise_for_status().json()["positions"])

    @property
    def order_workers(self) -> list[str]:
        return [f"orders-{n}" for n in range(1, int(self.shape.environment.get("WORKERS_ORDERS", "1")) + 1)]

    @property
    def processes(self) -> list[str]:
        return ["web", *self.order_workers, "quotes", "limit", "sniper", "dbsync", "beat"]

    # --- Postgres, Redis, chain --------------------------------------------------------------------------------------
    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Past every proxy. Raises `psycopg.OperationalError`."""
        with psycopg.connect(self.database_url, autocommit=True, connect_timeout=PATIENCE_S) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.redis_url, socket_timeout=PATIENCE_S)

    def chain(self) -> MockChain:
        return mock_world(
            self.engine.data_dir, seed=None, latency=1, failure_rate=0, deadline_ms=1, max_age_ms=1, valid_s=1
        ).chain

    def supervisor(self, method: str, name: str) -> None:
        """`stopProcess` or `startProcess` of an embedded service."""
        group = "storage" if name in ("postgres", "redis", "localnet") else "engine"
        sockets = embedded.socket_folder(self.engine.data_dir / "run")
        Supervisor(self.engine.data_dir, sockets, {}).call(method, f"{group}:{name}", True)

    # --- Signals and crash points ------------------------------------------------------------------------------------
    def signal(self, name: str, signum: int = signal.SIGKILL) -> int | None:
        """None: the process is between two lives."""
        try:
            return self.engine.kill(name, signum)
        except (OSError, ValueError):
            return None

    def arm(self, point: str, signal_name: str = "KILL") -> None:
        """The next process to pass the point gets the signal, once."""
        self.fired.unlink(missing_ok=True)
        new = self.folder / "crash.new"
        new.write_text(f"{point} {signal_name}")
        new.rename(self.control)

    @property
    def fired(self) -> Path:
        return self.folder / "crash.fired"

    async def until_fired(self, limit_s: float = 60) -> int:
        """The pid that the armed point hit."""
        ends = time.monotonic() + limit_s
        while not self.fired.exists():
            if time.monotonic() > ends:
                self.control.unlink(missing_ok=True)
                raise AssertionError("the crash point was not passed")
            await asyncio.sleep(0.02)
        return int(self.fired.read_text())

    # --- What runs ---------------------------------------------------------------------------------------------------
    def all_runs(self) -> bool:
        """Whether the web answers, every order worker beats and the reconciler is at work: in the lives they live now."""
        with contextlib.suppress(OSError, ValueError, psutil.Error, psycopg.Error, httpx.HTTPError):
            httpx.get(f"{self.engine.url}/healthz", timeout=2).raise_for_status()
            beating = self.sql(
                "SELECT pid FROM orders_executor WHERE state = 'alive' AND heartbeat_at > now() - interval '4 s'"
            )
            born = psutil.Process(self.engine.pid("dbsync")).create_time()
            passes = self.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orderengine:dbsync'"
                " AND backend_start > to_timestamp(%s)",
                born,
            )
            return {self.engine.pid(name) for name in self.order_workers} <= {row[0] for row in beating} and passes[0][
                0
            ] > 0
        return False

    async def until_all_runs(self, limit_s: float) -> bool:
        ends = time.monotonic() + limit_s
        while not await asyncio.to_thread(self.all_runs):
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(0.3)
        return True

    # --- Normality ---------------------------------------------------------------------------------------------------
    def abnormal(self) -> list[str]:
        """What a quiet engine should not show: connections, memory, queues, executors."""
        found = []
        for name, count in self.sql(
            "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        ):
            if count > MAX_CONNECTIONS:
                found.append(f"{count} connections of {name}")
        alive = self.sql("SELECT count(*) FROM orders_executor WHERE state = 'alive'")[0][0]
        if alive != len(self.order_workers):
            found.append(f"{alive} executors are alive")
        client = self.redis()
        for queue in ("orders", "quotes", "limit", "sniper", "dbsync"):
            if (waiting := client.llen(queue)) > MAX_WAITING:
                found.append(f"{waiting} messages wait on {queue}")
        return [f"back_to_normal: {each}" for each in [*found, *self.heavy()]]

    def heavy(self) -> list[str]:
        """Processes that hold more memory than any has a use for."""
        found = []
        for name in self.processes:
            with contextlib.suppress(psutil.Error, OSError, ValueError):
                if (memory := psutil.Process(self.engine.pid(name)).memory_info().rss) > MAX_MEMORY:
                    found.append(f"{name} holds {memory // 2**20} MB")
        return found
