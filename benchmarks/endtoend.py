"""One run of orders at a fixed rate, from POST to the final event, and everything that is measured of it."""

from dataclasses import dataclass
from typing import Any

from benchmarks.consumption import spent
from benchmarks.engines import BenchEngine
from benchmarks.figures import Figure, percentile
from benchmarks.ledgerview import Run, commits_per_order, group_sizes, run_since
from benchmarks.storage import Snapshot, snapshot

WATCH_EVERY = 10
CONNECTIONS = 256
RAMP_S = 4.0
"""Orders take two to three seconds, so as many are finished as accepted only after that."""
SLACK_MS = 500.0
"""What an order may take beyond the mock's own time."""
KINDS = {"orders": "order workers", "web": "web", "postgres": "Postgres", "redis": "Redis"}


@dataclass(frozen=True)
class Outcome:
    rate: float
    seconds: float
    client: dict[str, Any]
    ledger: Run
    cpu: dict[str, float]
    """CPU seconds by process, from the first order to the last final event."""
    groups: dict[str, dict[str, float]]
    commits_per_order: float
    storage: tuple[Snapshot, Snapshot]
    """Before and after."""

    @property
    def confirmed_per_s(self) -> float:
        start = self.client["started_at"]
        return self.ledger.confirmed_per_s(start + RAMP_S, start + self.seconds)

    @property
    def end_to_end_p99_ms(self) -> float:
        return percentile(self.ledger.end_to_end_ms, 99)

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Of one confirmed order, by kind of process, and `all`."""
        kinds: dict[str, float] = {}
        for process, seconds in self.cpu.items():
            name = process.rstrip("0123456789").rstrip("-")
            kind = KINDS.get(name, "others")
            kinds[kind] = kinds.get(kind, 0.0) + seconds * 1000 / max(1, self.ledger.confirmed)
        return kinds | {"all": sum(kinds.values())}

    @property
    def flat(self) -> bool:
        """The backlog did not grow from the middle of the load to its end."""
        middle, end = self.ledger.backlog(self.client["started_at"], self.seconds)
        return end <= middle * 1.1 + 20

    def held(self, base_p99_ms: float) -> bool:
        """The rate was sustained: everything accepted and confirmed, in time, without a growing backlog."""
        return (
            self.client["ok"] == self.client["sent"] == self.ledger.confirmed
            and self.flat
            and self.end_to_end_p99_ms <= base_p99_ms + SLACK_MS
        )


def run(engine: BenchEngine, rate: float, seconds: float, *, watch_every: int = WATCH_EVERY) -> Outcome:
    """Raises `Unfinished` when orders are still in work two minutes after the last."""
    stored = snapshot(engine)
    before = engine.cpu()
    client = engine.load("open", rate=rate, seconds=seconds, connections=CONNECTIONS, watch_every=watch_every)
    engine.until_finished()
    cpu = spent(before, engine.cpu())
    since = client["started_at"]
    ledger = run_since(engine, since)
    return Outcome(
        rate=rate,
        seconds=seconds,
        client=client,
        ledger=ledger,
        cpu=cpu,
        groups=group_sizes(engine, since),
        commits_per_order=commits_per_order(engine, since, len(ledger.orders)),
        storage=(stored, snapshot(engine)),
    )


def lags_ms(client: dict[str, Any]) -> list[float]:
    return [lag for lags in client["watches"]["lags_ms"].values() for lag in lags]


def summary(outcome: Outcome) -> str:
    middle, end = outcome.ledger.backlog(outcome.client["started_at"], outcome.seconds)
    cpu = ", ".join(f"{kind} {ms:.2f}" for kind, ms in outcome.cpu_ms.items())
    return (
        f"{outcome.rate:g}/s: confirmed {outcome.confirmed_per_s:.0f}/s of {len(outcome.ledger.orders)} accepted, "
        f"p99 {outcome.end_to_end_p99_ms:.0f} ms, in flight {middle:.0f} then {end:.0f}, CPU ms/order {cpu}, "
        f"complete streams {outcome.client['watches']['complete']}/{outcome.client['watches']['started']} "
        f"{outcome.client['watches']['reasons'] or ''}, "
        f"answers {outcome.client['statuses']}"
    )


def figures(name: str, what: str, outcome: Outcome, base_p99_ms: float) -> list[Figure]:
    """What the run showed, without judging it."""
    client = outcome.client
    middle, end = outcome.ledger.backlog(client["started_at"], outcome.seconds)
    lags = lags_ms(client)
    made = [
        Figure(f"{name}.confirmed", f"{what}: confirmed", outcome.confirmed_per_s, "orders/s"),
        Figure(f"{name}.unconfirmed", f"{what}: sent and not confirmed", client["sent"] - outcome.ledger.confirmed),
        Figure(f"{name}.backlog_middle", f"{what}: in flight, middle third", middle),
        Figure(f"{name}.backlog_end", f"{what}: in flight, last tenth", end),
        Figure(f"{name}.gaps", f"{what}: orders whose events are not complete", outcome.ledger.gaps, at_most=0),
        Figure(f"{name}.accept_p50", f"{what}: accept p50", percentile(client["latencies_ms"], 50), "ms"),
        Figure(f"{name}.accept_p99", f"{what}: accept p99", percentile(client["latencies_ms"], 99), "ms"),
        Figure(
            f"{name}.added_p99", f"{what}: p99 beyond the mock's time", outcome.end_to_end_p99_ms - base_p99_ms, "ms"
        ),
        Figure(f"{name}.lag_p50", f"{what}: event to watcher p50", percentile(lags, 50), "ms"),
        Figure(f"{name}.lag_p99", f"{what}: event to watcher p99", percentile(lags, 99), "ms"),
        Figure(
            f"{name}.watchers_broken", f"{what}: watchers that missed an event", client["watches"]["broken"], at_most=0
        ),
        Figure(
            f"{name}.watchers_unended", f"{what}: watchers whose stream had not ended", client["watches"]["unended"]
        ),
        Figure(f"{name}.commits", f"{what}: commits", outcome.commits_per_order, "an order"),
        Figure(
            f"{name}.client_cpu",
            f"{what}: CPU of the load generator",
            client["cpu_s"] * 1000 / client["sent"],
            "ms/order",
        ),
    ]
    for kind, ms in outcome.cpu_ms.items():
        made.append(Figure(f"{name}.cpu.{kind}", f"{what}: CPU of {kind}", ms, "ms/order"))
    for status, sizes in outcome.groups.items():
        made.append(Figure(f"{name}.group.{status}", f"{what}: {status} events a commit, mean", sizes["mean"]))
        made.append(Figure(f"{name}.group_p99.{status}", f"{what}: {status} events a commit, p99", sizes["p99"]))
    return made
