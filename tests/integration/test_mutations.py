"""The runner of `tests.chaos.mutations` takes a test for red that fails, and none whose edit is nonsense."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.guards_off import verdict
from tests.chaos.mutations import without

WRONG = "psycopg.connect(os.environ['URL']).execute('SELEC 1')"
FOUND = {
    "asserted": ("assert False", (True, [])),
    "raised": ("{}['a']", (True, [])),
    "no Python": ("unknown", (False, ["NameError"])),
    "a statement that Postgres does not understand, caught by the engine": (
        f"try:\n        {WRONG}\n    except Exception: pass\n    assert False",
        (True, ["SyntaxError"]),
    ),
    "green": ("pass", (False, [])),
}


@pytest.mark.parametrize(("body", "found"), FOUND.values(), ids=FOUND)
def test_what_counts_as_red(body: str, found: tuple[bool, list[str]], tmp_path: Path, database_url: str) -> None:
    file, test = tmp_path / "verdict", tmp_path / "test_it.py"
    test.write_text(f"import os\nimport psycopg\nimport pytest\n\n\ndef test_it():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "reporting", "-c", os.devnull]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, test],
        env={"PATH": os.environ["PATH"], "URL": database_url, **without("loss", file)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    failed, errors = verdict.read(file)
    assert (failed, len(errors)) == (found[0], len(found[1])), done.stdout + done.stderr
    assert all(error.startswith(start) for error, start in zip(errors, found[1], strict=True)), errors
