"""Rules of risk in the statements that claim, record and accept: budgets and the kill switch hold whatever races."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orders.execution.executor import Executor
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.ledger import statements
from orders.ledger.counting import accept_counted
from orders.ledger.statements import Connection
from orders.ledger.values import Accepted, Claimed, NewOrder, Worth
from orders.ledger.writers import Claimer, Recorder
from orders.lifecycle import Event
from orders.models import Order, OrderEvent, Transaction
from risk.changes import By, set_limits, set_state
from risk.models import Budget, Change, Spend
from risk.values import EVERYBODY, Denial, Limits, TradingState
from routing.mock.tokens import BONK, JUP, SOL, USDC
from routing.mock.world import MockWorld, mock_world
from tests.factories import accepted, change, connect, executor, limit_order, new_order, submitted

WORTH = Worth([USDC.mint, SOL.mint], {USDC.mint: Decimal(1), SOL.mint: Decimal(150)})
OPERATOR = By("user operator", staff=True)


def buy(account: int, amount: int | str = 1, **fields: Any) -> NewOrder:
    """Spends USDC."""
    return new_order(account, token_in=USDC.mint, token_out=SOL.mint, amount=Decimal(amount), **fields)


def claim(database: Connection, *orders: NewOrder, by: UUID | None = None) -> dict[UUID, Claimed]:
    """All in one statement, as a worker with the prices of `WORTH`."""
    triggers = {order.id: {"price": "1"} for order in orders if order.resting}
    ids = [order.id for order in orders]
    taken = statements.claim(database, by or executor(database), ids, triggers, worth=WORTH)
    return {order.id: order for order in taken}


def codes(taken: dict[UUID, Claimed], orders: Sequence[NewOrder]) -> list[str | None]:
    """Of each order why it was denied; `left` where it was not taken."""
    found = ((taken.get(order.id)) for order in orders)
    return ["left" if order is None else (order.denied or {}).get("code") for order in found]


def spent(account: int = EVERYBODY) -> Decimal:
    return Budget.objects.get(pk=account).spent


def at_once(count: int, act: Callable[[Connection, int], Any]) -> list[Any]:
    together = threading.Barrier(count)

    def one(n: int) -> Any:
        with connect() as connection:
            together.wait(60)
            return act(connection, n)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@pytest.mark.parametrize("whose", ["account", "everybody"])
def test_three_sessions_race_for_a_budget_and_none_passes_it(database: Connection, account: int, whose: str) -> None:
    holder = account if whose == "account" else EVERYBODY
    set_limits(holder, Limits(max_daily_spend=Decimal(100)), OPERATOR)
    ids = [accepted(database, buy(account)).id for _ in range(500)]
    executors = [executor(database) for _ in range(3)]

    def take(connection: Connection, n: int) -> list[Claimed]:
        mine = ids[n:] + ids[:n]
        random.Random(n).shuffle(mine)
        return [
            order
            for start in range(0, len(mine), 20)
            for order in statements.claim(connection, executors[n], mine[start : start + 20], {}, worth=WORTH)
        ]

    taken = [order for found in at_once(3, take) for order in found]

    assert sorted(order.id for order in taken) == sorted(ids)
    assert Counter((order.denied or {}).get("code") for order in taken) == {None: 100, "SPEND_BUDGET_EXCEEDED": 400}
    assert spent(holder) == 100 and Spend.objects.count() == 100
    denied = next(order.denied for order in taken if order.denied)
    assert denied == {"code": "SPEND_BUDGET_EXCEEDED", "limit": "100", "value": "101"}


def test_what_is_too_much_leaves_the_rest_to_smaller_orders(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(100)), OPERATOR)
    set_limits(EVERYBODY, Limits(max_daily_spend=Decimal(95)), OPERATOR)
    orders = [accepted(database, buy(account, amount)) for amount in (60, 60, 30, 10, 5)]

    taken = claim(database, *orders)

    assert codes(taken, orders) == [None, "SPEND_BUDGET_EXCEEDED", None, "SPEND_BUDGET_EXCEEDED", None]
    assert taken[orders[3].id].denied == {"code": "SPEND_BUDGET_EXCEEDED", "limit": "95", "value": "100"}
    assert spent(account) == spent() == 95


def test_a_budget_is_given_back_when_nothing_landed(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(100)), OPERATOR)
    failed, rested, tried, done = [accepted(database, buy(account, 20)) for _ in range(4)]
    taken = claim(database, failed, rested, tried, done)
    assert spent(account) == 80

    intent = submitted(database, taken[done.id])
    fill = change(taken[done.id], Event.CONFIRM, was="submitted", seq=4, resolved=(intent.signature, "landed"))
    retry = change(taken[tried.id], Event.RETRY, delay_ms=0)
    ended = [change(taken[failed.id], Event.FAIL), change(taken[rested.id], Event.REST), retry, fill]
    assert all(statements.record(database, ended))
    assert spent(account) == 40, "the one that is tried again keeps its part, as does the one that traded"

    again = claim(database, tried)[tried.id]
    assert again.denied is None and spent(account) == 40, "an order counts once"
    assert statements.record(database, [change(again, Event.FAIL)])[0]
    assert spent(account) == 20


def test_what_comes_back_after_midnight_is_not_todays(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(100)), OPERATOR)
    order = accepted(database, buy(account, 70))
    taken = claim(database, order)[order.id]
    database.execute("UPDATE risk_budget SET day = day - 1")
    database.execute("UPDATE risk_spend SET day = day - 1")

    other = accepted(database, buy(account, 90))
    assert claim(database, other)[other.id].denied is None, "a new day, a new budget"
    assert spent(account) == 90
    assert statements.record(database, [change(taken, Event.FAIL)])[0]
    assert spent(account) == 90


def test_each_limit_denies_in_words(database: Connection, account: int) -> None:
    limits = Limits(
        max_notional_per_order=Decimal(300),
        max_daily_loss=Decimal(50),
        allowed_tokens=(SOL.mint, JUP.mint),
        denied_tokens=(JUP.mint,),
    )
    set_limits(account, limits, OPERATOR)
    orders = [
        accepted(database, buy(account, 300)),
        accepted(database, buy(account, 301)),
        accepted(database, new_order(account, amount=Decimal("2.1"))),  # SOL at 150
        accepted(database, new_order(account, token_in=USDC.mint, token_out=JUP.mint)),
        accepted(database, new_order(account, token_in=USDC.mint, token_out=BONK.mint)),
        accepted(database, new_order(account, token_in=JUP.mint, token_out=USDC.mint)),
        accepted(database, limit_order(account, amount=Decimal(2), limit_price=Decimal(151))),
    ]
    assert codes(claim(database, *orders), orders) == [
        None,
        "NOTIONAL_EXCEEDS_MAX_PER_ORDER",
        "NOTIONAL_EXCEEDS_MAX_PER_ORDER",
        "TOKEN_DENIED",
        "TOKEN_NOT_ALLOWED",
        "NOTIONAL_UNPRICED",
        "NOTIONAL_EXCEEDS_MAX_PER_ORDER",
    ]
    Budget.objects.filter(pk=account).update(lost=50)
    late, sale = accepted(database, buy(account)), accepted(database, new_order(account))
    assert codes(claim(database, late, sale), [late, sale]) == ["LOSS_BUDGET_EXCEEDED", None]


def test_reducing_lets_sales_pass(database: Connection, account: int) -> None:
    set_state(account, TradingState.REDUCING, OPERATOR)
    entry, sale = accepted(database, buy(account)), accepted(database, new_order(account))
    waiting = accepted(database, limit_order(account, token_in=USDC.mint, token_out=SOL.mint))

    taken = claim(database, entry, sale, waiting)

    assert codes(taken, [entry, sale, waiting]) == ["TRADING_STATE_REDUCING", None, "left"]
    assert Order.objects.get(pk=waiting.id).resting


@pytest.mark.parametrize("whose", ["account", "everybody"])
def test_halted_leaves_what_waits_and_denies_the_rest(database: Connection, account: int, whose: str) -> None:
    holder = account if whose == "account" else EVERYBODY
    orders = [accepted(database, new_order(account)), accepted(database, limit_order(account))]
    set_state(holder, TradingState.HALTED, OPERATOR)

    assert codes(claim(database, *orders), orders) == ["TRADING_HALTED", "left"]
    set_state(holder, TradingState.ACTIVE, OPERATOR)
    assert codes(claim(database, *orders), orders) == ["left", None], "the first one has an owner"


def test_no_intent_is_written_while_trading_is_halted(database: Connection, account: int) -> None:
    order, other = accepted(database, new_order(account)), accepted(database, new_order(account))
    taken, late = claim(database, order)[order.id], claim(database, other)[other.id]
    submitted(database, taken)
    set_state(EVERYBODY, TradingState.HALTED, OPERATOR)

    with pytest.raises(AssertionError):
        submitted(database, late)
    assert not Transaction.objects.filter(order_id=other.id).exists()
    fill = change(taken, Event.CONFIRM, was="submitted", seq=4)
    assert statements.record(database, [fill])[0], "what is submitted runs to its end"


@pytest.mark.parametrize("limits", [Limits(max_open_orders=7), Limits(max_orders_per_minute=7)])
def test_racing_acceptances_are_counted(database: Connection, account: int, limits: Limits) -> None:
    set_limits(account, limits, OPERATOR)

    def place(connection: Connection, n: int) -> list[Any]:
        return [
            answer
            for _ in range(3)
            for answer in accept_counted(connection, [new_order(account), limit_order(account)])
        ]

    answers = [answer for found in at_once(4, place) for answer in found]

    taken = [answer for answer in answers if isinstance(answer, Accepted)]
    assert len(taken) == Order.objects.count() == 7
    [denied] = {answer for answer in answers if isinstance(answer, Denial)}
    assert (denied.limit, denied.value) == ("7", "8") and denied.code.endswith("_EXCEED_MAXIMUM")


def test_a_repetition_is_no_further_order(database: Connection, account: int) -> None:
    first = new_order(account, client_order_id="once")
    accepted(database, first)
    set_limits(account, Limits(max_open_orders=1), OPERATOR)

    again, other = accept_counted(
        database, [new_order(account, client_order_id="once"), new_order(account, client_order_id="twice")]
    )

    assert isinstance(again, Accepted) and again.replayed and again.order_id == first.id
    assert isinstance(other, Denial) and other.code == "OPEN_ORDERS_EXCEED_MAXIMUM"


def test_changes_say_who_when_from_and_to(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_open_orders=7), By("key oe_1", request_id="r1"))
    set_limits(account, Limits(max_open_orders=7), By("key oe_1"))
    set_state(account, TradingState.HALTED, OPERATOR)

    found = [(each.by, each.request_id, each.before, each.after) for each in Change.objects.order_by("id")]
    assert found == [
        ("key oe_1", "r1", {"maxOpenOrders": None}, {"maxOpenOrders": 7}),
        ("user operator", None, {"state": "ACTIVE"}, {"state": "HALTED"}),
    ]


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[MockWorld]:
    """As slow as the parameter says."""
    latency = getattr(request, "param", 0)
    made = mock_world(
        tmp_path, seed=1, latency=latency, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60
    )
    yield made
    await made.close()


class Workers:
    """Executors in this process, each with writers of its own."""

    def __init__(self, database: Connection, url: str, world: MockWorld, count: int) -> None:
        self._writers: list[Any] = []
        self.executors = []
        for n in range(count):
            claimer = Claimer(
                url,
                executor(database),
                window_ms=1,
                max_batch=50,
                capacity=1000,
                written=lambda _: None,
                worth=lambda: WORTH,
            )
            recorder = Recorder(url, window_ms=1, max_batch=100, capacity=1000, written=lambda _: None)
            steps = Steps(world.router, RetryPolicy(3, 0, 0), random.Random(n), submit_timeout_s=5, resend_after_s=0.2)
            self._writers += [claimer, recorder]
            self.executors.append(Executor(claimer, recorder, steps, max_in_flight=500, max_preparing=500))

    async def execute(self, ids: Sequence[UUID]) -> None:
        """Every one of them is asked for all."""
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.execute(ids) for each in self.executors))

    async def close(self) -> None:
        for writer in self._writers:
            await writer.close()


@pytest.fixture
async def workers(database: Connection, database_url: str, world: MockWorld) -> AsyncIterator[Workers]:
    made = Workers(database, database_url, world, 3)
    yield made
    await made.close()


def ended() -> Counter[Any]:
    return Counter(Order.objects.values_list("status", "failure_code"))


async def test_three_workers_submit_exactly_what_the_budget_allows(
    database: Connection, account: int, workers: Workers, world: MockWorld
) -> None:
    set_limits(account, Limits(max_daily_spend=Decimal(100)), OPERATOR)
    orders = [buy(account) for _ in range(500)]
    statements.accept(database, orders)

    await workers.execute([order.id for order in orders])

    assert ended() == {("confirmed", None): 100, ("failed", "SPEND_BUDGET_EXCEEDED"): 400}
    assert Transaction.objects.count() == 100 and spent(account) == 100
    event = OrderEvent.objects.filter(status="failed").first()
    assert event is not None and event.data["error"]["details"] == {"limit": "100", "value": "101"}
    assert event.data["error"]["message"] == "Today's spending would be too much: 101, and the limit is 100."


@pytest.mark.parametrize("world", [4], indirect=True)
async def test_an_order_that_is_halted_before_it_is_submitted_is_not_sent(
    database: Connection, account: int, workers: Workers, world: MockWorld
) -> None:
    orders = [buy(account) for _ in range(20)]
    statements.accept(database, orders)
    ids = [order.id for order in orders]
    running = asyncio.create_task(workers.execute(ids))
    while Order.objects.filter(status="routing").count() < 20:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(set_state, EVERYBODY, TradingState.HALTED, OPERATOR)
    await running

    assert ended() == {("pending", None): 20} and not Transaction.objects.exists()
    assert OrderEvent.objects.filter(status="pending", data={"reason": "NOT_SUBMITTED"}).count() == 20
    await workers.execute(ids)
    assert ended() == {("failed", "TRADING_HALTED"): 20}


async def test_the_collar_holds_where_an_order_is_routed(
    database: Connection, account: int, workers: Workers, world: MockWorld
) -> None:
    """A thin pool: what an order would get is far from the market, whatever slippage it allows."""
    world.market.move("SOL-USDC", liquidity=Decimal(100_000), hold=True)
    set_limits(account, Limits(price_collar_bps=200), OPERATOR)
    set_limits(EVERYBODY, Limits(price_collar_bps=5_000), OPERATOR)
    small, large = (new_order(account, amount=Decimal(amount), slippage_bps=5_000) for amount in (1, 100))
    statements.accept(database, [small, large])

    await workers.execute([small.id, large.id])

    assert ended() == {("confirmed", None): 1, ("failed", "PRICE_OUTSIDE_COLLAR"): 1}
    [event] = OrderEvent.objects.filter(order_id=large.id, status="failed")
    error = event.data["error"]
    assert error["details"]["limit"] == "200" and Decimal(error["details"]["value"]) > 200 and error["permanent"]
    assert not Transaction.objects.filter(order_id=large.id).exists()


@pytest.mark.parametrize(("leg", "collar"), [("stop", None), ("entry", 200)])
def test_the_collar_stops_no_exit_of_a_plan(database: Connection, account: int, leg: str, collar: int | None) -> None:
    set_limits(account, Limits(price_collar_bps=200), OPERATOR)
    order = accepted(database, new_order(account))
    database.execute("UPDATE orders_order SET leg = %s WHERE id = %s", [leg, order.id])
    assert claim(database, order)[order.id].collar_bps == collar


@pytest.fixture(autouse=True)
def _synchronous(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests' own look at the database is on the loop."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    yield
