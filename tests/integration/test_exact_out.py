"""Exact out through the ledger and the mock: just what was asked for is received, and never more is sold than promised."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from books.fills import Wanted, page
from orders import commands
from orders.commands import Asker
from orders.errors import ApiError
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import NewOrder
from orders.models import Order
from orders.order_in import AmendIn
from orders.representation import order_out
from risk.changes import set_limits
from risk.models import Spend
from risk.values import Limits
from routing.mock.settlement import decode
from routing.mock.tokens import JUP, SOL, USDC
from routing.mock.world import MockWorld, mock_world
from tests.factories import accepted, executor, limit_order, new_order
from tests.integration.test_resume import Owner, statuses
from tests.integration.test_risk import OPERATOR, WORTH, claim, codes

BY = Asker("test")
EXACT = {"token_in": USDC.mint, "token_out": SOL.mint, "amount": None}


def wanting(account: int, amount_out: str = "2", **fields: Any) -> NewOrder:
    """Buys SOL for USDC."""
    return new_order(account, **{**EXACT, "exact_out": Decimal(amount_out), **fields})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MockWorld]:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60)
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    yield made
    await made.close()


@pytest.fixture
async def owner(database: Connection, database_url: str, world: MockWorld) -> AsyncIterator[Owner]:
    made = Owner(database, database_url, world)
    yield made
    await made.close()


async def executed(database: Connection, owner: Owner, order: NewOrder) -> Order:
    """To its end, whatever attempts that takes."""
    accepted(database, order)
    for _ in range(3):
        await owner.execute(order.id)
    return await asyncio.to_thread(Order.objects.get, pk=order.id)


def said(database: Connection, order: Order) -> list[dict[str, Any]]:
    """What the order's events say, the oldest first."""
    rows = database.execute("SELECT data FROM orders_orderevent WHERE order_id = %s ORDER BY seq", (order.pk,))
    return [data for (data,) in rows.fetchall()]


