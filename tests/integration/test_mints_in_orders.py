"""Orders name mints. What versions before wrote, or still write beside this one, means what it meant."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django.plugin import DjangoDbBlocker

from orders.ledger.statements import Connection
from orders.mints import OF_SYMBOL, mint_of, stored_as
from orders.models import Order
from orders.representation import order_out
from orders.resting.keeper import Keeper
from routing.mock.tokens import JUP, SOL, TOKENS, USDC
from routing.mock.world import mock_world
from routing.world import registry
from tests.factories import accepted, limit_order, new_order
from tests.integration.test_resume import Owner, statuses
from triggers.book import Book

BEFORE = ("orders", "0012_order_amount_or_percent")
OTHER = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"


def of_before(account: int, **fields: Any) -> Any:
    """An order as a process of the version before writes it."""
    return new_order(account, **{"token_in": "SOL", "token_out": "USDC", **fields})


@pytest.fixture
def book() -> Iterator[Book]:
    book = Book(settings.REDIS_URL)
    book.redis.flushdb()
    yield book
    book.redis.flushdb()
    book.close()


@pytest.fixture
def unverified(database: Connection) -> Iterator[None]:
    """SOL is not verified any more, and another mint is."""
    registry.refresh()
    database.execute("UPDATE routing_token SET verified = false WHERE mint = %s", (SOL.mint,))
    database.execute(
        "INSERT INTO routing_token (mint, symbol, name, decimals, program, extensions, verified, source, rank)"
        " VALUES (%s, 'SOL', '', 9, 'token', '[]', true, 'test', 1000)",
        (OTHER,),
    )
    registry.refresh()
    yield
    database.execute("TRUNCATE routing_token")
    registry.refresh()


def test_the_symbols_of_before_are_those_of_the_mock() -> None:
    assert {token.symbol: token.mint for token in TOKENS} == OF_SYMBOL
    assert stored_as(SOL.mint) == [SOL.mint, "SOL"] and stored_as(OTHER) == [OTHER]
    assert mint_of("SOL") == mint_of(SOL.mint) == SOL.mint


@pytest.fixture
def at_the_version_before(database: Connection, django_db_blocker: DjangoDbBlocker) -> Iterator[Connection]:
    def migrate(*to: tuple[str, str]) -> None:
        made = MigrationExecutor(connection)
        made.migrate(list(to) or made.loader.graph.leaf_nodes())

    database.execute("ALTER TABLE orders_order DROP CONSTRAINT order_two_tokens")
    migrate(BEFORE)
    database.execute(
        "ALTER TABLE orders_order ALTER token_in TYPE varchar(16), ALTER token_out TYPE varchar(16),"
        " ADD CONSTRAINT order_two_tokens CHECK (NOT (token_in = token_out AND token_in IS NOT NULL))"
    )
    yield database
    migrate()


INSERT = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, limit_price,
    trigger_condition, status, seq, epoch, attempts, resting, run_at, created_at, updated_at, finished_at)
SELECT gen_random_uuid(), %(account)s, '\\x00', CASE WHEN n %% 3 = 0 THEN 'limit' ELSE 'market' END,
    (ARRAY['SOL', 'USDC', 'JUP', 'BONK', 'NEW'])[1 + n %% 5], (ARRAY['SOL', 'USDC', 'JUP', 'BONK', 'NEW'])[1 + (n + 1) %% 5],
    n, 50, CASE WHEN n %% 3 = 0 THEN 100 END, CASE WHEN n %% 3 = 0 THEN 'gte' END,
    CASE WHEN n %% 3 = 0 THEN 'pending' ELSE 'cancelled' END, 2, 0, 0, n %% 3 = 0, NULL, now(), now(),
    CASE WHEN n %% 3 > 0 THEN now() END
FROM generate_series(1, %(many)s) AS n
"""


