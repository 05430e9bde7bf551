"""docs/configuration.md says what orderengine/settings.py reads."""

from scripts.document_settings import PAGE, page, sections


def test_the_page_is_made_from_the_settings() -> None:
    assert PAGE.read_text() == page(), "run python scripts/document_settings.py"


def test_every_variable_has_a_meaning() -> None:
    assert [variable.name for _, variables in sections() for variable in variables if not variable.meaning] == []
