"""What a guard's test came to without the guard: lines in the file that `GUARD_VERDICT` names, from every process of the test.

Without a guard a test has to fail: by what it asserts, or by what the engine raises then. One whose edit is nonsense has tested
nothing. A statement that Postgres does not understand may end the test, or be logged by the engine, so that what the test waits
for never comes.
"""

import os
from pathlib import Path
from typing import Any

NOT_UNDERSTOOD = "42"
"""The class of SQLSTATE of statements with a syntax error, an unknown name or a wrong type."""


def note(word: str, why: str) -> None:
    """A line of its own in one write: several processes share the file."""
    with open(os.environ["GUARD_VERDICT"], "a") as file:
        file.write(f"{word} {' '.join(why.split())[:300]}\n")


def watch_statements(errors: Any) -> None:
    """Notes every statement that Postgres does not understand, whoever catches the error. For the module `psycopg.errors`."""
    made = errors.error_from_result

    def noted(*arguments: Any, **named: Any) -> Any:
        error = made(*arguments, **named)
        if (error.sqlstate or "").startswith(NOT_UNDERSTOOD):
            note("error", f"{type(error).__name__}: {error}")
        return error

    errors.error_from_result = noted


def read(file: Path) -> tuple[bool, list[str]]:
    """(whether a test failed, what was nonsense beside that)."""
    lines = file.read_text().splitlines() if file.exists() else []
    errors = [line.removeprefix("error ") for line in lines if line.startswith("error ")]
    return any(line.startswith("failed ") for line in lines), errors
