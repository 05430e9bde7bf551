"""Starts of an engine: in every legal folder, on every legal address, under every shell; and what a failed one says."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import fleet
from tests.engine import BASE_DIR, Engine
from tests.waiting import until

SHELL = {
    "PGSSLMODE": "require",
    "PGHOSTADDR": "10.0.0.1",
    "PGSERVICE": "elsewhere",
    "PGDATESTYLE": "German",
    "PGCLIENTENCODING": "LATIN1",
    "DJANGO_SETTINGS_MODULE": "of.another.project",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "LC_ALL": "xx_XX.UTF-8",
}
"""What a developer's shell may hold and no engine may notice."""
WORKERS = {f"{name}@" for kind in fleet.KINDS if kind.queue for name in fleet.names(kind, 1)}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """On fresh data in a folder whose name has everything in it, on IPv6, in a hostile shell, logging JSON."""
    folder = tmp_path_factory.mktemp("odd") / "50 % off # 1 ; a, b 'c' é"
    engine = Engine(folder, HOST="::1", LOG_FORMAT="json", MOCK_LATENCY="0", **SHELL)
    try:
        yield engine.start()
    finally:
        engine.stop()
        engine.remove()


@pytest.fixture(scope="module")
def client(odd: Engine) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://[::1]:{odd.port}", trust_env=False, timeout=30) as client:
        yield client


def test_nothing_that_it_makes_is_open_to_others(odd: Engine) -> None:
    """Whatever the folder's own mode: it may be one that others read, and hold other things."""
    made = [path for path in odd.data_dir.rglob("*") if not path.is_symlink()]
    assert len(made) > 20
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []


def test_it_says_where_it_is(odd: Engine) -> None:
    assert odd.said().splitlines()[-1] == f"ready http://[::1]:{odd.port}"


def test_an_order_is_confirmed_there(client: httpx.Client) -> None:
    order = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
    answer = client.post("/api/orders/execute", json=order)
    assert answer.status_code == 200, answer.text
    until(lambda: client.get(f"/api/orders/{answer.json()['orderId']}").json()["status"] == "confirmed", 60)


def flower(odd: Engine) -> dict[str, Any]:
    """Flower's workers by name."""
    environment = Path(f"/proc/{odd.pid('web')}/environ").read_bytes().decode().split("\0")
    name, _, password = next(v for v in environment if v.startswith("FLOWER_BASIC_AUTH="))[18:].partition(":")
    with contextlib.suppress(httpx.TransportError, ValueError):
        answer = httpx.get(f"{odd.services['flowerUrl']}/workers?json=1", auth=(name, password), trust_env=False)
        return {worker["hostname"]: worker for worker in answer.json()["data"]}
    return {}


def test_flower_lists_every_worker_soon_and_shows_a_killed_one(odd: Engine) -> None:
    """Also one that has nothing to do. The limits are for a busy machine; figures: docs/operations.md."""
    until(lambda: {f"{name.partition('@')[0]}@" for name in flower(odd)} == WORKERS, 30)
    until(lambda: all(worker["status"] for worker in flower(odd).values()), 30)
    supervisord = odd.pid("supervisord")
    os.kill(supervisord, signal.SIGSTOP)  # Or the worker is back before anybody sees that it was gone.
    try:
        odd.kill("sniper")
        until(lambda: not next(w for name, w in flower(odd).items() if name.startswith("sniper"))["status"], 30)
    finally:
        os.kill(supervisord, signal.SIGCONT)
    until(lambda: all(worker["status"] for worker in flower(odd).values()), 60)


def test_every_line_is_json_and_no_start_warns(odd: Engine, client: httpx.Client) -> None:
    client.get("/api/pairs", headers={"Host": "evil.example"})
    client.get("/", headers={"Host": "evil.example", "Origin": "http://["})
    until(lambda: "evil.example" in odd.log("web"), 10)
    names = [name for kind in fleet.KINDS for name in fleet.names(kind, 1)]
    for name in names:
        for line in odd.log(name).splitlines():
            said = json.loads(line)
            assert "superuser privileges" not in line and "static-root" not in line, line
            assert said["level"] in ("debug", "info", "warning", "error", "critical"), line
            assert "Traceback" not in line, line
    assert "starting up" not in odd.log("postgres")


def test_the_command_line_works_in_that_shell(odd: Engine) -> None:
    command = [sys.executable, "manage.py", "keys", "list"]
    done = subprocess.run(command, cwd=BASE_DIR, env=odd.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "demo" in done.stdout, done.stderr


def test_a_stop_is_json_too(odd: Engine) -> None:
    assert odd.stop() == 0
    for name in ("orders-1", "quotes", "beat", "web"):
        for line in odd.log(name).splitlines():
            json.loads(line)


def test_a_folder_without_room_for_credentials_is_no_reason_for_new_ones(odd: Engine, tmp_path: Path) -> None:
    """The database's word counts: without its file an engine starts, and nobody's password changes."""
    (odd.data_dir / "credentials.json").rename(tmp_path / "kept.json")
    odd.start()
    try:
        assert not (odd.data_dir / "credentials.json").exists()
        until(lambda: flower(odd), 60)
    finally:
        odd.stop()
        shutil.move(tmp_path / "kept.json", odd.data_dir / "credentials.json")


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"HOST": "x86_64-conda-linux-gnu.invalid"}, "HOST 'x86_64-conda-linux-gnu.invalid' is no address"),
        ({"HOST": "203.0.113.9"}, "HOST '203.0.113.9' is no address of this machine"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be DEBUG"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/none", "SECRET_KEY": "k" * 50}, "onnection refused"),
    ],
)
def test_a_failed_start_says_why_in_its_last_line(
    start_engine: Callable[..., Engine], variables: dict[str, str], why: str
) -> None:
    engine = start_engine(wait=False, **variables)
    assert engine.process and engine.process.wait(60) == 1
    assert why in engine.said().splitlines()[-1]


def test_all_addresses_answer_to_this_machine_s_names(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(HOST="0.0.0.0")
    for name in ("127.0.0.1", "localhost", socket.gethostname()):
        answer = httpx.get(f"{engine.url}/api/pairs", headers={"Host": f"{name}:{engine.port}"}, trust_env=False)
        assert answer.status_code in (200, 401), (name, answer.text)
    assert re.search(r"^ready http://0\.0\.0\.0:", engine.said(), re.MULTILINE)