async def test_just_what_was_asked_for_is_received(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    order = await executed(database, owner, wanting(account))
    assert order.status == "confirmed", order.failure_message
    assert order.amount_out == 2 and order.amount is None
    assert order.amount_in is not None and Decimal(300) < order.amount_in < Decimal(302)
    assert order.executed_price == pytest.approx(order.amount_out / order.amount_in)
    assert statuses(database, order.id) == ["pending", "routing", "building", "submitted", "confirmed"]
    building, submitted, done = said(database, order)[2:]
    assert {quote["amountOut"] for quote in building["quotes"]} == {"2"} and "takes" in building["reason"]
    best = min(Decimal(quote["amountIn"]) for quote in building["quotes"])
    assert submitted["minOut"] == "2" and Decimal(submitted["maxIn"]) == (best * Decimal("1.005")).quantize(
        Decimal("0.000001"), "ROUND_DOWN"
    )
    assert done["amountIn"] == f"{order.amount_in.normalize():f}" and order.amount_in <= Decimal(submitted["maxIn"])
    out = order_out(order)
    assert (out.amount, out.exact_out, out.amount_out, out.amount_in) == (None, "2", "2", done["amountIn"])
    [fill] = await asyncio.to_thread(page, Wanted(account_id=account, mode="mock"), limit=9, newest=True, cursor=None)
    assert (fill.amount_in, fill.amount_out) == (order.amount_in, 2)


async def test_more_than_amount_in_max_is_never_sold(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    order = await executed(database, owner, wanting(account, amount_in_max=Decimal(300)))
    assert (order.status, order.failure_code) == ("failed", "AMOUNT_IN_TOO_HIGH")
    assert world.chain.report(str(order.id))["submissions"] == []
    once = await executed(database, owner, wanting(account, amount_in_max=Decimal(300), time_in_force="ioc"))
    assert (once.status, once.attempts) == ("expired", 1)
    assert said(database, once)[-1]["reason"] == "NOT_MARKETABLE"


async def test_a_market_that_moves_before_the_landing_reverts_it(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    """The transaction itself takes no more, whatever the market does meanwhile."""
    order = wanting(account, slippage_bps=100)
    submit, sent = world.chain.submit, []

    async def moved(swap: Any) -> None:
        sent.append(swap)
        await asyncio.to_thread(world.market.move, "SOL-USDC", price=Decimal(150 + 2 * len(sent)))
        await submit(swap)

    world.chain.submit = moved  # type: ignore[method-assign]
    found = await executed(database, owner, order)
    assert (found.status, found.failure_code) == ("failed", "SLIPPAGE_EXCEEDED") and len(sent) == 3
    assert all(decode(swap.payload).amount_in == swap.max_in for swap in sent)
    assert world.chain.report(str(order.id))["landed"] == 0


async def test_a_limit_is_what_it_costs_at_most(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    """SOL at 150 USDC or less: with fees it costs more, so it rests; then it does not."""
    order = accepted(
        database,
        limit_order(
            account,
            **{
                **EXACT,
                "exact_out": Decimal(2),
                "limit_price": Decimal("0.006666666666666667"),
                "asked_price": Decimal(150),
            },
        ),
    )

    async def fire() -> Order:
        fired = {"price": "0.0067", "observedAt": "2026-01-01T00:00:00Z"}
        await owner.executor.execute([order.id], fired)
        return await asyncio.to_thread(Order.objects.get, pk=order.id)

    rests = await fire()
    assert rests.resting and said(database, rests)[-1]["reason"] == "MARKET_MOVED_BACK"
    world.market.move("SOL-USDC", price=Decimal(149))
    done = await fire()
    assert done.status == "confirmed" and done.amount_out == 2 and done.amount_in is not None
    assert done.amount_in <= 300
    assert said(database, done)[-2]["maxIn"] == "300", "two at 150, not the slippage above"


def test_budgets_count_the_most_it_may_cost_and_let_no_more_be_sold(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(1000), max_notional_per_order=Decimal(700)), OPERATOR)
    unnamed, capped, dear, unpriced = orders = [
        accepted(database, wanting(account)),
        accepted(database, wanting(account, amount_in_max=Decimal(650))),
        accepted(database, wanting(account, amount_in_max=Decimal(701))),
        accepted(database, wanting(account, token_out=JUP.mint)),
    ]
    taken = claim(database, *orders)
    assert codes(taken, orders) == [None, None, "NOTIONAL_EXCEEDS_MAX_PER_ORDER", "NOTIONAL_UNPRICED"]
    # 2 × 150, 1 % for fees and impact, 50 bps of slippage.
    assert taken[unnamed.id].counted_in == Decimal("304.5") and taken[capped.id].counted_in == 650
    assert dict(Spend.objects.values_list("order_id", "amount")) == {unnamed.id: Decimal("304.5"), capped.id: 650}

    again = accepted(database, wanting(account))
    assert codes(claim(database, again), [again]) == ["SPEND_BUDGET_EXCEEDED"]


def test_an_attempt_that_is_repeated_sells_no_more_than_was_counted_first(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(1000)), OPERATOR)
    order = accepted(database, wanting(account))
    claim(database, order)
    database.execute("UPDATE orders_order SET status = 'pending', executor = NULL, run_at = now()")
    dearer = replace(WORTH, prices={USDC.mint: Decimal(1), SOL.mint: Decimal(200)})
    [taken] = statements.claim(database, executor(database), [order.id], {}, worth=dearer)
    assert taken.counted_in == Decimal("304.5")


async def test_what_is_counted_bounds_what_is_sold(
    database: Connection, account: int, world: MockWorld, owner: Owner
) -> None:
    """A thin market asks for far more than its price said: not more than was counted is offered."""
    await asyncio.to_thread(set_limits, account, Limits(max_daily_spend=Decimal(1000)), OPERATOR)
    owner.claimer._worth = lambda: WORTH
    world.market.move("SOL-USDC", liquidity=Decimal(700))
    found = await executed(database, owner, wanting(account, slippage_bps=5000))
    assert (found.status, found.failure_code) == ("failed", "AMOUNT_IN_TOO_HIGH"), said(database, found)
    assert database.execute("SELECT FROM risk_spend").fetchall() == [], "it was given back"


def test_what_is_received_can_be_amended_and_what_is_sold_cannot(database: Connection, account: int) -> None:
    order = accepted(
        database, limit_order(account, **{**EXACT, "exact_out": Decimal(2), "limit_price": Decimal("0.0001")})
    )
    row = Order.objects.get(pk=order.id)
    amended = commands.amend(row, AmendIn(amount_out=Decimal("2.5")), BY)
    assert (amended.exact_out, amended.seq) == (Decimal("2.5"), 2)
    assert amended.events.get(seq=2).data["amended"] == {"exactOut": "2.5"}
    sniper = accepted(
        database,
        wanting(account, type="sniper", trigger_kind="volume", volume_factor=Decimal(3), resting=True),
    )
    capped = commands.amend(Order.objects.get(pk=sniper.id), AmendIn(amount_in_max=Decimal(400)), BY)
    assert capped.amount_in_max == 400
    for wanted, field in (
        ({"amount": Decimal(1)}, "amount"),
        ({"amount_out": Decimal("0.0000000001")}, "amountOut"),
        ({"amount_in_max": Decimal(400)}, "amountInMax"),
    ):
        with pytest.raises(ApiError) as caught:
            commands.amend(amended, AmendIn(**wanted), BY)
        assert field in caught.value.details
    plain = Order.objects.get(pk=accepted(database, limit_order(account)).id)
    with pytest.raises(ApiError) as caught:
        commands.amend(plain, AmendIn(amount_out=Decimal(1)), BY)
    assert "amountOut" in caught.value.details


def test_the_database_takes_one_amount(database: Connection, account: int) -> None:
    for wrong in ({"amount": Decimal(1)}, {"exact_out": None}, {"exact_out": Decimal(-1)}, {"percent": 5}):
        with pytest.raises(Exception, match="order_one_amount"):
            statements.accept(database, [wanting(account, **wrong)])
    with pytest.raises(Exception, match="order_one_amount"):
        statements.accept(database, [new_order(account, amount_in_max=Decimal(1))])
