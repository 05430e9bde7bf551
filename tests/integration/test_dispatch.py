"""Dispatching, against the real broker."""

import asyncio
import base64
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest
import redis
from django.conf import settings

import celery_app  # noqa: F401  (the broker)
from orders.dispatch import Dispatcher
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


async def test_a_full_message_does_not_wait_for_the_window(broker: redis.Redis) -> None:
    """With one message a window its size over the window was the most orders a second that were ever dispatched."""
    dispatcher = Dispatcher(window_ms=AN_HOUR_MS, max_batch=10, capacity=1_000)
    ids = [uuid4() for _ in range(35)]
    dispatcher.dispatch(ids)
    await asyncio.to_thread(until, lambda: broker.llen("orders") == 3, 30)
    assert [len(each) for each in messages(broker)] == [10, 10, 10]
    dispatcher.dispatch([uuid4()])
    await dispatcher.close()
    sent = messages(broker)
    assert [len(each) for each in sent] == [10, 10, 10, 6]
    assert [order_id for each in sent for order_id in each][:35] == list(map(str, ids))


async def test_beyond_its_capacity_ids_are_left_to_the_reconciler(broker: redis.Redis) -> None:
    dispatcher = Dispatcher(window_ms=AN_HOUR_MS, max_batch=100, capacity=10)
    dispatcher.dispatch([uuid4() for _ in range(11)])
    assert dispatcher.lost == 11
    await dispatcher.close()
    assert broker.llen("orders") == 0
