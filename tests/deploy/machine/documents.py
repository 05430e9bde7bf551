"""The commands of the documents: what is tried is what a reader would type."""

import re

from tests.engine import BASE_DIR

NAME = "engine.example.com"


def blocks(page: str, heading: str) -> list[str]:
    """The shell blocks of a section of docs/`page`, up to the next heading of any level."""
    text = (BASE_DIR / "docs" / page).read_text()
    [section] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", fenced(text), re.MULTILINE | re.DOTALL)
    return [
        block.replace(COMMENT, "#") for block in re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    ]


def block(page: str, heading: str, word: str) -> str:
    """The one block of that section that has `word` in it."""
    [found] = [block for block in blocks(page, heading) if word in block]
    return found


COMMENT = "\N{FULLWIDTH NUMBER SIGN}"


def fenced(text: str) -> str:
    """A comment of a block is no heading."""
    return re.sub(
        r"^```sh\n.*?^```", lambda found: found[0].replace("#", COMMENT), text, flags=re.MULTILINE | re.DOTALL
    )
