"""`pip install` of the wheel into an empty environment, then `orderengine run` there as a user without rights."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.machine.wheels import wheel
from tests.engine import BASE_DIR, free_port
from tests.waiting import until

NOBODY = 65534
PYTHON = "/usr/bin/python3" if os.geteuid() == 0 else "python3"
"""Whoever has no rights cannot use an interpreter in root's home folder."""
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "slippageBps": 5000}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="orderengine-wheel-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def installed(home: Path) -> Path:
    """The environment's folder."""
    pip = shutil.which("pip") or str(BASE_DIR / ".venv/bin/pip")
    if not Path(PYTHON).exists() and not shutil.which(PYTHON):
        pytest.skip("no Python for everybody: apt-get install python3")
    made = wheel(BASE_DIR, home)
    environment = home / "environment"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([pip, "--python", python, "install", "-q", str(made)], check=True)
    return environment


def test_a_stranger_installs_it_and_places_an_order(installed: Path, home: Path) -> None:
    folder = home / "empty"
    folder.mkdir()
    port = free_port()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PORT": str(port), "MOCK_LATENCY": "0.1"}
    who: dict[str, int] = {}
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        who = {"user": NOBODY, "group": NOBODY}
    program = str(installed / "bin" / "orderengine")
    output = home / "run.log"
    with output.open("wb") as log:
        engine = subprocess.Popen([program, "run"], cwd=folder, env=environment, stdout=log, stderr=log, **who)  # type: ignore[call-overload]
    try:
        until(lambda: f"ready http://127.0.0.1:{port}" in output.read_text() or engine.poll() is not None, 180, 0.5)
        assert engine.poll() is None, output.read_text()
        answer = httpx.post(f"http://127.0.0.1:{port}/api/orders/execute", json=ORDER, timeout=30)
        assert answer.status_code == 200, answer.text
        url = f"http://127.0.0.1:{port}/api/orders/{answer.json()['orderId']}"
        until(lambda: httpx.get(url, timeout=30).json()["status"] == "confirmed", 60, 0.3)
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30).status_code == 200, "the pages are in the wheel"
        listed = subprocess.run(
            [program, "manage", "orders", "--json"], cwd=folder, env=environment, capture_output=True, text=True, **who
        )  # type: ignore[call-overload]
        assert listed.returncode == 0 and answer.json()["orderId"] in listed.stdout, listed.stderr
    finally:
        engine.terminate()
        engine.wait(60)
    assert (folder / ".data" / "credentials.json").stat().st_mode & 0o077 == 0
    assert {file.name for file in (installed / "share" / "orderengine").iterdir()} >= {"systemd", "proxy", "postgres"}


def test_what_it_does_not_know_it_says(installed: Path) -> None:
    done = subprocess.run([str(installed / "bin" / "orderengine"), "nonsense"], capture_output=True, text=True)
    assert done.returncode == 1 and "there is no process 'nonsense'" in done.stderr
    assert subprocess.run([str(installed / "bin" / "orderengine")], capture_output=True).returncode == 2
