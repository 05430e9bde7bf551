"""What leads to the keys of wallets reaches processes that sign, and no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orderengine import container
from orderengine.environment import KEYS_OF_WALLETS
from orderengine.host import processes
from runtime import fleet

SIGNERS = {kind.name for kind in fleet.KINDS if kind.signs}


def test_order_workers_alone_sign() -> None:
    assert {"orders"} == SIGNERS


def test_supervision_takes_them_from_everybody_else(tmp_path: Path) -> None:
    """By the very command that supervision runs, with one that prints its environment in the process' place."""
    shown = [sys.executable, "-c", "import os; print(*sorted(os.environ))"]
    variables = dict.fromkeys(KEYS_OF_WALLETS, "secret") | {"PATH": os.environ["PATH"]}
    for process in processes.engine({}, tmp_path, tmp_path / "listener"):
        launch = process.command[: process.command.index("--") + 1]
        waits = ("--after", "--listener")  # For others that are not here.
        command = [part for part in launch if not part.startswith(waits)] + shown
        names = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.split()
        assert bool(set(KEYS_OF_WALLETS) & set(names)) is (fleet.kind_of(process.name) in SIGNERS), process.name


@pytest.mark.parametrize("name", [*sorted({kind.name for kind in fleet.KINDS} - {"web"}), "migrate"])
def test_a_container_keeps_them_only_where_it_signs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in KEYS_OF_WALLETS:
        monkeypatch.setenv(variable, "secret")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    left: set[str] = set()
    monkeypatch.setattr(os, "execv", lambda *_: left.update(os.environ))
    monkeypatch.chdir(Path.cwd())
    container.run(name, replica=False)
    assert bool(set(KEYS_OF_WALLETS) & left) is (name in SIGNERS)
