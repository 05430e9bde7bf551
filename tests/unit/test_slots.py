"""Metrics of several processes in one folder, through kill -9 and restarts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from prometheus_client import generate_latest

from runtime import slots

COUNT = """
import sys
from pathlib import Path
from orders import metrics
from runtime import slots
metrics.FENCED.inc()  # before the slot is taken: counts, too
print(slots.take(Path(sys.argv[1]), "orders"), flush=True)
metrics.FENCED.inc(2)
metrics.IN_FLIGHT.set(5)
metrics.STAGE_SECONDS.labels("routing").observe(0.3)
print("counted", flush=True)
sys.stdin.read()
"""


def start(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    command = [sys.executable, "-c", COUNT, str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert child.stdout
    slot = child.stdout.readline().strip()
    assert child.stdout.readline() == "counted\n"
    return child, slot


def value(folder: Path, sample: str) -> float | None:
    for line in generate_latest(slots.merged(folder)).decode().splitlines():
        if line.startswith(f"{sample} "):
            return float(line.rpartition(" ")[2])
    return None


def test_processes_add_up_and_a_killed_one_is_continued(tmp_path: Path) -> None:
    first, slot = start(tmp_path)
    second, other = start(tmp_path)
    assert {slot, other} == {"orders.1", "orders.2"}
    assert value(tmp_path, "orderengine_fenced_writes_total") == 6
    assert value(tmp_path, "orderengine_executor_in_flight") == 10
    assert value(tmp_path, 'orderengine_stage_seconds_bucket{le="0.5",stage="routing"}') == 2

    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert value(tmp_path, "orderengine_fenced_writes_total") == 6, "a counter never goes back"
    assert value(tmp_path, "orderengine_executor_in_flight") == 5, "the dead hold nothing"

    files = sorted(tmp_path.iterdir())
    third, again = start(tmp_path)
    assert again == slot, "the next process takes the dead one's place"
    assert value(tmp_path, "orderengine_fenced_writes_total") == 9
    assert value(tmp_path, "orderengine_executor_in_flight") == 10
    assert sorted(tmp_path.iterdir()) == files, "no file is left behind"
    for child in (second, third):
        child.communicate()


def test_a_file_that_a_power_cut_spoilt_is_begun_anew(tmp_path: Path) -> None:
    child, _ = start(tmp_path)
    child.communicate()
    (tmp_path / "counter_orders.1.db").write_bytes(b"\xff" * 65_536)
    child, slot = start(tmp_path)
    assert slot == "orders.1" and value(tmp_path, "orderengine_fenced_writes_total") == 3
    child.communicate()
