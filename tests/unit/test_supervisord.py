"""What supervisord is given and how it lives with it: paths of every kind, and a disk that is full."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from supervisor import loggers
from supervisor.options import ServerOptions

from orderengine.host import embedded, preload, processes, supervisor_config, supervisord
from orderengine.host.launch import PARENT, write_pid
from runtime.fleet import KINDS

ODD = [
    "per % cent",
    "per %% and %(here)s",
    "number # sign",
    "semi ; colon",
    "comma, 'quotes' \"too\"",
    "é ü €",
    "tab\tin",
]


@pytest.mark.parametrize("name", ODD)
def test_every_legal_path_arrives_unchanged(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / name
    (data_dir / "log").mkdir(parents=True)
    (data_dir / "run").mkdir()
    table = processes.engine({}, data_dir / "run", data_dir / "run" / "web.sock")
    file = data_dir / "run" / "supervisord.conf"
    file.write_text(supervisor_config.configuration(table, data_dir, data_dir / "run" / "supervisor.sock"))
    monkeypatch.setattr("supervisor.options.UnhosedConfigParser", supervisord.PlainParser)
    options = ServerOptions()
    options.realize(["-c", str(file)])
    [group] = options.process_group_configs
    found = {each.name: each for each in group.process_configs}
    assert len(found) == len(KINDS)
    assert found["web"].stdout_logfile == str(data_dir / "log" / "web.log")
    assert shlex.split(found["orders-1"].command) == next(each.command for each in table if each.name == "orders-1")
    assert options.pidfile == str(data_dir / "run" / "supervisord.pid")


class Full:
    """A log's stream on a disk without room. No file object: Python closes those by itself, and on 3.13 says what they raise."""

    closed = False

    def tell(self) -> int:
        return 0

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")

    close = flush


def test_a_full_disk_costs_supervisord_lines_and_not_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "web.log"
    handler = supervisord.PatientHandler(str(file), maxBytes=1000)
    handler.setFormat("%(message)s\n")
    handler.emit(loggers.LogRecord(20, "before"))
    real, handler.stream = handler.stream, Full()
    for _ in range(3):
        handler.emit(loggers.LogRecord(20, "lost"))
    real.close()
    handler.stream = real
    handler.emit(loggers.LogRecord(20, "after"))
    handler.close()
    assert file.read_text() == "before\nafter\n"


def test_a_pid_file_on_a_full_disk_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "web.pid"
    file.write_text("4194304\n")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert write_pid(file) == 0.0, "so that it waits a second before it runs"
    assert int(file.read_bytes()) == os.getpid()
    assert write_pid(tmp_path / "new.pid") == 0.0


def forked(act: Callable[[], None]) -> int:
    """The exit code of a fork that does it."""
    if (pid := os.fork()) == 0:
        act()
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def loaded() -> preload.Preload:
    made = preload.Preload()
    made.done = True
    return made


def launch_of(run_dir: Path, *command: str) -> list[str]:
    return embedded.launch_command(run_dir, "some", command=[sys.executable, *command])


def test_only_commands_that_share_the_imports_run_in_a_fork(tmp_path: Path) -> None:
    def ends(made: preload.Preload, *command: str) -> int:
        return forked(lambda: made.become(launch_of(tmp_path, *command), {}))

    for command in (["-m", "localnet"], ["-c", "pass"], ["manage.py", "prepare"]):
        assert ends(loaded(), *command) == 99
    assert ends(preload.Preload(), "-m", "orderengine.host.flower") == 99


def test_a_fork_ends_as_its_program_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program finds its arguments and the environment that it was given, and its pid file names it."""
    monkeypatch.setattr(preload, "SHARING", {"forked_program"})
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forked_program.py").write_text(
        "import atexit, os, sys\n"
        "def main():\n"
        "    atexit.register(open, 'ended', 'w')\n"
        "    assert open('some.pid').read() == f'{os.getpid()}\\n'\n"
        "    sys.exit(int(sys.argv[1]) if os.environ['GIVEN'] == 'yes' else 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PARENT, raising=False)
    argv = launch_of(tmp_path, "-m", "forked_program", "7")

    assert forked(lambda: loaded().become(argv, {"GIVEN": "yes"})) == 7
    assert (tmp_path / "ended").exists()


def test_what_cannot_be_imported_together_is_imported_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise SystemExit("a setting is wrong")

    monkeypatch.setattr(preload, "load_all", broken)
    made = preload.Preload()
    made.load()

    assert (made.tried, made.done) == (True, False)


@pytest.mark.parametrize("name", preload.NOT_SHARED)
def test_what_leads_to_keys_or_starts_threads_is_not_shared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = []
    monkeypatch.setattr(preload, "load_all", lambda: imported.append(True))
    monkeypatch.setenv(name, "some")
    made = preload.Preload()
    made.load()

    assert not made.done and not imported


def test_imports_that_open_something_are_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(preload, "load_all", lambda: opened.append((tmp_path / "left-open").open("w")))
    made = preload.Preload()
    made.load()

    assert not made.done
    opened[0].close()


REHEARSED = """
import sys
from orderengine.host.preload import Preload

preload = Preload()
preload.load()
from celery.fixups.django import DjangoWorkerFixup
from celery_app import app
import django

django.setup = None  # A process that set it up again would call it.
DjangoWorkerFixup(app).django_setup()
late = {"billiard.pool", "celery.apps.worker", "celery.apps.beat", "channels_redis.pubsub", "routing.mock.world"}
print(preload.done, app.finalized, sorted(late - set(sys.modules)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked after the imports on Linux")
def test_what_every_process_does_once_is_done_before_the_fork() -> None:
    """Without opening anything, else each would import for itself."""
    environment = {name: value for name, value in os.environ.items() if name not in preload.NOT_SHARED}
    done = subprocess.run(
        [sys.executable, "-c", REHEARSED],
        cwd=processes.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True True []\n", done.stderr[-2000:]
