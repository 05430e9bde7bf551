"""One clock for all processes of the mock world."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from routing.mock.clock import shared_clock
from tests.clocks import Clocks

DAY_S = 86_400
SECOND = timedelta(seconds=1)

READER = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from routing.mock.clock import shared_clock
now = shared_clock(Path(sys.argv[1]))
print("open", flush=True)
for _ in sys.stdin:
    print(datetime.now(UTC).isoformat(), now().isoformat(), flush=True)
"""


def test_it_starts_at_the_wall_clock_and_never_goes_back(tmp_path: Path) -> None:
    now = shared_clock(tmp_path / "new")
    assert abs(now() - datetime.now(UTC)) < SECOND
    seen = [now() for _ in range(1000)]
    assert seen == sorted(seen)


def test_those_who_open_it_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as threads:
        clocks = list(threads.map(lambda _: shared_clock(tmp_path), range(20)))
    read = [clock() for clock in clocks]
    assert read == sorted(read) and read[-1] - read[0] < SECOND
    assert [file.name.count(".") for file in tmp_path.iterdir()] == [0]


@pytest.mark.skipif(not Clocks.available(), reason="stepping the clock of a process needs Linux and a C compiler")
@pytest.mark.parametrize("ahead_s", [-DAY_S, DAY_S])
def test_a_step_of_one_process_s_wall_clock_does_not_move_it(tmp_path: Path, ahead_s: int) -> None:
    own, clocks = shared_clock(tmp_path), Clocks(tmp_path)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path)],
        env=clocks.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert reader.stdin is not None and reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    clocks.step(reader.pid, ahead_s)
    reader.stdin.write("\n")
    reader.stdin.flush()
    wall, shared = map(datetime.fromisoformat, reader.stdout.readline().split())
    reader.stdin.close()
    reader.wait(10)
    reader.stdout.close()
    assert abs(wall - datetime.now(UTC)) > timedelta(hours=23)
    assert abs(shared - own()) < 5 * SECOND
