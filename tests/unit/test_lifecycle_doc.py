import subprocess
import sys
from pathlib import Path

import pytest

from orders.lifecycle import SUCCESSORS, Event, Status
from scripts.draw_lifecycle import FILE, drawn, redrawn

TEXT = FILE.read_text()


def test_the_diagram_is_the_table() -> None:
    assert redrawn(TEXT) == TEXT, "run python scripts/draw_lifecycle.py"


def test_every_transition_is_drawn() -> None:
    arrows = [line.strip() for line in drawn().splitlines()]
    for status, successors in SUCCESSORS.items():
        for event, after in successors.items():
            [arrow] = [line for line in arrows if line.startswith(f"{status} --> {after}: ")]
            assert event in arrow.partition(": ")[2].split(", ")


@pytest.mark.parametrize("status", Status)
def test_every_status_has_its_sentence(status: Status) -> None:
    assert f"- **{status}**: " in TEXT


@pytest.mark.parametrize("event", Event)
def test_every_event_is_explained(event: Event) -> None:
    table = TEXT.partition("## Events")[2].partition("##")[0]
    assert any(event in line.split("|")[1].replace(",", " ").split() for line in table.splitlines() if "|" in line)


def test_the_command_checks_without_writing() -> None:
    command = [sys.executable, "scripts/draw_lifecycle.py", "--check"]
    assert subprocess.run(command, cwd=Path(FILE).parent.parent, check=False).returncode == 0
