"""Whoever writes to Redis cannot choose at what price an order trades: what is forged there only delays."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings

from orders.ledger.statements import Connection
from risk.changes import By, set_limits
from risk.values import Limits
from routing.mock.world import MockWorld, mock_world
from routing.price_hashes import key, stamp
from routing.prices import PriceFeed
from routing.values import VenueName
from routing.venues import METEORA, RAYDIUM, registered
from tests.factories import accepted, limit_order, new_order
from tests.integration.test_resume import Owner, statuses

MARKET = Decimal(100)


class Forger:
    """Writes ticks of SOL-USDC as the poller does."""

    def __init__(self) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(settings.REDIS_URL)

    def write(self, price: str, *, liquidity: str = "50000000", venues: tuple[VenueName, ...] = registered()) -> None:
        at = stamp(datetime.now(UTC))
        for venue in venues:
            fields: dict[Any, Any] = {"price": price, "fee": "25", "liquidity": liquidity, "volume": "1"}
            self._redis.hset(key("SOL-USDC", venue), mapping=fields | {"observed_at": at, "seen_at": at})

    def close(self) -> None:
        self._redis.delete(*(key("SOL-USDC", venue) for venue in registered()))
        self._redis.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MockWorld]:
    feed = PriceFeed(settings.REDIS_URL)
    made = mock_world(
        tmp_path,
        seed=1,
        latency=0,
        failure_rate=0,
        deadline_ms=5_000,
        max_age_ms=60_000,
        valid_s=60,
        cached=feed.market,
    )
    made.market.move("SOL-USDC", price=MARKET, hold=True)
    yield made
    await made.close()
    await feed.close()


@pytest.fixture
async def owner(database: Connection, database_url: str, world: MockWorld) -> AsyncIterator[Owner]:
    made = Owner(database, database_url, world)
    yield made
    await made.close()


@pytest.fixture
async def forger() -> AsyncIterator[Forger]:
    made = Forger()
    yield made
    made.close()


def intents(database: Connection, order_id: UUID) -> list[Decimal]:
    """The least output of each transaction that was built for the order, in order."""
    rows = database.execute("SELECT min_out FROM orders_transaction WHERE order_id = %s ORDER BY attempt", (order_id,))
    return [row[0] for row in rows]


def near_the_market(least: Decimal) -> bool:
    """Its fee of at most 30 bps and its slippage of 50 bps below the market, and no more."""
    return MARKET * Decimal("0.992") < least < MARKET


async def test_a_forged_low_price_does_not_lower_min_out(
    database: Connection, account: int, owner: Owner, forger: Forger
) -> None:
    order = accepted(database, new_order(account))
    forger.write("0.01")
    await owner.execute(order.id)
    assert statuses(database, order.id) == ["pending", "routing", "building", "submitted", "confirmed"]
    [least] = intents(database, order.id)
    assert near_the_market(least)


@pytest.mark.parametrize("price", ["101", "10000"])
async def test_a_forged_high_price_costs_one_attempt(
    database: Connection, account: int, owner: Owner, forger: Forger, price: str
) -> None:
    """Nothing is sent for it: the transaction could only revert."""
    order = accepted(database, new_order(account))
    forger.write(price)
    await owner.execute(order.id)
    assert statuses(database, order.id) == ["pending", "routing", "building", "pending"]
    [code] = database.execute(
        "SELECT data -> 'error' ->> 'code' FROM orders_orderevent WHERE order_id = %s AND seq = 4", (order.id,)
    ).fetchone() or [None]
    assert code == "QUOTE_DEVIATES"
    await owner.execute(order.id)
    assert statuses(database, order.id)[-1] == "confirmed"
    [least] = intents(database, order.id)
    assert near_the_market(least)


@pytest.mark.parametrize("venue", [RAYDIUM, METEORA])
async def test_one_venue_s_forged_price_does_not_lower_min_out(
    database: Connection, account: int, owner: Owner, forger: Forger, venue: VenueName
) -> None:
    order = accepted(database, new_order(account))
    forger.write("100")
    forger.write("0.01", venues=(venue,))
    await owner.execute(order.id)
    [least] = intents(database, order.id)
    assert near_the_market(least)


@pytest.mark.parametrize(
    ("price", "liquidity", "fields"),
    [
        ("100", "0.01", {}),
        ("0.000000001", "50000000", {}),
        ("100", "1000", {"max_price_impact_bps": 50}),
    ],
    ids=["too shallow", "pays nothing", "too much impact"],
)
async def test_a_forged_pool_does_not_fail_an_order(
    database: Connection,
    account: int,
    owner: Owner,
    forger: Forger,
    price: str,
    liquidity: str,
    fields: dict[str, Any],
) -> None:
    """An error that ends an order for good is the venue's own answer."""
    order = accepted(database, new_order(account, **fields))
    forger.write(price, liquidity=liquidity)
    await owner.execute(order.id)
    assert statuses(database, order.id)[-1] == "confirmed"
    [least] = intents(database, order.id)
    assert near_the_market(least)


async def test_a_forged_pool_fails_no_order_that_is_held_to_the_market(
    database: Connection, account: int, owner: Owner, forger: Forger
) -> None:
    await asyncio.to_thread(set_limits, account, Limits(price_collar_bps=200), By("user operator", staff=True))
    order = accepted(database, new_order(account, slippage_bps=5_000))
    forger.write("100", liquidity="1000")
    await owner.execute(order.id)
    assert statuses(database, order.id)[-1] == "confirmed"


@pytest.mark.parametrize(("condition", "limit", "forged"), [("gte", 200, "250"), ("lte", 50, "40")])
async def test_a_forged_trigger_does_not_execute_a_limit_order(
    database: Connection, account: int, owner: Owner, forger: Forger, condition: str, limit: int, forged: str
) -> None:
    """The book and the prices in Redis say that the limit is reached; the venues do not."""
    order = accepted(
        database, limit_order(account, limit_price=Decimal(limit), trigger_condition=condition, slippage_bps=5_000)
    )
    forger.write(forged)
    await owner.executor.execute([order.id], {"price": forged, "observedAt": datetime.now(UTC).isoformat()})
    assert statuses(database, order.id) == ["pending", "routing", "pending"]
    assert intents(database, order.id) == []
    resting, reason = database.execute(
        "SELECT o.resting, e.data ->> 'reason' FROM orders_order o JOIN orders_orderevent e"
        " ON e.order_id = o.id AND e.seq = o.seq WHERE o.id = %s",
        (order.id,),
    ).fetchone() or (None, None)
    assert (resting, reason) == (True, "MARKET_MOVED_BACK")
