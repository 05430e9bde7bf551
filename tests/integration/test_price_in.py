"""A limit in tokenIn through the ledger: kept as asked, told both ways, amended in its own direction."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orders import commands
from orders.commands import Asker
from orders.errors import ApiError
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.limits import asked_in_token_in
from orders.models import Order
from orders.order_in import AmendIn
from orders.representation import order_out
from routing.mock.tokens import SOL, USDC
from routing.mock.world import mock_world
from tests.factories import accepted, executor, limit_order
from tests.integration.test_resume import Owner

BY = Asker("test", "request")
INVERSE = Decimal("0.006666666666666667")


def buy_at_150(account: int, **fields: Any) -> Any:
    values = {"token_in": USDC.mint, "token_out": SOL.mint, "limit_price": INVERSE, "asked_price": Decimal(150)}
    return limit_order(account, **(values | fields))


def told(order: Any) -> tuple[Any, ...]:
    out = order_out(Order.objects.get(pk=order.id))
    assert out.limit_prices is not None
    return out.limit_price, out.price_in, out.limit_prices.token_out, out.limit_prices.token_in


def test_it_is_told_as_asked_and_both_ways(database: Connection, account: int) -> None:
    order, other = accepted(database, buy_at_150(account)), accepted(database, limit_order(account))
    assert told(order) == ("150", "tokenIn", "0.006666666666666667", "150")
    assert told(other) == ("200", "tokenOut", "200", "0.005")
    [taken] = statements.claim(database, executor(database), [order.id], {order.id: {"price": "1"}})
    assert (taken.limit_price, taken.asked_price) == (INVERSE, Decimal(150))


def test_it_is_amended_in_its_own_direction_or_in_another(database: Connection, account: int) -> None:
    order = accepted(database, buy_at_150(account))

    def amend(**wanted: Any) -> tuple[Any, ...]:
        commands.amend(Order.objects.get(pk=order.id), AmendIn(allow_far_price=True, **wanted), BY)
        return told(order)

    assert amend(limit_price=Decimal(160)) == ("160", "tokenIn", "0.00625", "160")
    assert amend(amount=Decimal(7)) == ("160", "tokenIn", "0.00625", "160")
    assert amend(limit_price=Decimal("0.005"), price_in="tokenOut") == ("0.005", "tokenOut", "0.005", "200")
    assert amend(limit_price=Decimal("0.004")) == ("0.004", "tokenOut", "0.004", "250")
    assert amend(limit_price=Decimal(3), price_in="tokenIn") == ("3", "tokenIn", "0.333333333333333334", "3")
    with pytest.raises(ApiError, match="priceIn"):
        amend(price_in="tokenOut")
    seqs = database.execute(
        "SELECT data FROM orders_orderevent WHERE order_id = %s ORDER BY seq", (order.id,)
    ).fetchall()
    assert [data["amended"].get("askedPrice", "-") for [data] in seqs[1:]] == ["160", "-", None, "-", "3"]


def test_a_process_of_before_amends_it(database: Connection, account: int) -> None:
    """It knows `limit_price` alone: that is the order's limit from then on, and what was asked before is not."""
    order = accepted(database, buy_at_150(account))
    database.execute("UPDATE orders_order SET limit_price = 0.007 WHERE id = %s", (order.id,))
    assert told(order)[:3] == ("0.007", "tokenOut", "0.007")
    row = Order.objects.get(pk=order.id)
    assert asked_in_token_in(row.limit_price, row.asked_price, row.trigger_condition) is None


async def test_the_transaction_demands_what_was_asked_and_not_a_unit_more(
    database: Connection, database_url: str, account: int, tmp_path: Path
) -> None:
    """150 USDC at 150 USDC per SOL are 1 SOL; by way of the rounded inverse it would be 1.000000001."""
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60)
    owner = Owner(database, database_url, world)
    order = accepted(database, buy_at_150(account, amount=Decimal(150), slippage_bps=5_000))
    try:
        async with asyncio.timeout(30):
            await owner.executor.execute([order.id], trigger={"price": "0.01"})
        rows = database.execute("SELECT min_out, resolution FROM orders_transaction WHERE order_id = %s", (order.id,))
        assert rows.fetchall() == [(Decimal(1), "landed")]
    finally:
        await owner.close()
        await world.close()
