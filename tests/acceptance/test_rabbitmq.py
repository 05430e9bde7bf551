"""RabbitMQ as the broker: quorum queues, publisher confirms, and a broker that is killed under load."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.test_metrics import scrape
from tests.engine import Engine, free_port
from tests.waiting import until

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "slippageBps": 5000}
ENDED = ("confirmed", "failed")

pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "rabbitmq-server").exists() or shutil.which("epmd") is None,
    reason="no RabbitMQ here: apt-get install rabbitmq-server",
)


class RabbitMQ:
    """A broker of the test's own: data, ports and Erlang's port mapper."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="orderengine-rabbitmq-"))
        self.port, mapper = free_port(), free_port()
        (self.home / "plugins").write_text("[].\n")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"engine{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.home / "none"),
        }
        command = ["epmd", "-port", str(mapper), "-address", "127.0.0.1"]
        self.mapper = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.broker: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        self.launch()
        self.wait()

    def launch(self) -> None:
        with (self.home / "out").open("ab") as out:
            command = [str(PROGRAMS / "rabbitmq-server")]
            self.broker = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def wait(self) -> None:
        until(lambda: self.ask("await_startup", "--timeout", "20", check=False), 120, 1)

    def ask(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "-q", *command],
            env=self.environment | {"RABBITMQ_CTL_ERL_ARGS": ""},
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, done.stderr
        return (done.stdout or "ok") if done.returncode == 0 else ""

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self.broker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.broker.pid, signum)
            self.broker.wait(60)

    def remove(self) -> None:
        self.kill()
        self.mapper.kill()
        self.mapper.wait()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    broker = RabbitMQ()
    try:
        broker.launch()
        yield broker
    finally:
        broker.remove()


@pytest.fixture(scope="module")
def engine(rabbitmq: RabbitMQ) -> Iterator[Engine]:
    """Both take long to start, so they start together."""
    engine = Engine(
        EXECUTION_MODE="mock",
        CELERY_BROKER_URL=rabbitmq.url,
        MOCK_LATENCY="0.1",
        MOCK_FAILURE_RATE="0.2",
        RETRY_BASE_MS="100",
    )
    try:
        engine.start(wait=False)
        rabbitmq.wait()
        engine.wait_ready()
        yield engine
    finally:
        engine.stop()
        engine.remove()


def ended(engine: Engine) -> int:
    samples = scrape(engine)
    return int(sum(samples.get(f"orderengine_orders_final_total{{status={status}}}", 0) for status in ENDED))


def post(engine: Engine, batches: int) -> None:
    for _ in range(batches):
        answer = httpx.post(f"{engine.url}/api/orders/batch", json={"orders": [ORDER] * 100}, timeout=30)
        assert answer.status_code == 200 and all("orderId" in result for result in answer.json()["results"])


def test_orders_go_through_quorum_queues_with_their_retries(engine: Engine, rabbitmq: RabbitMQ) -> None:
    began = time.monotonic()
    post(engine, 3)
    until(lambda: ended(engine) >= 300, 120, 0.5)
    print(f"\n300 orders through RabbitMQ in {time.monotonic() - began:.1f} s")
    queues = dict(line.split("\t") for line in rabbitmq.ask("list_queues", "name", "type").splitlines()[1:])
    for name in ("orders", "quotes", "limit", "sniper", "dbsync", "dead"):
        assert queues[name] == "quorum", queues
    samples = scrape(engine)
    assert sum(n for name, n in samples.items() if "attempts_failed_total" in name) > 0, "some attempts were repeated"
    assert samples["orderengine_dependency_up{dependency=broker}"] == 1
    assert "not sent" not in engine.log("orders-1"), "retries are dispatched, however soon they are due"
    for worker in ("orders-1", "quotes", "limit", "sniper", "dbsync"):
        assert '"critical"' not in engine.log(worker), engine.log(worker)


def test_a_killed_broker_delays_orders_and_loses_none(engine: Engine, rabbitmq: RabbitMQ) -> None:
    before = ended(engine)
    post(engine, 1)
    rabbitmq.kill()
    began = time.monotonic()
    post(engine, 1)  # Accepting needs no broker.
    assert time.monotonic() - began < 20
    rabbitmq.start()
    until(lambda: ended(engine) >= before + 200, 180, 0.5)
    print(f"\n200 orders ended {time.monotonic() - began:.1f} s after the broker was killed")
