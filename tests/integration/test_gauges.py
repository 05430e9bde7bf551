"""What `/metrics` says of living processes: by heartbeat and by held locks, not by what somebody has noted."""

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from prometheus_client.core import GaugeMetricFamily

from orders.http import metrics
from orders.ledger.statements import Connection
from runtime import slots
from triggers import pulse


def samples(families: list[GaugeMetricFamily]) -> dict[str, float]:
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def outside() -> Iterator[metrics.Outside]:
    made = metrics.Outside(settings)
    yield made
    made.close()


def test_executors_are_alive_by_their_heartbeat(database: Connection, outside: metrics.Outside) -> None:
    """Nobody notes a crashed executor while `dbsync` is down."""
    for age_s in (0, 42):
        database.execute(
            "INSERT INTO orders_executor (id, name, pid, in_flight, state, started_at, heartbeat_at)"
            " VALUES (%s, 'orders-1', 1, 0, 'alive', now() - interval '1 hour', now() - %s * interval '1 second')",
            [uuid4(), age_s],
        )
    assert samples(outside.from_database())["orderengine_executors_alive"] == 1


def test_a_missing_process_is_a_fact(tmp_path: Path) -> None:
    assert samples([metrics.processes(tmp_path)])["orderengine_processes_alivedbsync"] == 0
    (tmp_path / "dbsync.1.lock").touch()
    assert samples([metrics.processes(tmp_path)])["orderengine_processes_alivedbsync"] == 0, (
        "a file of a process that ended"
    )
    with (tmp_path / "dbsync.1.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert slots.living(tmp_path) == {"dbsync": 1}
        assert samples([metrics.processes(tmp_path)])["orderengine_processes_alivedbsync"] == 1


def test_the_age_of_a_task_s_last_turn_is_in_them(outside: metrics.Outside) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as store:
        store.hset(pulse.PULSE, "reconcile", int((time.time() - 30) * 1000))
        try:
            assert 29 < samples(outside.turns())["orderengine_task_age_secondsreconcile"] < 40
        finally:
            store.delete(pulse.PULSE)
        assert "orderengine_task_age_secondsreconcile" not in samples(outside.turns())
