"""Which processes and folders an engine takes for its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderengine.host import pidfiles
from orderengine.host.launch import PARENT


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries this folder's marks and ignores the request to end."""
    environment = dict(os.environ) | {"DATA_DIR": str(tmp_path), PARENT: str(os.getpid())}
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        yield child
        child.kill()


def test_one_engine_holds_the_lock(run_dir: Path) -> None:
    held = pidfiles.lock(run_dir)
    with pytest.raises(pidfiles.Taken, match=str(os.getpid())):
        pidfiles.lock(run_dir)

    os.close(held)

    os.close(pidfiles.lock(run_dir))


def test_a_marked_process_is_ours(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert pidfiles.ours(sleeper.pid, tmp_path)


def test_a_pid_that_was_used_again_is_not_ours(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert not pidfiles.ours(sleeper.pid, tmp_path / "other")
    assert not pidfiles.ours(sleeper.pid, tmp_path.parent)
    assert not pidfiles.ours(1, tmp_path)


def test_an_ended_process_is_not_ours(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    sleeper.kill()
    sleeper.wait()

    assert not pidfiles.ours(sleeper.pid, tmp_path)


def test_a_leftover_that_does_not_end_is_killed(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, run_dir: Path
) -> None:
    (run_dir / "web.pid").write_text(f"{sleeper.pid}\n")
    (run_dir / "beat.pid").write_text("1\n")

    pidfiles.stop_all(tmp_path, 0.3)

    assert sleeper.wait(5) == -9
    assert list(run_dir.glob("*.pid")) == []
