"""Dispatching, against the real broker."""

import base64
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis
from django.conf import settings

import celery_app  # noqa: F401  (the broker)
from orders.dispatch import Dispatcher
from runtime.broker import messages_waiting
from tests.waiting import until

AN_HOUR_MS = 3_600_000


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete("orders")
        yield client
        client.delete("orders")


def messages(broker: redis.Redis) -> list[list[str]]:
    """The ids of each message, the oldest first."""
    bodies = [msgspec.json.decode(message)["body"] for message in broker.lrange("orders", 0, -1)]  # type: ignore[union-attr]
    return [msgspec.json.decode(base64.b64decode(body))[1]["order_ids"] for body in reversed(bodies)]


def dispatcher(**options: float) -> Dispatcher:
    """One that rests for an hour after its first message."""
    numbers: dict[str, Any] = {"rest_ms": AN_HOUR_MS, "window_ms": AN_HOUR_MS, "max_batch": 10, "capacity": 1_000}
    return Dispatcher(**(numbers | options))


def test_what_comes_to_an_idle_dispatcher_is_sent_at_once(broker: redis.Redis) -> None:
    idle = dispatcher(rest_ms=1)
    for _ in range(3):
        idle.dispatch([uuid4()])
        until(lambda: broker.llen("orders") == 1, 30)
        broker.delete("orders")
    idle.close()


def test_after_a_message_ids_are_gathered_for_as_long_as_the_window(broker: redis.Redis) -> None:
    gathering = dispatcher(window_ms=500, max_batch=100)
    gathering.dispatch([uuid4()])
    until(lambda: broker.llen("orders") == 1, 30)
    for _ in range(5):
        gathering.dispatch([uuid4()])
    until(lambda: broker.llen("orders") == 2, 30)
    assert [len(each) for each in messages(broker)] == [1, 5]
    gathering.close()


def test_a_full_message_does_not_wait_for_the_window(broker: redis.Redis) -> None:
    """With one message a window its size over the window was the most orders a second that were ever dispatched."""
    full = dispatcher()
    ids = [uuid4() for _ in range(35)]
    full.dispatch(ids)
    until(lambda: broker.llen("orders") == 3, 30)
    assert [len(each) for each in messages(broker)] == [10, 10, 10]
    full.dispatch([uuid4()])
    full.close()
    sent = messages(broker)
    assert [len(each) for each in sent] == [10, 10, 10, 6]
    assert [order_id for each in sent for order_id in each][:35] == list(map(str, ids))


def test_beyond_its_capacity_ids_are_left_to_the_reconciler(broker: redis.Redis) -> None:
    small = dispatcher(capacity=10)
    small.dispatch([uuid4() for _ in range(11)])
    assert small.lost == 11
    small.close()
    assert broker.llen("orders") == 0


@pytest.mark.skipif(settings.RABBITMQ, reason="counts Redis' connections")
def test_how_many_wait_on_an_empty_queue_is_asked_over_a_connection_that_stays(broker: redis.Redis) -> None:
    assert messages_waiting("orders") == 0
    before = broker.info("stats")["total_connections_received"]  # type: ignore[index]

    assert [messages_waiting("orders") for _ in range(5)] == [0] * 5

    assert broker.info("stats")["total_connections_received"] == before  # type: ignore[index]
