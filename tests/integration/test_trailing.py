"""Trailing stops in the book: they follow the lower of two prices, fire once, and forget nothing when Redis does."""

import time
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from django.conf import settings

from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import Order, PairHigh
from orders.resting.keeper import Keeper
from tests.factories import accepted, change, executor, limit_order
from triggers import rules
from triggers.book import AGAIN, Arm, Book, Edge, Left, Rest

PAIR = "SOL-USDC"
FAR = 2**50


@pytest.fixture
def book(database: Connection) -> Iterator[Book]:
    book = Book(settings.REDIS_URL)
    book.redis.flushdb()
    yield book
    book.redis.flushdb()
    book.close()


def rest(bps: int = 500, *, high: str = "0", activation: str = "0", seq: int = 1, order_id: UUID | None = None) -> Rest:
    return Rest(order_id or uuid7(), PAIR, seq, rules.TRAILING, Decimal(high), bps=bps, activation=Decimal(activation))


def see(book: Book, *prices: str) -> None:
    for price in prices:
        book.follow({PAIR: Decimal(price)}, gap_ms=60_000)


def due(book: Book, best: str) -> bool:
    [(limits, _)] = book.peek([Edge(PAIR, Decimal(best), None, None, None)])
    return limits


def fire(book: Book, best: str, most: int = 1000) -> dict[UUID, str]:
    fired: dict[UUID, str] = {}
    while True:
        ids, said = book.claim_trailing(PAIR, Decimal(best), most=most, again_in_ms=FAR)
        if not ids:
            return fired
        assert not fired.keys() & set(ids)
        fired |= dict.fromkeys(ids, said["high"])


def test_it_fires_below_the_high_that_it_has_followed(book: Book) -> None:
    order = rest(500)
    book.change([Arm(order)])
    see(book, "100", "100", "120", "120", "115")
    assert not due(book, "114.01") and fire(book, "114.01") == {}
    assert due(book, "114") and fire(book, "114") == {order.order_id: "120"}
    assert fire(book, "1") == {}, "it fired twice"


def test_one_tick_moves_nothing(book: Book) -> None:
    order = rest(500)
    book.change([Arm(order)])
    see(book, "100", "100", "10000", "100")
    assert fire(book, "96") == {} and fire(book, "95") == {order.order_id: "100"}


def test_after_a_gap_one_price_moves_nothing_and_may_fire(book: Book) -> None:
    order = rest(500)
    book.change([Arm(order)])
    see(book, "100", "100")
    time.sleep(0.05)
    book.follow({PAIR: Decimal(500)}, gap_ms=1)
    assert fire(book, "96") == {} and fire(book, "95")


def test_it_waits_for_its_activation(book: Book) -> None:
    order = rest(500, activation="110")
    book.change([Arm(order)])
    see(book, "100", "100", "50", "50")
    assert fire(book, "50") == {}
    see(book, "110", "110")
    assert fire(book, "105") == {} and fire(book, "104.5") == {order.order_id: "110"}


def test_orders_armed_at_different_prices_follow_together_and_fire_apart(book: Book) -> None:
    rests = []
    for price in ("120", "110", "100"):
        see(book, price, price)
        rests.append(rest(500, high=price))
        book.change([Arm(rests[-1])])
    wide = rest(2000, high="100")
    book.change([Arm(wide)])
    see(book, "115", "115")
    assert len(book.redis.zrange(f"trail_highs:{PAIR}", 0, -1)) == 2, "what a price has passed is one bucket"
    assert fire(book, "114") == {rests[0].order_id: "120"}
    assert fire(book, "109") == dict.fromkeys((rests[1].order_id, rests[2].order_id), "115")
    assert fire(book, "92") == {wide.order_id: "115"}


def test_many_buckets_become_one_in_small_steps(book: Book) -> None:
    rests = [rest(500, high=str(100 + n / 100)) for n in range(300)]
    book.change(Arm(each) for each in rests)
    see(book, "200")
    book.follow({PAIR: Decimal(200)}, gap_ms=60_000, most=7)
    assert book.redis.zrange(f"trail_highs:{PAIR}", 0, -1, withscores=True)[0][1] == 200.0
    assert fire(book, "190") == {each.order_id: "200" for each in rests}


def test_cancelled_and_amended_orders_leave_and_keep_their_high(book: Book) -> None:
    gone, kept = rest(500), rest(1000)
    book.change([Arm(gone), Arm(kept)])
    see(book, "100", "100", "200", "200")
    book.change([Left(gone.order_id, PAIR, 2, sniper=False)])
    book.change([Arm(rest(1000, seq=2, order_id=kept.order_id))])
    assert fire(book, "180") == {kept.order_id: "200"}
    assert not book.redis.keys("trail_bucket:*") and not book.redis.keys("trail_index:*")


def test_a_claimed_order_that_nobody_took_follows_on_from_its_high(book: Book) -> None:
    order = rest(500)
    book.change([Arm(order)])
    see(book, "100", "100")
    assert fire(book, "95") == {order.order_id: "100"}
    book.change([Arm(order, force=True)])
    assert book.redis.zcard(AGAIN) == 0
    assert fire(book, "95.1") == {} and fire(book, "95") == {order.order_id: "100"}


def trailing(account: int, **fields: object) -> object:
    return limit_order(account, limit_price=rules._UNIT, trigger_condition="lte", trail_bps=500, **fields)


def test_postgres_keeps_the_high_and_a_wiped_redis_gets_it_back(book: Book, database: Connection, account: int) -> None:
    keeper = Keeper(book)
    order = accepted(database, trailing(account))
    database.execute("UPDATE orders_order SET created_at = created_at - interval '5 seconds'")
    keeper.run(database)
    see(book, "100", "100", "130", "130", "128")
    keeper.run(database)
    later = accepted(database, trailing(account))
    database.execute("UPDATE orders_pairhigh SET at = at - interval '2 seconds'")
    book.redis.delete(f"trail_recent:{PAIR}")
    assert list(PairHigh.objects.values_list("high", flat=True)) == [130]

    book.redis.flushdb()
    keeper.run(database)
    assert fire(book, "123.5") == {order.id: "130"}, "the high fell with Redis, or an order got one of before it"
    see(book, "110", "110")
    assert fire(book, "104.5") == {later.id: "110"}


def test_highs_that_a_later_one_exceeds_are_dropped(book: Book, database: Connection, account: int) -> None:
    keeper = Keeper(book)
    accepted(database, trailing(account))
    keeper.run(database)
    for price in ("100", "120", "110", "105"):
        see(book, price, price)
        keeper.run(database)
        database.execute("UPDATE orders_pairhigh SET at = at - interval '10 seconds'")
        book.redis.delete(f"trail_recent:{PAIR}")
    assert sorted(map(int, PairHigh.objects.values_list("high", flat=True))) == [105, 110, 120]


def test_the_ledger_knows_the_price_at_which_it_fired(database: Connection, account: int) -> None:
    order = accepted(database, trailing(account))
    [taken] = statements.claim(database, executor(database), [order.id], {order.id: {"price": "1", "high": "130.5"}})
    assert taken.limit_price == Decimal("123.975")
    [row] = statements.record(database, [change(taken, Event.REST)])
    assert row is not None and row.trail_high == Decimal("130.5")
    assert Order.objects.get(pk=order.id).trail_high == Decimal("130.5")
