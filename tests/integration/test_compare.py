"""The comparison with another engine: a stand-in is started, loaded by k6, asked for its orders, and gone afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import compare, peers
from orders.lifecycle import FINAL
from tests.engine import BASE_DIR
from tests.waiting import until

ENGINE = """
import itertools, json, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ids = itertools.count(1)
service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pids", "a").write(f"{os.getpid()} {service.pid} {os.environ['DATA_DIR']}\\n")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if os.environ["STATE"] == "busy" and self.path != "/":
            return self.send_error(503)
        self.say({"state": os.environ["STATE"]})

    def do_POST(self):
        assert json.loads(self.rfile.read(int(self.headers["Content-Length"]))) == {"amount": "1"}
        self.say({"data": {"id": f"o{next(ids)}"}})

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def stand_in(folder: Path, name: str = "stand-in", state: str = "done", **changes: str) -> Path:
    """A folder with an engine that accepts everything at once and calls it `state`."""
    folder.mkdir()
    (folder / "engine.py").write_text(ENGINE)
    values = {"start": f"{json.dumps([sys.executable, 'engine.py'])}", "id": '"data.id"'} | changes
    (folder / "peer.toml").write_text(
        f"""name = "{name}"
start = {values["start"]}
environment = {{ STATE = "{state}" }}
[order]
path = "/orders"
body = {{ amount = "1" }}
id = {values["id"]}
status_path = "/orders/{{id}}"
status = "state"
final = ["done"]
"""
    )
    return folder


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.compare", *arguments]
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False, timeout=120)


def left(folder: Path) -> list[str]:
    """Processes and data folders of a stand-in that are still there."""
    found = []
    for line in (folder / "pids").read_text().splitlines():
        engine, service, data = line.split()
        found += [pid for pid in (engine, service) if os.path.exists(f"/proc/{pid}")]
        found += [data] if Path(data).parent.exists() else []
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_engines_are_measured_in_turn_and_leave_nothing(tmp_path: Path) -> None:
    one, other = stand_in(tmp_path / "a", "one"), stand_in(tmp_path / "b", "other")
    out = tmp_path / "figures.json"

    done = run(str(other), "--with", str(one), "--rounds", "1", "--seconds", "1", "--rate", "20", "--out", str(out))

    assert done.returncode == 0, done.stderr
    assert done.stdout.index("one, round 1") < done.stdout.index("other, round 1")
    [figures] = json.loads(out.read_text())["rounds"]
    for name in ("one", "other"):
        assert 10 < figures[name]["20/s: accepted/s"] < 30
        assert figures[name]["50 clients: accepted/s"] > figures[name]["20/s: accepted/s"]
        assert figures[name]["20/s: CPU an order, ms"] > 0
        assert figures[name]["20/s: all final after the last, s"] is not None
        # The engine and the service that it started.
        assert figures[name]["idle: memory, MiB"] > 8
    until(lambda: not left(one) + left(other), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("state", ["stuck", "busy"])
def test_orders_that_do_not_end_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Or of which the engine does not say it."""
    monkeypatch.setattr(compare, "DRAIN_S", 0.3)
    with peers.running(peers.read(stand_in(tmp_path / "a", state=state))) as running:
        assert compare.load(running, seconds=1, rate=20).all_final_s is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "[]"}, "start is empty"),
        ({"start": '["no-such-program"]'}, "cannot be started"),
        ({"start": json.dumps([sys.executable, "-c", "import sys; sys.exit('no database')"])}, "no database"),
        ({"start": "1"}, "Expected `array`"),
        ({"id": '"orderId"'}, "has no field orderId"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    folder = stand_in(tmp_path / "a", **changes)

    done = run(str(folder), "--with", str(folder), "--rounds", "1", "--seconds", "1", "--rate", "20")

    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    if (folder / "pids").exists():
        until(lambda: not left(folder), 10)


def test_this_engine_is_described(tmp_path: Path) -> None:
    peer = peers.read(compare.HERE)

    assert Path(peer.folder) == BASE_DIR
    assert set(peer.order.final) == set(FINAL)
    assert msgspec.toml.decode((compare.HERE / "peer.toml").read_bytes())["name"] == "orderengine"
