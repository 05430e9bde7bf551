"""The engine as a user runs it: what dies comes back, what stops leaves nothing, what was killed starts again."""

import contextlib
import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orderengine.host import pidfiles, supervisor
from tests.engine import Engine

NAMES = ["web", "orders-1", "quotes", "limit", "sniper", "dbsync", "beat", "webhooks", "flower", "postgres", "redis"]
RESTART_S = 10.0
"""Two on a machine of its own (0.1 to 0.3 measured); a busy one starts a process when it can."""
ENDS_S = 120
"""For a process that ends by itself, after a complete start at the worst."""


def processes_of(data_dir: Path) -> list[str]:
    """Every process, named in a pid file or not, that was started for this data folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and pidfiles.ours(int(folder.name), data_dir):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def wait_for(met: Callable[[], object], limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


def status(engine: Engine, path: str = "/readyz", timeout: float = 30) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def ready(engine: Engine) -> bool:
    """A request that its web process took to its grave says nothing."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return status(engine) == 200
    return False


@pytest.fixture(scope="module")
def running() -> Iterator[Engine]:
    with Engine(fresh=True).running() as engine:
        yield engine


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")
def test_no_process_drives_another_off_the_processor(running: Engine) -> None:
    chosen = os.sched_getscheduler(0)
    policies = {name: os.sched_getscheduler(running.pid(name)) for name in NAMES}

    assert policies == dict.fromkeys(NAMES, os.SCHED_BATCH if chosen == os.SCHED_OTHER else chosen)


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")
def test_a_policy_that_was_chosen_stays() -> None:
    code = (
        "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0));"
        "from orderengine.host.launch import take_turns; take_turns(); print(os.sched_getscheduler(0))"
    )

    assert int(subprocess.check_output([sys.executable, "-c", code])) == os.SCHED_IDLE


def test_every_process_has_a_pid_file(running: Engine) -> None:
    for name in NAMES:
        assert pidfiles.ours(running.pid(name), running.data_dir), name


PYTHON = [name for name in NAMES if name not in ("postgres", "redis")]


def memory_kib(pid: int, field: str) -> int:
    found = re.search(rf"^{field}: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked after the imports on Linux")
@pytest.mark.parametrize("name", PYTHON)
def test_processes_share_what_they_import(running: Engine, name: str) -> None:
    """Also one that was restarted, as they have been when the tests below have run first."""
    running.wait_restarted(name, running.kill(name))
    wait_for(lambda: Path(f"/proc/{running.pid(name)}/comm").read_text().strip() == name, 30, f"{name} has its name")

    assert psutil.Process(running.pid(name)).ppid() == running.pid("supervisord")
    assert memory_kib(running.pid(name), "Shared_Dirty") > 30_000
    assert memory_kib(running.pid(name), "Pss") < 70_000


