"""What a process opens has an owner: it is opened once, and closed when the process stops."""

from collections.abc import AsyncIterator

import pytest
import redis
from django.conf import settings

from orderengine.health import RedisProbe
from orders.http.metrics import Outside
from orders.ledger.statements import Connection
from orders.prices import present
from routing.world import close_world, price_feed, price_store, tokens, world
from tests.waiting import until
from triggers.tasks import Owners

QUERY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orderengine:metrics'"


@pytest.fixture
async def store() -> AsyncIterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.ping()
        yield client
    await close_world()


def made(store: "redis.Redis") -> int:
    """Connections that Redis has ever accepted."""
    return int(store.info("stats")["total_connections_received"])


def open_now(store: "redis.Redis") -> int:
    return len(store.client_list())


def test_present_prices_cost_no_connection_a_call(store: "redis.Redis") -> None:
    [pair, *_] = tokens().all_pairs()
    present(pair)
    before = made(store)
    for _ in range(5):
        present(pair)
    assert made(store) == before


async def test_the_world_of_a_process_is_one_until_it_is_closed(store: "redis.Redis") -> None:
    before = open_now(store)
    first, [pair, *_] = world(), tokens().all_pairs()
    assert world() is first and price_feed() is price_feed() and price_store() is price_store()
    await price_feed().market(pair)
    price_store().venue_states()
    assert open_now(store) > before
    await close_world()
    until(lambda: open_now(store) <= before, 5)
    assert world() is not first


def test_the_owner_of_the_ticker_closes_its_connections(store: "redis.Redis") -> None:
    before = open_now(store)
    owners = Owners()
    owners.start(["quotes", "limit"])
    owners.ticker().tick()
    owners.matcher().match_limits(tokens().all_pairs()[0].name)
    assert open_now(store) > before
    owners.close()
    until(lambda: open_now(store) <= before, 5)


def test_the_scrape_s_connections_end_with_the_process(database: Connection, store: "redis.Redis") -> None:
    def sessions() -> int:
        [(count,)] = database.execute(QUERY).fetchall()
        return int(count)

    before = open_now(store)
    outside = Outside(settings)
    outside.from_database()
    outside.from_redis()
    assert sessions() == 1 and open_now(store) > before
    outside.close()
    until(lambda: sessions() == 0 and open_now(store) <= before, 5)


async def test_the_probe_of_readiness_is_closed(store: "redis.Redis") -> None:
    before = open_now(store)
    probe = RedisProbe()
    for _ in range(3):
        assert probe.states()["redis"] == "ok"
    assert open_now(store) > before
    probe.close()
    await close_world()
    until(lambda: open_now(store) <= before, 5)
