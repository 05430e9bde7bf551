"""What is put onto a queue by somebody else ends no worker and holds no order up."""

import asyncio

import pytest
import redis

from tests.acceptance.client import Client
from tests.engine import Engine

GARBAGE = ["no JSON", "{}", "[]", "7", '{"body": 1}', '{"body": "eA==", "headers": null, "properties": null}']


@pytest.mark.parametrize("queue", ["orders", "dbsync"])
async def test_what_is_no_message_is_dropped(engine: Engine, queue: str) -> None:
    name = "orders-1" if queue == "orders" else queue
    before = engine.pid(name)
    broker = redis.Redis.from_url(engine.services["redisUrl"])
    for entry in GARBAGE:
        broker.lpush(queue, entry)
    async with Client(engine) as client, asyncio.timeout(60):
        watched = await client.watch((await client.place())["orderId"])
    assert watched.stages[-1][1] in ("confirmed", "failed")
    assert broker.llen(queue) <= 1, "a tick may wait"
    assert engine.pid(name) == before, engine.log(name)[-2_000:]
    assert "is no message" in engine.log(name)
    broker.close()
