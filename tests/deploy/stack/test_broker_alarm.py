"""RabbitMQ's memory alarm, caused once: it is in the metric that the alert BrokerAlarm asks for, and goes by itself."""

import re
from collections.abc import Iterator

import httpx
import pytest
import yaml

from tests.acceptance.test_rabbitmq import RabbitMQ, pytestmark  # noqa: F401  Skips where there is no RabbitMQ.
from tests.engine import BASE_DIR, free_port
from tests.waiting import until


@pytest.fixture
def broker() -> Iterator[tuple[RabbitMQ, int]]:
    broker, port = RabbitMQ(), free_port()
    try:
        (broker.home / "plugins").write_text("[rabbitmq_prometheus].\n")
        file = broker.home / "alarm.conf"
        file.write_text(f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {port}\n")
        broker.environment["RABBITMQ_CONFIG_FILE"] = str(file)
        broker.start()
        yield broker, port
    finally:
        broker.remove()


def alarms(port: int) -> dict[str, float]:
    [group] = yaml.safe_load((BASE_DIR / "deploy/prometheus/alerts.yml").read_text())["groups"]
    [expression] = [rule["expr"] for rule in group["rules"] if rule["alert"] == "BrokerAlarm"]
    pattern = re.search(r'__name__=~"([^"]+)"', expression)
    assert pattern
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in samples if re.fullmatch(pattern[1], name.partition("{")[0])}


def test_an_alarm_is_seen_and_ends(broker: tuple[RabbitMQ, int]) -> None:
    rabbitmq, port = broker
    assert len(alarms(port)) == 3 and not any(alarms(port).values())
    rabbitmq.ask("set_vm_memory_high_watermark", "absolute", "1MB")
    until(lambda: any(alarms(port).values()), 60, 0.5)
    rabbitmq.ask("set_vm_memory_high_watermark", "0.6")
    until(lambda: not any(alarms(port).values()), 60, 0.5)
