"""What a run looks like in the ledger afterwards: nothing is counted while load runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.engines import BenchEngine
from benchmarks.figures import percentile

ORDERS = """
SELECT extract(epoch FROM created_at)::float8, extract(epoch FROM finished_at)::float8, status
FROM orders_order WHERE created_at >= to_timestamp(%s)
"""
GAPS = """
SELECT count(*) FROM orders_order o
LEFT JOIN (SELECT order_id, count(*) AS events, max(seq) AS last FROM orders_orderevent GROUP BY order_id) e
    ON e.order_id = o.id
WHERE o.created_at >= to_timestamp(%s) AND (e.events IS DISTINCT FROM o.seq OR e.last IS DISTINCT FROM o.seq)
"""
# now() is the transaction's start, so events of one time were written by one statement.
GROUPS = """
SELECT status, array_agg(size) FROM (
    SELECT status, at, count(*) AS size FROM orders_orderevent WHERE at >= to_timestamp(%s) GROUP BY status, at
) AS commits GROUP BY status
"""
COMMITS = "SELECT count(DISTINCT at), count(*) FROM orders_orderevent WHERE at >= to_timestamp(%s)"


@dataclass(frozen=True)
class Run:
    """Orders of one load run: (accepted, finished or None, status), times in Unix seconds."""

    orders: Sequence[tuple[float, float | None, str]]
    gaps: int
    """Orders whose events are not complete."""

    @property
    def confirmed(self) -> int:
        return sum(status == "confirmed" for _, _, status in self.orders)

    @property
    def end_to_end_ms(self) -> list[float]:
        return [(end - start) * 1000 for start, end, status in self.orders if end and status == "confirmed"]

    def confirmed_per_s(self, start: float, end: float) -> float:
        """Within a window of Unix time."""
        inside = sum(1 for _, done, status in self.orders if done and status == "confirmed" and start <= done < end)
        return inside / (end - start)

    def in_flight(self, moment: float) -> int:
        return sum(1 for start, end, _ in self.orders if start <= moment and (end is None or end > moment))

    def backlog(self, start: float, seconds: float) -> tuple[float, float]:
        """Mean orders in flight in the middle third of the load and in its last tenth."""
        return (
            mean([self.in_flight(start + seconds * (1 / 3 + n / 30)) for n in range(10)]),
            mean([self.in_flight(start + seconds * (0.9 + n / 100)) for n in range(10)]),
        )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def run_since(engine: BenchEngine, started_at: float) -> Run:
    return Run(engine.rows(ORDERS, started_at), int(engine.row(GAPS, started_at)[0]))


def group_sizes(engine: BenchEngine, started_at: float) -> dict[str, dict[str, float]]:
    """Events a commit, by status: mean, p50, p99, most."""
    return {
        status: {
            "mean": mean(sizes),
            "p50": percentile(sizes, 50),
            "p99": percentile(sizes, 99),
            "most": max(sizes),
        }
        for status, sizes in engine.rows(GROUPS, started_at)
    }


def commits_per_order(engine: BenchEngine, started_at: float, orders: int) -> float:
    commits: Any
    commits, _ = engine.row(COMMITS, started_at)
    return float(commits) / max(1, orders)


def event_times(engine: BenchEngine, status: str) -> tuple[datetime, datetime, int]:
    """First, last and number of the events with a status."""
    first, last, count = engine.row(
        "SELECT min(at), max(at), count(*) FROM orders_orderevent WHERE status = %s", status
    )
    return first, last, count
