"""A whole engine for acceptance, chaos and browser tests: own data folder and port, removed at the end.

    def test_it(engine):                      # one engine for all tests of the module
        httpx.get(engine.url + "/readyz")

    def test_other(start_engine):             # as many as wanted, with an environment of their own
        engine = start_engine(MOCK_LATENCY="0", WORKERS_ORDERS="2")

Without a data folder they start on a copy of a prepared one; `fresh` ones on nothing, as after a clone.

Outside pytest: `with Engine(MOCK_SEED="1").running() as engine: …`.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import template

BASE_DIR = Path(__file__).resolve().parent.parent
READY_S = 90
STOP_S = 40
"""Ten are promised, which `tests/integration/test_supervision.py` holds it to; everybody else only wants it gone."""
NOT_INHERITED = (
    "DATABASE_URL",
    "REDIS_URL",
    "EMBEDDED",
    "SECRET_KEY",
    "DJANGO_SETTINGS_MODULE",
    "CELERY_BROKER_URL",
)
LOG_LINES = 25
MOCK_ONLY = pytest.mark.skipif(
    os.environ.get("TEST_EXECUTION_MODE", "mock") != "mock", reason="the mock's figures; a chain has others"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Engine:
    def __init__(
        self, data_dir: Path | None = None, *, fresh: bool = False, code: Path = BASE_DIR, **environment: str
    ) -> None:
        """`code` is the checkout it runs from: another one than this is an engine of another version."""
        self.code = code
        self.owned = data_dir is None
        self._bare = self.owned and not fresh
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="orderengine-run-"))
        self.port = int(environment.pop("PORT", 0)) or free_port()
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        if broker := inherited.pop("TEST_BROKER_URL", None):  # `tests.acceptance.on_rabbitmq`
            inherited["CELERY_BROKER_URL"] = broker
        if mode := inherited.pop("TEST_EXECUTION_MODE", None):  # The tests' own process stays with the mock.
            inherited["EXECUTION_MODE"] = mode
        self.env = inherited | {"PORT": str(self.port), "DATA_DIR": str(self.data_dir)} | environment
        descriptor, output = tempfile.mkstemp(prefix="orderengine-out-")
        os.close(descriptor)
        self.output = Path(output)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "credentials.json").read_text()))

    @property
    def services(self) -> dict[str, str]:
        """databaseUrl, redisUrl, flowerUrl."""
        return dict(json.loads((self.data_dir / "run" / "services.json").read_text()))

    @property
    def mode(self) -> str:
        return self.env.get("EXECUTION_MODE") or "mock"

    @property
    def localnet(self) -> dict[str, Any]:
        """Its addresses, with `EXECUTION_MODE=localnet`."""
        return dict(json.loads((self.data_dir / "run" / "localnet.json").read_text()))

    def start(self, wait: bool = True) -> "Engine":
        if self._bare:
            template.lay(self.data_dir)
            self._bare = False
        command = [sys.executable, "-m", "orderengine", "--die-with-parent"]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.code,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, limit_s: float = READY_S) -> None:
        end = time.monotonic() + limit_s
        while not any(line.startswith("ready ") for line in self.said().splitlines()):
            if time.monotonic() > end or (self.process and self.process.poll() is not None):
                report = self.report()
                self.stop()
                raise AssertionError(f"the engine is not ready\n{report}")
            time.sleep(0.05)

    def said(self) -> str:
        """What the foreground command printed."""
        return self.output.read_text(errors="replace")

    def pid(self, name: str) -> int:
        """Of `web`, `orders-1`, …, `postgres`, `redis`, `supervisord`."""
        return int((self.data_dir / "run" / f"{name}.pid").read_text())

    def kill(self, name: str, signum: int = signal.SIGKILL) -> int:
        """Returns the pid that got the signal."""
        pid = self.pid(name)
        os.kill(pid, signum)
        return pid

    def wait_restarted(self, name: str, old: int, limit_s: float = 20) -> float:
        """Seconds until another process has the name."""
        start = time.monotonic()
        while time.monotonic() - start < limit_s:
            with contextlib.suppress(FileNotFoundError, ValueError):
                if self.pid(name) != old:
                    return time.monotonic() - start
            time.sleep(0.01)
        raise AssertionError(f"{name} was not restarted\n{self.report(name)}")

    def log(self, name: str) -> str:
        file = self.data_dir / "log" / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def report(self, *names: str) -> str:
        """The foreground's words and the end of every log."""
        logs = names or tuple(sorted(file.stem for file in (self.data_dir / "log").glob("*.log")))
        parts = [self.said()]
        parts += [f"--- {name}\n" + "\n".join(self.log(name).splitlines()[-LOG_LINES:]) for name in logs]
        return "\n".join(parts)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Returns the exit code; the data stays until `remove`."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the engine did not stop within {STOP_S} s\n{self.report()}") from None

    def remove(self) -> None:
        self.output.unlink(missing_ok=True)
        if self.owned:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    @contextlib.contextmanager
    def running(self) -> Iterator["Engine"]:
        try:
            yield self.start()
        finally:
            self.stop()
            self.remove()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine().running() as engine:
        yield engine


@pytest.fixture
def start_engine(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    def start(data_dir: Path | None = None, wait: bool = True, **environment: str) -> Engine:
        engine = Engine(data_dir, **environment)
        request.addfinalizer(engine.remove)
        request.addfinalizer(engine.stop)
        request.node.stash.setdefault(STARTED, []).append(engine)
        return engine.start(wait)

    return start


STARTED = pytest.StashKey[list[Engine]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        engines = list(item.stash.get(STARTED, []))
        engines += [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Engine)]
        report.sections += [(f"engine on port {engine.port}", engine.report()) for engine in engines]
    return report
