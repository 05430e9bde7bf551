"""Measured figures, how they are judged, shown and kept."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
AGAIN_RESULTS = HERE / "results-again.json"
"""A second run, to be compared with the first."""
QUICK_RESULTS = HERE / "results-quick.json"


@dataclass(frozen=True)
class Figure:
    """One number. `name` is stable, dotted and begins with its benchmark; a target is at least or at most."""

    name: str
    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return "" if self.at_most is None else f"≤ {number(self.at_most)}"

    @property
    def met(self) -> bool | None:
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most


def number(value: float) -> str:
    """Three digits that matter, thousands set off."""
    if not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < 1e-9:  # What a fit leaves of a zero.
        return "0"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def shown(figures: Sequence[Figure]) -> str:
    rows = [("figure", "measured", "unit", "target", "")]
    for figure in figures:
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        rows.append((figure.what, number(figure.value), figure.unit, figure.target, verdict))
    return table(rows, right=(1,))


def read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.exists() else {"benchmarks": {}}


def keep(file: Path, name: str, figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Replaces one benchmark's figures and leaves the others: a single row can be measured again."""
    kept = read(file)
    kept["benchmarks"][name] = about | {"figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=True) + "\n")


def kept_figures(file: Path = RESULTS) -> dict[str, Figure]:
    """By name."""
    return {
        figure["name"]: Figure(**figure)
        for benchmark in read(file)["benchmarks"].values()
        for figure in benchmark["figures"]
    }
