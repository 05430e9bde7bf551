"""On a disk of its own that runs full: nobody dies of it, clients get 503, and room is all that is needed to go on."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from orderengine.host import disk
from tests.engine import Engine
from tests.waiting import until

MIB = 1024 * 1024
SHARE = """
import sys
from pathlib import Path
from orders import metrics
from routing import metrics as venues
from runtime import slots
metrics.FENCED.inc(3)
folder = Path(sys.argv[1])
try:
    slots.take(folder, "orders")
except OSError as error:
    print("no room", error.errno, flush=True)
metrics.FENCED.inc()
metrics.STAGE_SECONDS.labels("routing").observe(0.3)
sys.stdin.readline()
slots.take(folder, "orders")
for n in range(2000):
    venues.VENUE_ERRORS.labels("RAYDIUM", f"CODE_{n}").inc()
print("shared", metrics.FENCED._value.get(), flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "orderengine-test", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all the room there is; removing the file frees it."""
    file = folder / "filling"
    with file.open("wb") as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(MIB))
            stream.flush()
    with file.open("ab", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(512))
    return file


def test_metrics_on_a_full_disk_end_no_process(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1 * MIB) as folder:
        (folder / "metrics").mkdir()
        filling = fill(folder)
        command = [sys.executable, "-c", SHARE, str(folder / "metrics")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as child:  # type: ignore[call-overload]
            assert child.stdout.readline().strip() == "no room 28", child.poll()
            filling.unlink()
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline().strip() == "shared 4.0", child.poll()
            child.communicate("\n")
            assert child.returncode == 0


def order() -> dict[str, str]:
    return {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}


def test_a_full_disk_refuses_orders_and_ends_nothing(tmp_path: Path, start_engine: Callable[..., Engine]) -> None:
    with mounted(tmp_path / "disk", 420 * MIB) as folder:
        engine = start_engine(folder / "data", MOCK_LATENCY="0")
        names = ("supervisord", "web", "orders-1", "dbsync", "quotes", "limit", "sniper", "beat")
        until(lambda: all((engine.data_dir / "run" / f"{name}.pid").exists() for name in names), 60)
        accepted: list[str] = []
        with httpx.Client(base_url=engine.url, timeout=30, trust_env=False) as client:
            # Its schedule is made by then: beat cannot start without.
            until(lambda: "quotes" in client.get("/readyz").json()["dependencies"], 60)
            before = {name: engine.pid(name) for name in names}
            filling = fill(folder)
            try:
                codes = post_until_refused(client, accepted)
                assert codes <= {200, 503} and 503 in codes
                said = client.get("/readyz")
                assert said.status_code == 503 and said.json()["dependencies"]["disk"] == "full", said.text
                for n in range(60):  # More log lines than there is room for.
                    assert client.get("/api/pairs", headers={"Host": f"{n}.example"}).status_code == 400
                engine.wait_restarted("limit", engine.kill("limit"))
                after = {name: engine.pid(name) for name in names}
                assert after == before | {"limit": after["limit"]}, engine.report()
            finally:
                filling.unlink()
            until(lambda: client.post("/api/orders/execute", json=order()).status_code == 200, 60)
            until(lambda: client.get("/readyz").status_code == 200, 30)
            for order_id in [*accepted[:3], *accepted[-3:]]:
                url = f"/api/orders/{order_id}"
                until(lambda url=url: client.get(url).json()["status"] == "confirmed", 60)  # type: ignore[misc]
        engine.stop(signal.SIGTERM)
        filling = fill(folder)
        engine.start(wait=False)
        assert engine.process and engine.process.wait(60) == 1
        [line] = engine.said().splitlines()
        assert "is full" in line and f"a start needs {disk.START_BYTES // MIB} MB" in line
        filling.unlink()
        engine.start()


def post_until_refused(client: httpx.Client, accepted: list[str]) -> set[int]:
    """Pages of Postgres that are not full yet take some orders first."""
    codes: set[int] = set()
    for _ in range(300):
        answer = client.post("/api/orders/batch", json={"orders": [order()] * 50})
        codes.add(answer.status_code)
        if answer.status_code != 200:
            break
        results = answer.json()["results"]
        accepted += [each["orderId"] for each in results if "orderId" in each]
        if any("error" in each for each in results):
            assert {each["error"]["code"] for each in results if "error" in each} == {"UNAVAILABLE"}
            codes.add(503)
            break
    return codes
