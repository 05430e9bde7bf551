"""The crash points that the chaos suite fires are those that the code has."""

import re
from pathlib import Path

from tests.chaos.faults.plans import PLAN_CRASH_POINTS
from tests.chaos.faults.processes import CRASH_POINTS

ROOT = Path(__file__).parent.parent.parent
CALL = re.compile(r'crash_point\("(\w+)"\)')


def test_every_crash_point_of_the_code_is_fired_and_no_other() -> None:
    files = [file for package in ("orders", "triggers", "routing") for file in (ROOT / package).rglob("*.py")]
    assert {name for file in files for name in CALL.findall(file.read_text())} == {*CRASH_POINTS, *PLAN_CRASH_POINTS}