def test_orders_of_before_migrate_without_loss(at_the_version_before: Connection, account: int) -> None:
    """More than two pages, one order held by a worker meanwhile."""
    database = at_the_version_before
    database.execute(INSERT, {"account": account, "many": 4_500})
    rest = "to_jsonb(o) - 'token_in' - 'token_out' - 'asked_price'"
    everything = f"SELECT {rest}, token_in, token_out FROM orders_order o ORDER BY id"
    before = database.execute(everything).fetchall()
    MigrationExecutor(connection).migrate([("orders", "0013_order_names_mints")])
    with psycopg.connect(settings.DATABASE_URL) as worker:
        held = worker.execute("SELECT id FROM orders_order ORDER BY id LIMIT 1 FOR UPDATE").fetchone()
        assert held is not None
        # No further: a later migration may alter the table, and waits for the worker.
        MigrationExecutor(connection).migrate([("orders", "0014_orders_name_mints")])
    after = database.execute(everything).fetchall()
    made = MigrationExecutor(connection)
    made.migrate(made.loader.graph.leaf_nodes())
    assert [row for row, _, _ in after] == [row for row, _, _ in before]
    named = {(sold, bought): (mint_of(sold), mint_of(bought)) for _, sold, bought in before}
    assert [row[1:] for row in after[1:]] == [named[row[1:]] for row in before[1:]]
    assert after[0][1:] == before[0][1:], "what is held is passed over, and readable all the same"
    labels = [(out.token_in, out.token_out) for out in map(order_out, Order.objects.order_by("id"))]
    assert labels == [row[1:] for row in before]
    checks = database.execute("SELECT convalidated FROM pg_constraint WHERE conname = 'order_two_tokens'").fetchall()
    assert checks == [(True,)]
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("UPDATE orders_order SET token_in = token_out")


async def test_what_a_process_of_before_writes_is_executed(
    database: Connection, database_url: str, account: int, tmp_path: Path, unverified: None
) -> None:
    """By the mints that its symbols meant, whatever the symbol is verified for now."""
    world = mock_world(
        tmp_path,
        seed=1,
        latency=0,
        failure_rate=0,
        deadline_ms=5_000,
        max_age_ms=60_000,
        valid_s=60,
        tokens=registry.current,
    )
    owner = Owner(database, database_url, world)
    try:
        order = accepted(database, of_before(account))
        await owner.execute(order.id)
        assert statuses(database, order.id)[-1] == "confirmed"
        row = await asyncio.to_thread(
            database.execute, "SELECT executed_price FROM orders_order WHERE id = %s", (order.id,)
        )
        [price] = row.fetchone() or [0]
        assert 90 < price < 110, "SOL's"
        out = await asyncio.to_thread(lambda: order_out(Order.objects.get(pk=order.id)))
        assert (out.token_in, out.token_out, out.mint_in) == (SOL.mint, "USDC", SOL.mint)
    finally:
        await owner.close()
        await world.close()


def test_a_resting_order_of_before_stands_in_the_book_once(database: Connection, book: Book, account: int) -> None:
    """A keeper of the version before arms rows that name mints under names made of mints; ours removes those."""
    mine, theirs = accepted(database, limit_order(account)), accepted(database, of_before(account, **LIMIT))
    stray = f"limit:{SOL.mint}-{USDC.mint}:{mine.id}"
    arm = book._arm  # With the arguments of the version before, whose script stands beside ours in Redis.
    arm([stray, "triggers:again"], [f"{SOL.mint}-{USDC.mint}", str(mine.id), 1, "gte", "200", 0, 0, 0, ""])
    keeper = Keeper(book)
    for _ in range(3):
        keeper.run(database)
    assert set(book.redis.keys("limit:*")) == {f"limit:SOL-USDC:{order.id}" for order in (mine, theirs)}
    assert book.redis.hget(f"limit:SOL-USDC:{theirs.id}", "mints") == f"{SOL.mint}-{USDC.mint}"


LIMIT = {"type": "limit", "limit_price": Decimal(200), "trigger_condition": "gte", "resting": True}


def test_the_book_follows_when_a_symbol_is_taken_back(
    database: Connection, book: Book, account: int, request: pytest.FixtureRequest
) -> None:
    order, other = accepted(database, limit_order(account)), accepted(database, limit_order(account, token_in=JUP.mint))
    registry.refresh()
    keeper = Keeper(book)
    keeper.run(database)
    assert set(book.redis.keys("limit:*")) == {f"limit:SOL-USDC:{order.id}", f"limit:JUP-USDC:{other.id}"}
    request.getfixturevalue("unverified")
    for _ in range(3):
        keeper.run(database)
    assert set(book.redis.keys("limit:*")) == {f"limit:{SOL.mint}-USDC:{order.id}", f"limit:JUP-USDC:{other.id}"}
    assert book.is_complete()
    assert book.claim("SOL-USDC", "gte", Decimal(900), most=9, again_in_ms=0)[0] == [], (
        "that is another mint's pair now"
    )
    assert book.claim(f"{SOL.mint}-USDC", "gte", Decimal(900), most=9, again_in_ms=0)[0] == [order.id]
