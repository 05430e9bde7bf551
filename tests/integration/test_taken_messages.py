"""What a worker has taken from its queue and not begun: in its own memory, given back when it stops in order."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from kombu import Connection, Consumer, Queue

import celery_app
from runtime import redis_url

pytestmark = pytest.mark.skipif(settings.RABBITMQ, reason="of the broker Redis")
NAME = "taken"


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(NAME, "unacked", "unacked_index")
        yield client
        client.config_set("maxmemory", 0)
        client.delete(NAME)


def taking() -> tuple[Connection, list[Any]]:
    """A connection as a worker has one, and the two messages that it has taken."""
    options = celery_app.app.conf.broker_transport_options
    connection = Connection(redis_url.for_kombu(settings.REDIS_URL), transport_options=options)
    taken: list[Any] = []
    queue = Queue(NAME, no_declare=True)
    with connection.Producer() as producer:
        for n in range(2):
            producer.publish({"n": n}, routing_key=NAME, serializer="json")
    consumer = Consumer(connection.default_channel, [queue], on_message=taken.append, auto_declare=False)
    consumer.consume()
    while len(taken) < 2:
        connection.drain_events(timeout=30)
    return connection, taken


def test_what_was_taken_is_noted_in_the_worker_alone(broker: redis.Redis) -> None:
    connection, taken = taking()
    assert not broker.exists(NAME, "unacked", "unacked_index")
    for message in taken:
        message.ack()
    connection.close()
    assert not broker.exists(NAME)


def test_what_was_not_begun_is_given_back_at_a_stop(broker: redis.Redis) -> None:
    connection, (begun, waiting) = taking()
    begun.ack()
    connection.close()
    [entry] = broker.lrange(NAME, 0, -1)  # type: ignore[misc]
    assert waiting.delivery_tag.encode() in entry and b'"redelivered": true' in entry


def test_what_cannot_be_given_back_is_left_to_the_reconciler(
    broker: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    connection, _ = taking()
    before = set(Path(tempfile.gettempdir()).iterdir())
    broker.config_set("maxmemory", 1)
    with caplog.at_level(logging.WARNING, logger="runtime.redis_queue"):
        connection.close()
    assert "2 messages cannot be given back" in caplog.text
    # kombu by itself writes them to a file there.
    assert not [file for file in Path(tempfile.gettempdir()).iterdir() if file not in before]


def test_a_producer_whose_channel_was_closed_sends_on(broker: redis.Redis) -> None:
    """Redis was away for longer than a message is tried; nothing is declared, so that nothing else would notice."""
    options = celery_app.app.conf.broker_transport_options
    with Connection(redis_url.for_kombu(settings.REDIS_URL), transport_options=options) as connection:
        producer = connection.Producer(auto_declare=False)
        producer.publish({"n": 0}, routing_key=NAME, serializer="json")
        producer.channel.close()
        retries = {"max_retries": 3, "interval_start": 0}
        producer.publish({"n": 1}, routing_key=NAME, serializer="json", retry=True, retry_policy=retries)
        assert broker.llen(NAME) == 2
