"""Engines of the benchmarks' own, and what every benchmark asks of one."""

import configparser
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks import consumption
from benchmarks.generator import Spec
from orderengine.host.supervisor import Supervisor
from tests.engine import BASE_DIR, Engine

DATA_PREFIX = "bench-"
QUIET_CPU = 0.25
"""Cores in use below which an engine counts as started up."""
MAX_QUIET_S = 60.0
MARKET = '{"tokenIn":"SOL","tokenOut":"USDC","amount":"1.5","type":"market"}'


class Unfinished(Exception):
    """Orders were accepted and not finished in time."""


class BenchEngine:
    """A running engine and its database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run_dir = engine.data_dir / "run"
        self.key = str(engine.credentials["apiKey"])
        self.database = psycopg.connect(engine.services["databaseUrl"], autocommit=True)

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        return self.database.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> Any:
        return self.rows(query, *parameters)[0]

    def cpu(self) -> dict[str, float]:
        return consumption.cpu(self.run_dir)

    def memory(self) -> dict[str, int]:
        return consumption.memory(self.run_dir)

    def until_quiet(self) -> None:
        """Waits until every process has started up and sits idle."""
        end = time.monotonic() + MAX_QUIET_S
        before = self.cpu()
        quiet = 0
        while quiet < 2 and time.monotonic() < end:
            time.sleep(1)
            after = self.cpu()
            quiet = quiet + 1 if sum(consumption.spent(before, after).values()) < QUIET_CPU else 0
            before = after

    def spec(self, mode: str, **fields: Any) -> Spec:
        return Spec(mode=mode, port=self.engine.port, key=self.key, **({"body": MARKET} | fields))

    def load(self, mode: str, **fields: Any) -> dict[str, Any]:
        """Runs the load generator in a process of its own; returns what it measured."""
        return finished(generate(self.spec(mode, **fields)))

    @contextlib.contextmanager
    def held(self, paths: Sequence[str], **fields: Any) -> Iterator[dict[str, Any]]:
        """Keeps sockets open inside; the dictionary is filled at the end."""
        child = generate(self.spec("hold", paths=list(paths), **fields), stdin=True)
        result: dict[str, Any] = {}
        try:
            assert child.stdout is not None
            if child.stdout.readline() != b"open\n":
                raise RuntimeError("the sockets did not open")
            yield result
            result.update(msgspec.json.decode(child.communicate(timeout=60)[0]))
        finally:
            child.kill()
            child.wait()

    def until_finished(self, limit_s: float = 120) -> None:
        """Waits until no order is in work. Raises `Unfinished`."""
        end = time.monotonic() + limit_s
        while (left := self.row("SELECT count(*) FROM orders_order WHERE run_at IS NOT NULL")[0]) > 0:
            if time.monotonic() > end:
                raise Unfinished(f"{left} orders are not finished after {limit_s:.0f} s")
            time.sleep(0.25)

    def post_batches(self, count: int, order: dict[str, Any]) -> list[str]:
        """Accepts orders a hundred at a time; their ids."""
        import httpx

        ids: list[str] = []
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.engine.url, headers=headers, timeout=30) as client:
            while len(ids) < count:
                body = {"orders": [order] * min(100, count - len(ids))}
                answer = client.post("/api/orders/batch", json=body).raise_for_status().json()
                ids += [result["orderId"] for result in answer["results"]]
        return ids

    def keep_commit_times(self) -> None:
        """From now on Postgres remembers when each transaction was committed (`pg_xact_commit_timestamp`)."""
        self.database.close()
        # The engine's role may not: it is no superuser.
        with (self.engine.data_dir / "postgres" / "postgresql.auto.conf").open("a") as settings:
            settings.write("track_commit_timestamp = on\n")
        self.control("stopProcess", "storage:postgres")
        self.control("startProcess", "storage:postgres")
        self.database = connected(self.engine.services["databaseUrl"])

    def order_workers(self, method: str) -> None:
        """`startProcess` or `stopProcess`, all of them at once."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda name: self.control(method, f"engine:{name}"), self.workers))

    @property
    def workers(self) -> list[str]:
        return [file.stem for file in self.run_dir.glob("orders-*.pid")]

    def control(self, method: str, process: str) -> None:
        """`startProcess`, `stopProcess` or `stopProcessGroup` through the engine's own supervisor."""
        settings = configparser.RawConfigParser()
        settings.read(self.run_dir / "supervisord.conf")
        folder = Path(settings["unix_http_server"]["file"]).parent
        if Supervisor(self.engine.data_dir, folder, {}).call(method, process, True) is None:
            raise RuntimeError(f"{method} {process} failed")


def connected(url: str, limit_s: float = 60) -> psycopg.Connection[Any]:
    """Waits for a Postgres that starts."""
    end = time.monotonic() + limit_s
    while True:
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def generate(spec: Spec, stdin: bool = False) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.generator"],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(spec) + b"\n")
    child.stdin.flush()
    if not stdin:
        child.stdin.close()
        child.stdin = None
    return child


def finished(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a load generator measured, once it has ended."""
    said, _ = child.communicate(timeout=900)
    if child.returncode:
        raise RuntimeError(f"the load generator ended with {child.returncode}")
    return dict(msgspec.json.decode(said))


@contextlib.contextmanager
def running(quiet: bool = True, **environment: str) -> Iterator[BenchEngine]:
    """A fresh engine; stopped and removed at the end, whatever happens."""
    data_dir = Path(tempfile.mkdtemp(prefix=DATA_PREFIX))
    try:
        with Engine(data_dir, **environment).running() as engine:
            bench = BenchEngine(engine)
            try:
                if quiet:
                    bench.until_quiet()
                yield bench
            finally:
                bench.database.close()
    finally:
        remove(data_dir)


def remove(folder: Path) -> None:
    """A Postgres that was cut short may still be writing for a moment."""
    end = time.monotonic() + 30
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < end)
        time.sleep(0.1)
