"""The documents lead somewhere: every link to a file of the project, and every decision record in its list."""

import re
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parent.parent.parent
PAGES = [*BASE.glob("*.md"), *BASE.glob("docs/**/*.md")]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
DECISIONS = BASE / "docs" / "decisions"
WORDS = re.compile(r"^\| ([a-z][\w ,-]*) \| ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BASE)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert not [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


def test_every_decision_is_listed_once_and_says_what_it_must() -> None:
    records = sorted(file.name for file in DECISIONS.glob("[0-9]*.md"))

    listed = re.findall(r"\((\d{4}-[a-z-]+\.md)\)", (DECISIONS / "README.md").read_text())
    assert sorted(listed) == records
    assert len({name[:4] for name in records}) == len(records), "a number is used once"
    for name in records:
        text = (DECISIONS / name).read_text()
        assert text.startswith(f"# {name[:4]} ") and "**Question.**" in text and "**Choice.**" in text
        assert "**What follows.**" in text


def test_the_glossary_is_in_order() -> None:
    text = (BASE / "docs" / "architecture.md").read_text().partition("## Words")[2]
    words = [word for word in WORDS.findall(text) if word != "word"]

    assert len(words) >= 20
    assert words == sorted(words)


def test_every_target_of_make_is_explained() -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (BASE / "Makefile").read_text(), re.MULTILINE)[0].split()
    said = (BASE / "CONTRIBUTING.md").read_text() + (BASE / "README.md").read_text()

    assert not [name for name in targets if f"make {name}" not in said]


def test_the_files_of_the_architecture_exist() -> None:
    named = re.findall(r"`([a-z_]+/[\w/.-]*)`", (BASE / "docs" / "architecture.md").read_text())

    assert len(named) > 40
    assert not [name for name in named if not (BASE / name).exists()]
