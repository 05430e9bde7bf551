"""How many orders a second a deployment carries, from measured CPU per order; checked against runs that it was not fitted to.

CPU a second = F + a · rate, per kind of process: F is what it takes whatever the load, a what each further order costs.
Both come from two runs at 300 and 1,000 orders a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, number

FITTED = (300, 1000)
CHECKED = 1500
BUSY = 0.85
"""The share of a core that may be in use before waiting times grow: beyond it queues do."""
CORES = 2
SINGLE = {"web": "web process", "order workers": "order worker"}
"""Kinds that are one Python process, hence one core, each."""


@dataclass(frozen=True)
class Line:
    """CPU of a kind of process."""

    fixed_ms: float
    """A second."""
    order_ms: float
    """An order."""

    def at(self, rate: float) -> float:
        """Cores in use."""
        return (self.fixed_ms + self.order_ms * rate) / 1000

    def most(self, cores: float) -> float:
        """Orders a second on so many cores."""
        return (cores * BUSY * 1000 - self.fixed_ms) / self.order_ms if self.order_ms > 0 else float("inf")


def line(figures: Mapping[str, Figure], key: str) -> Line | None:
    """From CPU per order at the two fitted rates; None where they were not measured."""
    found = [figures.get(f"growth.1x1.{rate}.{key}") for rate in FITTED]
    if not all(found):
        return None
    low, high = (figure.value * rate for figure, rate in zip(found, FITTED, strict=True) if figure)
    order_ms = (high - low) / (FITTED[1] - FITTED[0])
    return Line(low - order_ms * FITTED[0], order_ms)


def rows(figures: Mapping[str, Figure]) -> Sequence[Sequence[str]]:
    head = ("process", "F ms/s", "a ms/order", f"predicted cores at {CHECKED:,}/s", "measured", "carries at most")
    made = [head]
    for kind in ("web", "order workers", "Postgres", "Redis", "others", "all"):
        fitted = line(figures, f"cpu.{kind}")
        if fitted is None:
            made.append((kind, "–", "–", "–", "–", "–"))
            continue
        measured = figures.get(f"growth.1x1.{CHECKED}.cpu.{kind}")
        real = number(measured.value * CHECKED / 1000) if measured else "–"
        most = f"{number(fitted.most(1))}/s per {SINGLE[kind]}" if kind in SINGLE else ""
        made.append((kind, number(fitted.fixed_ms), number(fitted.order_ms), number(fitted.at(CHECKED)), real, most))
    engine, client = line(figures, "cpu.all"), line(figures, "client_cpu")
    if engine and client:
        together = Line(engine.fixed_ms + client.fixed_ms, engine.order_ms + client.order_ms)
        held = figures.get("sustained.rate")
        made.append(
            (
                f"{CORES} cores, load generator included",
                number(together.fixed_ms),
                number(together.order_ms),
                number(together.at(CHECKED)),
                f"{number(held.value)}/s sustained" if held else "–",
                f"{number(together.most(CORES))}/s",
            )
        )
    return made
