"""Draws the table of `orders.lifecycle` into docs/lifecycle.md: `python scripts/draw_lifecycle.py`.

With `--check` nothing is written, and the exit code is 1 when the drawing is not the table's.
"""

import sys
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BASE))

from orders.lifecycle import FINAL, SUCCESSORS, Status  # noqa: E402

FILE = BASE / "docs" / "lifecycle.md"
OPEN, CLOSE = "```mermaid\n", "```\n"


def drawn() -> str:
    """The table as a Mermaid state diagram; events that lead the same way share an arrow."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.PENDING}: accept"]
    for status, successors in SUCCESSORS.items():
        for after in dict.fromkeys(successors.values()):
            events = ", ".join(event for event, to in successors.items() if to is after)
            lines.append(f"    {status} --> {after}: {events}")
    lines += [f"    {status} --> [*]" for status in Status if status in FINAL]
    return "\n".join(lines) + "\n"


def redrawn(text: str) -> str:
    """The document with its diagram drawn anew."""
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not (opened and closed):
        raise ValueError(f"{FILE.name} has no place for the diagram")
    return before + OPEN + drawn() + CLOSE + after


def main() -> int:
    text = FILE.read_text()
    wanted = redrawn(text)
    if "--check" in sys.argv[1:]:
        return int(text != wanted)
    FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
