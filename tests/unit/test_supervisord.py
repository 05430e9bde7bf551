"""What supervisord is given and how it lives with it: paths of every kind, and a disk that is full."""

import os
import shlex
from pathlib import Path

import pytest
from supervisor import loggers
from supervisor.options import ServerOptions

from orderengine.host import processes, supervisor_config, supervisord
from orderengine.host.launch import write_pid
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
