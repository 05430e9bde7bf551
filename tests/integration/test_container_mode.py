"""`python -m orderengine.container`: the table's processes, each started on its own, on one host."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from orderengine import container
from orders.ledger.statements import Connection
from runtime import fleet
from tests.engine import BASE_DIR, free_port
from tests.waiting import until


@contextlib.contextmanager
def running(tmp_path: Path, name: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = os.environ | {"DATA_DIR": str(tmp_path), "SECRET_KEY": "k" * 50, "MOCK_LATENCY": "0"} | variables
    command = [sys.executable, "-m", "orderengine.container", name]
    with (tmp_path / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        finally:
            child.kill()


def said(tmp_path: Path, name: str) -> str:
    return (tmp_path / f"{name}.log").read_text()


def ready(tmp_path: Path, *names: str) -> bool:
    return all(f"{name}@{os.uname().nodename} ready." in said(tmp_path, "orders") for name in names)


def test_workers_of_one_host_have_names_of_their_own(database: Connection, tmp_path: Path) -> None:
    """Twice two: as many as WORKERS_ORDERS says, each under a name that no other has; one that ended leaves its name."""
    with running(tmp_path, "orders", WORKERS_ORDERS="2") as first:
        until(lambda: ready(tmp_path, "orders-1", "orders-2"), 60)
        with running(tmp_path, "orders", WORKERS_ORDERS="2") as second:
            until(lambda: ready(tmp_path, "orders-3", "orders-4"), 60)
            [child, _] = psutil.Process(second.pid).children()
            child.kill()
            until(lambda: "@" in said(tmp_path, "orders") and len(psutil.Process(second.pid).children()) == 2, 30)
            until(lambda: said(tmp_path, "orders").count(" ready.") == 5, 60)
        assert second.returncode == 0
        assert len(psutil.Process(first.pid).children()) == 2
    assert first.returncode == 0
    assert not ready(tmp_path, "orders-5"), "a name is used again"


def test_the_children_end_with_their_parent(database: Connection, tmp_path: Path) -> None:
    with running(tmp_path, "orders", WORKERS_ORDERS="2") as parent:
        until(lambda: ready(tmp_path, "orders-1", "orders-2"), 60)
        children = psutil.Process(parent.pid).children()
        parent.kill()
        _, alive = psutil.wait_procs(children, 30)
        assert not alive


def addresses(pid: int) -> set[tuple[str, int]]:
    every = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {found.laddr for process in every for found in process.net_connections("tcp") if found.status == "LISTEN"}


@pytest.mark.parametrize(("host", "workers"), [("127.0.0.1", "2"), ("::1", "1")])
def test_web_listens_where_the_settings_say(database: Connection, tmp_path: Path, host: str, workers: str) -> None:
    port = free_port()
    with running(tmp_path, "web", HOST=host, PORT=str(port), WEB_WORKERS=workers) as web:
        where = f"[{host}]" if ":" in host else host

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://{where}:{port}/healthz", trust_env=False, timeout=20).status_code == 200
            return False

        until(answers, 60)
        assert {tuple(address)[:2] for address in addresses(web.pid)} == {(host, port)}
        if workers != "1":
            until(lambda: len(psutil.Process(web.pid).children()) == int(workers), 30)
    assert web.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("name", "variables", "why"),
    [
        ("web", {"HOST": "x86_64-conda-linux-gnu.invalid"}, "HOST 'x86_64-conda-linux-gnu.invalid' is no address"),
        ("orders", {"WORKERS_ORDERS": "many"}, "WORKERS_ORDERS must be a whole number"),
        ("oders", {}, "there is no process 'oders'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, name: str, variables: dict[str, str], why: str) -> None:
    with running(tmp_path, name, **variables) as child:
        assert child.wait(30) == 1
    [line] = said(tmp_path, name).splitlines()
    assert line.startswith("orderengine: ") and why in line


def test_every_kind_of_the_table_has_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for kind in fleet.KINDS:
        assert container.command(kind.name)[0] == sys.executable


def test_where_names_cannot_be_kept_the_pid_makes_them_differ(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert container.worker_name(fleet.ORDERS, tmp_path / "file" / "names") == f"orders-{os.getpid()}"


def test_an_order_worker_that_cannot_reach_postgres_ends_to_be_started_again(tmp_path: Path) -> None:
    """It would look well, take messages and have no heartbeat."""
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/orderengine"
    with running(tmp_path, "orders", DATABASE_URL=nowhere) as worker:
        until(lambda: worker.poll() is not None, 60)
        assert worker.returncode != 0 and "the worker does not start" in said(tmp_path, "orders")