def test_secrets_and_data_are_the_owners_only(running: Engine) -> None:
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700
    for file in (running.data_dir / "credentials.json", running.data_dir / "run" / "services.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_secret_is_on_a_command_line(running: Engine) -> None:
    secrets = [running.credentials["admin"]["password"], running.credentials["apiKey"]]
    secrets += [(running.data_dir / "postgres.password").read_text()]

    for command in processes_of(running.data_dir):
        assert not any(secret in command for secret in secrets)


def test_storage_listens_on_no_port(running: Engine) -> None:
    for name in ("postgres", "redis"):
        process = psutil.Process(running.pid(name))

        assert process.net_connections("unix")
        assert not process.net_connections("inet"), name


def test_postgres_is_no_root(running: Engine) -> None:
    assert Path(f"/proc/{running.pid('postgres')}").stat().st_uid != 0


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_is_back_soon(running: Engine, name: str) -> None:
    old = running.kill(name)

    assert running.wait_restarted(name, old) < RESTART_S
    wait_for(lambda: pidfiles.ours(running.pid(name), running.data_dir), 30, f"{name} lives")


def test_it_is_ready_again_after_all_those_deaths(running: Engine) -> None:
    wait_for(lambda: ready(running), 90, "ready again")


def test_no_connection_is_refused_while_the_web_process_restarts(running: Engine) -> None:
    wait_for(lambda: ready(running), 90, "ready again")

    running.kill("web")

    assert status(running, "/healthz", timeout=60) == 200


def leaves_nothing(engine: Engine, signum: int) -> None:
    start = time.monotonic()

    code = engine.stop(signum)

    assert code == 0
    # Ten seconds are promised, so that force is used before; what that itself takes is up to the machine.
    assert supervisor.STOP_S < 10 and time.monotonic() - start < supervisor.STOP_S + 10
    assert processes_of(engine.data_dir) == []
    assert list((engine.data_dir / "run").glob("*.pid")) == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", engine.port))


def test_a_second_engine_runs_beside_the_first_and_stops_at_sigterm(
    running: Engine, start_engine: Callable[..., Engine]
) -> None:
    second = start_engine()

    wait_for(lambda: ready(second), 60, "the second answers")
    leaves_nothing(second, signal.SIGTERM)
    assert pidfiles.ours(running.pid("web"), running.data_dir)


def test_a_taken_port_is_reported_in_one_line(running: Engine, start_engine: Callable[..., Engine]) -> None:
    second = start_engine(wait=False, PORT=str(running.port))

    assert second.process is not None
    assert second.process.wait(ENDS_S) == 1
    assert second.said().splitlines()[-1].startswith(f"orderengine: port {running.port} on 127.0.0.1")
    assert len(second.said().splitlines()) == 1


def test_taken_data_are_reported_in_one_line(running: Engine, start_engine: Callable[..., Engine]) -> None:
    second = start_engine(running.data_dir, wait=False)

    assert second.process is not None
    assert second.process.wait(ENDS_S) == 1
    assert "already runs on" in second.said()
    assert len(second.said().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("WORKERS_ORDERS", "0"), ("MOCK_FAILURE_RATE", "often")]
)
def test_a_bad_setting_is_named_in_one_line(start_engine: Callable[..., Engine], name: str, value: str) -> None:
    if name == "PORT":
        engine = start_engine(wait=False)
        engine.stop()
        engine.env[name] = value
        engine.start(wait=False)
    else:
        engine = start_engine(wait=False, **{name: value})

    assert engine.process is not None
    assert engine.process.wait(ENDS_S) == 1
    assert name in engine.said().splitlines()[-1]
    assert processes_of(engine.data_dir) == []


def test_ctrl_c_leaves_nothing(start_engine: Callable[..., Engine]) -> None:
    leaves_nothing(start_engine(), signal.SIGINT)


def test_ctrl_c_twice_stops_as_well(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine()
    assert engine.process is not None
    engine.process.send_signal(signal.SIGINT)
    wait_for(lambda: "web" not in pidfiles.living(engine.data_dir), 30, "it is stopping")

    assert engine.stop(signal.SIGINT) == 0
    assert processes_of(engine.data_dir) == []


def test_a_stop_while_it_starts_leaves_nothing(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(wait=False)
    wait_for(lambda: "redis" in pidfiles.living(engine.data_dir), 90, "it is starting")

    assert engine.stop() == 0
    assert processes_of(engine.data_dir) == []


def test_a_killed_supervisord_takes_all_with_it(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine()

    engine.kill("supervisord")

    assert engine.process is not None
    assert engine.process.wait(ENDS_S) == 1
    assert processes_of(engine.data_dir) == []


@pytest.fixture
def hangups() -> Iterator[None]:
    """A run under nohup passes on that it ignores them, and an engine that finds them ignored leaves it at that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_killed_foreground_takes_all_with_it_and_starts_again_on_its_data(
    start_engine: Callable[..., Engine], hangups: None
) -> None:
    """The second time everything above the storage is killed at once, and the next start comes before storage has noticed."""
    engine = start_engine()
    before = engine.credentials

    engine.stop(signal.SIGKILL)
    wait_for(lambda: not processes_of(engine.data_dir), 30, "all are gone")
    engine.start()

    wait_for(lambda: ready(engine), 60, "it answers")
    assert engine.credentials == before

    os.kill(engine.pid("supervisord"), signal.SIGSTOP)
    engine.stop(signal.SIGKILL)
    left = engine.pid("postgres")
    assert pidfiles.ours(left, engine.data_dir)

    engine.start()

    assert engine.pid("postgres") != left
    wait_for(lambda: ready(engine), 60, "it answers")
    leaves_nothing(engine, signal.SIGHUP)
