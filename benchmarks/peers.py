"""Engines to be compared, each described by `peer.toml` in a folder: how it starts, takes an order, and says how that ended."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import consumption
from tests.engine import free_port

START_S = 120.0
STOP_S = 30.0
ASK_S = 5.0


class Unusable(Exception):
    """The description cannot be read, or the engine does not do what it says."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """How an order is posted and asked for."""

    path: str
    body: dict[str, Any]
    id: str
    """The field of the answer that has the order's id."""
    status_path: str
    """With `{id}` in the order's place."""
    status: str
    """The field that has its status."""
    final: list[str]
    """Statuses after which nothing follows."""
    headers: dict[str, str] = {}


class Peer(msgspec.Struct, forbid_unknown_fields=True):
    """The file's content. `start` runs in `folder` (relative to the file) with PORT and DATA_DIR in its environment.

    What it needs (a database, say) it starts itself, so that it is counted.
    """

    name: str
    start: list[str]
    order: Order
    ready: str = "/"
    """A path that answers 2xx once orders are taken."""
    folder: str = "."
    environment: dict[str, str] = {}


def read(folder: Path) -> Peer:
    """Raises `Unusable`. The folder of the answer is absolute."""
    file = folder / "peer.toml"
    try:
        peer = msgspec.convert(tomllib.loads(file.read_text()), Peer)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Unusable(f"{file}: {error}") from error
    if not peer.start:
        raise Unusable(f"{file}: start is empty")
    return msgspec.structs.replace(peer, folder=str((folder / peer.folder).resolve()))


class Running:
    """A peer that takes orders."""

    def __init__(self, peer: Peer, port: int, process: "subprocess.Popen[bytes]", started_s: float) -> None:
        self.peer, self.process, self.started_s = peer, process, started_s
        self.url = f"http://127.0.0.1:{port}"

    def pids(self) -> list[int]:
        return list(consumption.tree(self.process.pid, consumption.children()))

    def cpu_s(self) -> float:
        """Of every process so far, those that have ended included."""
        return sum(map(consumption.cpu_s, self.pids()))

    def memory_mib(self) -> float:
        return sum(map(consumption.memory_kib, self.pids())) / 1024

    def is_final(self, order_id: str) -> bool:
        path = self.peer.order.status_path.replace("{id}", order_id)
        try:
            answer = ask(self.url + path, self.peer.order.headers)
        except OSError:  # Too busy to say; it is asked again.
            return False
        return field(msgspec.json.decode(answer), self.peer.order.status) in self.peer.order.final

    def until_quiet(self, limit_s: float = 60.0) -> None:
        """Waits until it has started up: a fifth of a core or less in two seconds one after the other."""
        end, quiet = time.monotonic() + limit_s, 0
        while quiet < 2 and time.monotonic() < end:
            before = self.cpu_s()
            time.sleep(1)
            quiet = quiet + 1 if self.cpu_s() - before <= 0.2 else 0


def field(answer: Any, name: str) -> Any:
    """`data.order.id` of nested objects. Raises `Unusable`."""
    for part in name.split("."):
        if not isinstance(answer, Mapping) or part not in answer:
            raise Unusable(f"an answer has no field {name}")
        answer = answer[part]
    return answer


def ask(url: str, headers: Mapping[str, str]) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=ASK_S) as answer:
        return bytes(answer.read())


def answers(url: str) -> bool:
    try:
        ask(url, {})
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return True


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[Running]:
    """Starts it on a free port with an empty data folder; ends all of it and removes the folder. Raises `Unusable`."""
    data_dir = Path(tempfile.mkdtemp(prefix="compare-"))
    port = free_port()
    environment = os.environ | peer.environment | {"PORT": str(port), "DATA_DIR": str(data_dir / "data")}
    with (data_dir / "output").open("wb") as output:
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                peer.start, cwd=peer.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            shutil.rmtree(data_dir, ignore_errors=True)
            raise Unusable(f"{peer.name} cannot be started: {error}") from error
        try:
            while not answers(f"http://127.0.0.1:{port}{peer.ready}"):
                if process.poll() is not None or time.monotonic() - began > START_S:
                    said = (data_dir / "output").read_text(errors="replace").strip()[-500:]
                    raise Unusable(f"{peer.name} does not take orders: {said}")
                time.sleep(0.02)
            yield Running(peer, port, process, time.monotonic() - began)
        finally:
            stop(process)
            shutil.rmtree(data_dir, ignore_errors=True)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """In order if it can; whatever is left of its session is killed."""
    left = list(consumption.tree(process.pid, consumption.children()))
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    for pid in left:
        if same_session(pid, process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def same_session(pid: int, session: int) -> bool:
    """Whether the process is still one of ours: a pid may have been given to another since."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == session
    return False
