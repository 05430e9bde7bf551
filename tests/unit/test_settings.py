"""What the settings make of their variables: a process of its own each, as they are read at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import BASE_DIR

SHOW = "import sys; from orderengine import settings; print(getattr(settings, sys.argv[1]))"


def read(tmp_path: Path, name: str, value: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), name: value}
    command = [sys.executable, "-c", SHOW, name]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("FEE_STRATEGY", "percentile", "percentile"),
        ("FEE_STRATEGY", "", "auto"),
        ("LOG_LEVEL", "debug", "DEBUG"),
    ],
)
def test_a_choice_is_taken(tmp_path: Path, name: str, given: str, taken: str) -> None:
    done = read(tmp_path, name, given)
    assert done.stdout.strip() == taken, done.stderr


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("EXECUTION_MODE", "Mainnet", "EXECUTION_MODE must be mock, localnet, devnet or mainnet, not 'Mainnet'"),
        ("FEE_STRATEGY", "lots", "FEE_STRATEGY must be none, fixed, percentile or auto, not 'lots'"),
        ("VENUE_JUPITER", "both", "VENUE_JUPITER must be off or http, not 'both'"),
        ("LOG_FORMAT", "JSON", "LOG_FORMAT must be auto, json or console, not 'JSON'"),
    ],
)
def test_another_value_is_refused_in_one_line_that_names_it(tmp_path: Path, name: str, given: str, said: str) -> None:
    done = read(tmp_path, name, given)
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].endswith(said), done.stderr
