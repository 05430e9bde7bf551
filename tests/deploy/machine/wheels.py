"""Wheels of this checkout and of an earlier commit."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.side_by_side import unpacked
from tests.engine import BASE_DIR

EARLIER = "e8c9eff"
"""The last commit before plans, wallets and the kit's own changes of November 2026."""
EARLIER_VERSION = "0.0.9"
LATER_UNITS = ("orderengine@webhooks.service",)
"""Of today's kit, for processes that the earlier version has not."""
IGNORED = shutil.ignore_patterns(
    ".venv", ".git", ".data*", "node_modules", "__pycache__", ".*_cache", "build", "*.egg-info"
)


def wheel(source: Path, into: Path) -> Path:
    """Built from a copy: building leaves files in the folder."""
    copy = into / "source"
    shutil.copytree(source, copy, ignore=IGNORED)
    pip = shutil.which("pip") or str(BASE_DIR / ".venv/bin/pip")
    subprocess.run([pip, "wheel", "-q", "--no-deps", "-w", str(into), str(copy)], check=True)
    shutil.rmtree(copy)
    [made] = into.glob("orderengine-*.whl")
    return made


def earlier(folder: Path) -> Path:
    """A checkout of the earlier version's code with today's kit round it."""
    known = subprocess.run(["git", "cat-file", "-e", f"{EARLIER}^{{commit}}"], cwd=BASE_DIR, capture_output=True)
    if known.returncode:
        pytest.skip(f"this checkout has no history: {EARLIER} is not in it")
    folder.mkdir()
    unpacked(EARLIER, folder)
    shutil.rmtree(folder / "deploy")
    shutil.copytree(BASE_DIR / "deploy", folder / "deploy")
    target = folder / "deploy/systemd/orderengine.target"
    for unit in LATER_UNITS:
        target.write_text(target.read_text().replace(f"{unit} ", ""))
    text = (BASE_DIR / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(
        re.sub(r'^version = ".*"', f'version = "{EARLIER_VERSION}"', text, flags=re.M)
    )
    return folder
