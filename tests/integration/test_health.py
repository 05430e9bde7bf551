"""`/readyz` asks what it promises."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import RequestFactory

from orderengine import health
from orderengine.host import disk
from orders.ledger.statements import Connection
from triggers import pulse


@pytest.fixture
def store() -> Iterator["redis.Redis"]:
    client = redis.Redis.from_url(settings.REDIS_URL)
    yield client
    client.config_set("min-replicas-to-write", 0)
    client.delete(pulse.PULSE)
    client.close()


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> health.RedisProbe:
    probe = health.RedisProbe()
    monkeypatch.setattr(health, "redis_probe", probe)
    return probe


def asked() -> tuple[int, str, dict[str, Any]]:
    answer = health.readyz(RequestFactory().get("/readyz"))
    body = json.loads(answer.content)
    return answer.status_code, body["status"], body["dependencies"]


def test_a_session_that_takes_no_writes_is_not_ready(database: Connection, probe: health.RedisProbe) -> None:
    assert asked()[0] == 200 and asked()[2]["postgres"] == "ok"
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            status, said, dependencies = asked()
        finally:
            cursor.execute("RESET default_transaction_read_only")
    assert (status, said, dependencies["postgres"]) == (503, "unavailable", "read-only")


def test_a_redis_that_refuses_writes_is_reported(
    database: Connection, probe: health.RedisProbe, store: "redis.Redis"
) -> None:
    assert asked()[2]["redis"] == "ok"
    store.config_set("min-replicas-to-write", 1)
    status, said, dependencies = asked()
    assert (status, said, dependencies["redis"]) == (200, "degraded", "refuses writes: NOREPLICAS")


@pytest.mark.parametrize(("name", "key"), health.TURNS.items())
def test_a_task_that_stands_still_is_reported(
    database: Connection, probe: health.RedisProbe, store: "redis.Redis", name: str, key: str
) -> None:
    assert name not in asked()[2], "what was never there is not known to be missing"
    store.hset(pulse.PULSE, key, int(time.time() * 1000))
    assert asked()[2][name] == "ok"
    store.hset(pulse.PULSE, key, int((time.time() - 60) * 1000))
    assert asked()[2][name] == "stands still" and asked()[1] == "degraded"
    store.hdel(pulse.PULSE, key)
    assert asked()[2][name] == "stands still"


def test_a_full_disk_is_not_ready(
    database: Connection, probe: health.RedisProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free", lambda folder: disk.FULL_BYTES - 1)
    status, said, dependencies = asked()
    assert (status, said, dependencies["disk"]) == (503, "unavailable", "full")
