"""Another distance of a trailing stop: it is the order's from then on, and amending it does not fire it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Account
from orders import commands
from orders.commands import Asker
from orders.errors import ApiError
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import Order
from orders.order_in import AmendIn
from orders.plans.values import Exit
from orders.resting.keeper import Keeper
from orders.resting.missing import EVERY_S, MISSING_S, Missing
from routing.mock.tokens import SOL, USDC
from routing.price_hashes import PairPrices
from routing.prices import PriceStore
from routing.values import Tick
from routing.venues import RAYDIUM, registered
from routing.world import world
from tests.factories import accepted, change, executor, limit_order
from tests.integration.test_plan_steps import entered, leg
from tests.integration.test_trailing import PAIR, book, fire, see, trailing  # noqa: F401
from triggers.book import Book

BY = Asker("test")


@pytest.fixture
def prices(book: Book) -> Iterator[PriceStore]:  # noqa: F811
    prices = PriceStore(settings.REDIS_URL)
    yield prices
    world().controls.move(PAIR, **dict.fromkeys((name.lower() for name in registered()), "ok"))  # type: ignore[union-attr]
    prices.close()


def present(prices: PriceStore, price: str) -> None:
    """Every venue has it now."""
    now = datetime.now(UTC)
    ticks = {name: Tick(PAIR, name, Decimal(price), 0, Decimal(10**9), Decimal(1), now) for name in registered()}
    prices.write([PairPrices(PAIR, ticks, ticks[RAYDIUM], now)], {})


def refused(order: Order, trail_bps: int) -> str:
    with pytest.raises(ApiError) as caught:
        commands.amend(order, AmendIn(trail_bps=trail_bps), BY)
    return caught.value.code


def followed(database: Connection, account: int, book: Book, *seen: str) -> Order:  # noqa: F811
    order = accepted(database, trailing(account, token_in=SOL.mint, token_out=USDC.mint))  # type: ignore[arg-type]
    database.execute("UPDATE orders_order SET created_at = created_at - interval '5 seconds'")
    keeper = Keeper(book)
    keeper.run(database)
    see(book, *seen)
    keeper.run(database)
    return Order.objects.get(pk=order.id)


def test_a_distance_that_would_fire_at_once_is_refused(
    database: Connection,
    account: int,
    book: Book,  # noqa: F811
    prices: PriceStore,
) -> None:
    order = followed(database, account, book, "200", "200")
    present(prices, "194")
    assert refused(order, 300) == "WOULD_TRIGGER_IMMEDIATELY"
    present(prices, "194.01")
    commands.amend(order, AmendIn(trail_bps=300), BY)
    order.refresh_from_db()
    assert (order.trail_bps, order.seq, order.resting) == (300, 2, True)
    assert order.events.get(seq=2).data["amended"] == {"trailBps": 300}
    see(book, "195", "195")
    assert fire(book, "194.01") == {} and fire(book, "194") == {order.id: "200"}, "the book has it, and the high still"


def test_without_a_price_it_may_only_be_wider(
    database: Connection,
    account: int,
    book: Book,  # noqa: F811
    prices: PriceStore,
) -> None:
    order = followed(database, account, book, "200", "200")
    world().controls.move(PAIR, **dict.fromkeys((name.lower() for name in registered()), "error"))  # type: ignore[union-attr]
    assert refused(order, 300) == "PRICE_MISSING"
    commands.amend(order, AmendIn(trail_bps=900), BY)
    order.refresh_from_db()
    assert order.trail_bps == 900


def test_before_it_has_followed_a_price_any_distance_will_do(database: Connection, account: int, book: Book) -> None:  # noqa: F811
    order = Order.objects.get(pk=accepted(database, trailing(account, activation_price=Decimal(10**6))).id)  # type: ignore[arg-type]
    commands.amend(order, AmendIn(trail_bps=50), BY)
    order.refresh_from_db()
    assert order.trail_bps == 50


def test_one_that_has_fired_before_fires_by_its_new_distance(database: Connection, account: int, book: Book) -> None:  # noqa: F811
    order = accepted(database, trailing(account))  # type: ignore[arg-type]
    [taken] = statements.claim(database, executor(database), [order.id], {order.id: {"price": "1", "high": "130.5"}})
    assert all(statements.record(database, [change(taken, Event.REST)]))
    amended = commands.amend(Order.objects.get(pk=order.id), AmendIn(trail_bps=1000), BY)
    assert (amended.trail_bps, amended.limit_price) == (1000, Decimal("117.45"))


@pytest.mark.parametrize(
    ("fields", "wanted", "field"),
    [
        ({}, {"trail_bps": 100}, "trailBps"),
        ({"trigger_condition": "lte", "trail_bps": 500}, {"limit_price": Decimal(1)}, "limitPrice"),
    ],
)
def test_what_does_not_belong_to_the_order_is_refused(
    database: Connection, account: int, fields: dict[str, Any], wanted: dict[str, Any], field: str
) -> None:
    order = Order.objects.get(pk=accepted(database, limit_order(account, **fields)).id)
    with pytest.raises(ApiError) as caught:
        commands.amend(order, AmendIn(**wanted), BY)
    assert field in caught.value.details
    assert Order.objects.get(pk=order.pk).seq == 1


def test_a_plans_trailing_stop_has_another_distance_and_its_high(
    database: Connection,
    account: int,
    book: Book,  # noqa: F811
    prices: PriceStore,
) -> None:
    plan = entered(database, account, Exit(leg="trail", kind="trailing", trail_bps=800))
    stop = leg(plan, "trail")
    database.execute("UPDATE orders_order SET created_at = created_at - interval '5 seconds'")
    keeper = Keeper(book)
    keeper.run(database)
    see(book, "200", "200")
    keeper.run(database)
    present(prices, "190")
    with pytest.raises(ApiError) as caught:
        commands.amend_plan(plan, {"trail": {"trail_bps": 500}}, BY)
    assert caught.value.code == "WOULD_TRIGGER_IMMEDIATELY" and "exits.trail.trailBps" in caught.value.details
    assert leg(plan, "trail").trail_bps == 800

    present(prices, "190")
    amended = commands.amend_plan(plan, {"trail": {"trail_bps": 600}}, BY)
    assert leg(plan, "trail").id == stop.id and leg(plan, "trail").trail_bps == 600
    assert amended.spec["exits"][0]["trail_bps"] == 600
    assert fire(book, "188.1") == {} and fire(book, "188") == {stop.id: "200"}
    with pytest.raises(ApiError):
        commands.amend_plan(entered(database, account), {"stop": {"trail_bps": 600}}, BY)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_who_has_stops_is_told_once_that_no_price_comes(
    database: Connection,
    account: int,
    book: Book,  # noqa: F811
    prices: PriceStore,
) -> None:
    clock = Clock()
    missing, another = (Missing(book, prices, mode="mock", clock=clock) for _ in range(2))

    def look(seconds: float) -> int:
        clock.now += seconds
        return missing.look(database) + another.look(database)

    accepted(database, limit_order(account, trigger_condition="lte", limit_price=Decimal(1)))
    Keeper(book).run(database)
    present(prices, "100")
    assert look(0) == 0
    for _ in range(int(MISSING_S / EVERY_S)):
        present(prices, "100")
        assert look(EVERY_S) == 0, "a price that stands still is there"
    assert look(MISSING_S - 1) == 0
    assert look(EVERY_S) == 1, "two processes, one alert"
    assert look(MISSING_S) == 0
    [(kind, data, whose)] = database.execute("SELECT kind, data, account_id FROM orders_alert").fetchall()
    assert (kind, data["code"], data["pair"], whose) == ("price_missing", "PRICE_MISSING", PAIR, account)

    late = int(Account.objects.create(name="late").pk)
    accepted(database, limit_order(late, trigger_condition="lte", limit_price=Decimal(1)))
    Keeper(book).run(database)
    assert look(MISSING_S) == 1, "a stop that began to rest in the outage"
    assert look(MISSING_S) == 0

    present(prices, "100")
    assert look(EVERY_S) == 0 and look(MISSING_S) == 2, "another outage"


def test_a_pair_without_stops_concerns_nobody(
    database: Connection,
    account: int,
    book: Book,  # noqa: F811
    prices: PriceStore,
) -> None:
    clock = Clock()
    missing = Missing(book, prices, mode="mock", clock=clock)
    accepted(database, limit_order(account))
    Keeper(book).run(database)
    assert missing.look(database) == 0
    clock.now += 2 * MISSING_S
    assert missing.look(database) == 0
