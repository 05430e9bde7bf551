"""Writes the tables of the documents from benchmarks/results.json: `python -m benchmarks.report`, `--check` only compares.

A table stands between `<!-- figures NAME -->` and `<!-- end -->`; what lies between is replaced. A figure that was not
measured is shown as `–`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import capacity
from benchmarks.figures import AGAIN_RESULTS, RESULTS, Figure, kept_figures, number, read
from benchmarks.growth import RATES, SHAPES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("docs/performance.md", "docs/scaling.md", "README.md")
MARKED = re.compile(r"(<!-- figures (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MISSING = "–"
KINDS = ("web", "order workers", "Postgres", "Redis", "others", "all")
STATUSES = ("pending", "routing", "building", "submitted", "confirmed")

Figures = Mapping[str, Figure]

PROMISED = (
    ("accept.rate", "accept, 50 connections, no pause, worker executing", "662–749", "1,183–1,469"),
    ("accept.p99", "its p99", "127–156", "63–89"),
    ("accept.alone.rate", "accept alone (order worker stopped)", "", ""),
    ("accept.alone.p99", "its p99", "", ""),
    ("accept.k6.rate", "accept alone, k6 as client", "", ""),
    ("sustained.rate", "sustained end to end, 60 s, one watcher per 10 orders", "120–130", "308–313"),
    ("sustained.added_p99", "p99 of (confirmed − accepted) beyond the mock's own", "", ""),
    ("sustained.cpu", "CPU a confirmed order, all processes, at that rate", "5.1–7.4", "4.3–5.6"),
    ("drain.rate", "drain of 5,000 prepared orders without waits, three order workers", "184–362", "541–755"),
    ("drain.default.rate", "the same with one", "", ""),
    ("streams.p50", "event committed → client, 1,000 sockets, p50", "1.2–1.8", ""),
    ("streams.p99", "its p99", "2–9", ""),
    ("streams.broken", "of those sockets, missed any event", "", ""),
    ("streams.at_once", "of 200 connecting right after POST, missed any", "121", "47"),
    ("idle.cpu", "idle, all processes, 30 s", "0.57", "0.25"),
)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head, its first column left, the others right."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
    return "\n".join(lines) + "\n"


def value(figures: Figures, name: str) -> str:
    return number(figures[name].value) if name in figures else MISSING


def promised(figures: Figures) -> str:
    rows = [("figure", "Node engine", "other engine", "target", "measured", "unit", "")]
    for name, what, node, other in PROMISED:
        figure = figures.get(name)
        unit, target = (figure.unit, figure.target) if figure else ("", "")
        verdict = {True: "met", False: "**missed**"}.get(figure.met if figure else None, "")  # type: ignore[arg-type]
        rows.append((what, node, other, target, value(figures, name), unit, verdict))
    return table(rows)


def again(figures: Figures) -> str:
    """The promised figures of a second run beside the first's, with what each minute's machine was worth."""
    second = kept_figures(AGAIN_RESULTS)
    runs = [read(file)["benchmarks"] for file in (RESULTS, AGAIN_RESULTS)]
    rows = [("figure", "first", "second", "unit", "second ÷ first", "Python loop ms, first and second")]
    for name, what, *_ in PROMISED:
        if name not in second or name not in figures:
            continue
        was, now = figures[name].value, second[name].value
        loops = (number(run[name.partition(".")[0]]["calibration"]["python_ms"]) for run in runs)
        ratio = number(now / was) if was else MISSING
        rows.append((what, number(was), number(now), figures[name].unit, ratio, ", ".join(loops)))
    return table(rows)


def machine(_: Figures) -> str:
    rows = [("benchmark", "measured at", "Python loop ms", "fdatasync ms", "load before", "took s", "commit")]
    for name, about in read(RESULTS)["benchmarks"].items():
        now, there = about["calibration"], about["environment"]
        rows.append(
            (
                name,
                about["measured_at"],
                *(number(now[key]) for key in ("python_ms", "fdatasync_ms", "load_average")),
                number(about["seconds"]),
                there["commit"],
            )
        )
    environments = {
        f"{there['processor']}, {there['cores']} cores, {there['memory']}, {there['system']}, Python {there['python']}"
        for there in (about["environment"] for about in read(RESULTS)["benchmarks"].values())
    }
    return "\n".join([*sorted(environments), "", table(rows)])


def sustained(figures: Figures) -> str:
    names = sorted({name.split(".")[1] for name in figures if re.match(r"sustained\.\d+\.", name)}, key=int)
    columns = {
        "confirmed/s": "confirmed",
        "in flight, middle": "backlog_middle",
        "at the end": "backlog_end",
        "p99 beyond the mock ms": "added_p99",
        "accept p50 ms": "accept_p50",
        "p99 ms": "accept_p99",
        "event to watcher p50 ms": "lag_p50",
        "p99 ms ": "lag_p99",
        "not confirmed": "unconfirmed",
        "client CPU ms": "client_cpu",
    }
    rows = [("offered/s", *columns)]
    rows += [(name, *(value(figures, f"sustained.{name}.{key}") for key in columns.values())) for name in names]
    return table(rows)


def groups(figures: Figures) -> str:
    names = sorted({name.split(".")[1] for name in figures if re.match(r"sustained\.\d+\.group", name)}, key=int)
    rows = [("offered/s", *(f"{status} mean (p99)" for status in STATUSES), "commits an order")]
    for name in names:
        sizes = [
            f"{value(figures, f'sustained.{name}.group.{status}')} ({value(figures, f'sustained.{name}.group_p99.{status}')})"
            for status in STATUSES
        ]
        rows.append((name, *sizes, value(figures, f"sustained.{name}.commits")))
    return table(rows)


def cpu(figures: Figures) -> str:
    rows = [("offered/s", *(f"{kind} ms" for kind in KINDS))]
    rows += [(number(rate), *(value(figures, f"growth.1x1.{rate}.cpu.{kind}") for kind in KINDS)) for rate in RATES]
    return table(rows)


def each(prefix: str, head: str) -> Callable[[Figures], str]:
    """Every figure of a benchmark, as it was measured."""

    def made(figures: Figures) -> str:
        found = [figure for name, figure in figures.items() if name.startswith(prefix)]
        rows = [(head, "measured", "unit")]
        rows += [(figure.what, number(figure.value), figure.unit) for figure in found] or [(MISSING, MISSING, "")]
        return table(rows)

    return made


def growth(figures: Figures) -> str:
    columns = {
        "confirmed/s": "confirmed",
        "confirmed − accepted p99 ms": "p99",
        "accept p99 ms": "accept_p99",
        "CPU ms an order": "cpu.all",
        "commits an order": "commits",
    }
    rows = [("order workers", "web", "offered/s", *columns)]
    for orders, webs in SHAPES:
        for rate in RATES:
            name = f"growth.{orders}x{webs}.{rate}"
            cells = (value(figures, f"{name}.{key}") for key in columns.values())
            rows.append((str(orders), str(webs), number(rate), *cells))
    return table(rows)


def storage(figures: Figures) -> str:
    columns = {
        "WAL bytes an order": "wal",
        "HOT updates %": "hot",
        "Redis commands an order": "redis_commands",
        "Postgres connections": "postgres_connections",
        "Redis connections": "redis_connections",
    }
    rows = [("order workers × web", "offered/s", *columns)]
    for orders, webs in SHAPES:
        for rate in RATES:
            name = f"growth.{orders}x{webs}.{rate}"
            cells = (value(figures, f"{name}.{key}") for key in columns.values())
            rows.append((f"{orders} × {webs}", number(rate), *cells))
    return table(rows)


TABLES: Mapping[str, Callable[[Figures], str]] = {
    "promised": promised,
    "again": again,
    "machine": machine,
    "sustained": sustained,
    "groups": groups,
    "cpu": cpu,
    "floor": each("floor.", "an empty request"),
    "idle": each("idle.", "idle"),
    "memory": each("memory.", "memory"),
    "sockets": each("sockets.", "ten thousand sockets"),
    "streams": each("streams.", "streams"),
    "triggers": each("triggers.", "triggers"),
    "growth": growth,
    "storage": storage,
    "capacity": lambda figures: table(capacity.rows(figures)),
    "partitions": each("partitions.", "partitions"),
}


def filled(text: str, figures: Figures) -> str:
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]](figures) + found[3], text)


def stale() -> dict[Path, str]:
    """Documents that do not say what was measured, with what they should say."""
    figures = kept_figures()
    texts = {ROOT / name: (ROOT / name).read_text() for name in DOCUMENTS if (ROOT / name).exists()}
    return {file: new for file, text in texts.items() if (new := filled(text, figures)) != text}


def write() -> None:
    for file, text in stale().items():
        file.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where a table is out of date")
    options = parser.parse_args()
    found = stale()
    if not options.check:
        write()
    names = ", ".join(file.name for file in found)
    print(f"{'out of date' if options.check else 'written'}: {names}" if found else "up to date")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
