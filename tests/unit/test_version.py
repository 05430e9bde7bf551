"""The version stands in pyproject.toml alone; the application, the schema and the changelog follow."""

import re
import tomllib
from datetime import date
from pathlib import Path

from django.conf import settings

from orderengine.version import VERSION

BASE = Path(__file__).resolve().parent.parent.parent
CHANGELOG = (BASE / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_the_application_and_its_schema_say_the_version_of_the_project() -> None:
    project = tomllib.loads((BASE / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION == settings.SPECTACULAR_SETTINGS["VERSION"]


def test_the_changelog_has_the_version_or_something_unreleased_before_it() -> None:
    """A release moves what is unreleased under its number; until the next change that number is the project's."""
    assert CHANGELOG.count("## [Unreleased]") == 1
    if RELEASES:
        assert RELEASES[0][0] == VERSION


def test_the_changelog_is_in_the_form_of_keep_a_changelog() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)

    assert headings == ["[Unreleased]", *(f"[{number}] - {day}" for number, day in RELEASES)]
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= KINDS
    ordered = [(numbers(number), date.fromisoformat(day)) for number, day in RELEASES]
    assert ordered == sorted(ordered, reverse=True)


def test_no_other_file_holds_the_version() -> None:
    files = [*BASE.glob("orderengine/**/*.py"), *BASE.glob("*/*.py"), BASE / "compose.yaml", BASE / "Dockerfile"]

    assert not [file.name for file in files if f'"{VERSION}"' in file.read_text()]
