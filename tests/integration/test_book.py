"""The trigger book against a plain model, on a real Redis: what is armed fires once, in price-time order; nothing is lost."""

import random
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orders.ids import uuid7
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.resting.keeper import NEWEST_EVERY, Keeper
from orders.resting.placement import rest_of
from tests.factories import accepted, change, claimed, limit_order, new_order
from triggers import rules
from triggers.book import AGAIN, TIME, Arm, Book, Edge, Left, Rest
from triggers.changes import details_key

PAIR = "SOL-USDC"
FAR = 2**50


@pytest.fixture
def book(database: Connection) -> Iterator[Book]:
    book = Book(settings.REDIS_URL)
    book.redis.flushdb()
    yield book
    book.redis.flushdb()
    book.close()


def rest(price: str = "100", kind: str = "gte", *, seq: int = 1, order_id: UUID | None = None) -> Rest:
    return Rest(order_id or uuid7(), PAIR, seq, kind, Decimal(price))


def details(rest: Rest) -> str:
    return details_key(rest.order_id, rest.pair, sniper=rest.sniper)


def fire(book: Book, best: str, kind: str = "gte", most: int = 100) -> list[UUID]:
    return book.claim_limits(PAIR, kind, Decimal(best), most=most, again_in_ms=FAR)


def left(rest: Rest, seq: int) -> Left:
    return Left(rest.order_id, rest.pair, seq, sniper=False)


def test_a_gap_over_several_buckets_fires_them_all_in_price_time_order(book: Book) -> None:
    rests = [rest(price) for price in ("101", "100", "102", "100", "103.5")]
    book.change(Arm(each) for each in rests)

    assert fire(book, "99.999999999999999999999") == []
    fired = fire(book, "102")

    assert fired == [rests[n].order_id for n in (1, 3, 0, 2)]
    assert fire(book, "102") == []
    assert fire(book, "1000") == [rests[4].order_id]


def test_stops_fire_downwards_and_share_buckets_with_limits(book: Book) -> None:
    up, down, low = rest("100"), rest("100", "lte"), rest("90", "lte")
    book.change(Arm(each) for each in (low, up, down))

    assert fire(book, "100.000000000000000000001", "lte") == []
    assert fire(book, "95", "lte") == [down.order_id]
    assert book.redis.zrange(f"limit_bucket:{PAIR}:100", 0, -1) == [str(up.order_id)]
    assert fire(book, "80", "lte") == [low.order_id]
    assert fire(book, "100") == [up.order_id]


def test_claims_come_in_batches(book: Book) -> None:
    rests = [rest(str(100 + n % 3)) for n in range(250)]
    book.change(Arm(each) for each in rests)
    batches = [fire(book, "200", most=100) for _ in range(4)]
    assert [len(batch) for batch in batches] == [100, 100, 50, 0]
    expected = sorted(rests, key=lambda each: (each.price, each.order_id))
    assert [order_id for batch in batches for order_id in batch] == [each.order_id for each in expected]


def test_a_later_change_of_an_order_wins_whatever_comes_first(book: Book) -> None:
    order = rest("100", seq=1)
    moved = rest("120", seq=3, order_id=order.order_id)
    assert book.change([Arm(moved), Arm(order)]) == 1
    assert fire(book, "110") == []
    assert book.change([left(order, 2)]) == 0
    assert fire(book, "120") == [order.order_id]
    assert book.change([left(order, 4)]) == 1
    assert [key for key in book.redis.keys("*") if "limit" in key] == []


def test_a_tick_finds_what_is_due_at_the_edge(book: Book) -> None:
    snipers = [
        Rest(uuid7(), PAIR, 1, kind, Decimal(price))
        for kind, price in (("liquidity", "5000"), ("volume", "3"), ("token_launch", "0"))
    ]
    book.change([Arm(rest("100")), Arm(rest("50", "lte")), *map(Arm, snipers)])

    def due(
        best: str | None, launch: str | None = None, liquidity: str | None = None, volume: str | None = None
    ) -> Any:
        values = [None if text is None else Decimal(text) for text in (best, launch, liquidity, volume)]
        return book.peek([Edge(PAIR, *values)])[0]

    assert due("99.9") == due(None) == (False, False)
    assert due("100") == due("50") == (True, False)
    assert due("75", "0") == due("75", None, "5000") == due("75", None, None, "3") == (False, True)
    assert due("75", None, "4999.99", "2.99") == (False, False)
    assert book.claim_snipers(PAIR, "liquidity", Decimal(5000), most=9, again_in_ms=FAR) == [snipers[0].order_id]
    assert book.claim_snipers(PAIR, "liquidity", Decimal(5000), most=9, again_in_ms=FAR) == []


def test_a_pair_nobody_waits_for_is_dropped(book: Book) -> None:
    order = rest("100")
    book.change([Arm(order)])
    book.peek([Edge(PAIR, Decimal(1), None, None, None)])
    assert book.pairs() == {PAIR}
    book.change([left(order, 2)])
    book.peek([Edge(PAIR, Decimal(1), None, None, None)])
    assert book.pairs() == set()


def test_a_launch_sniper_of_a_listed_pair_waits_for_it_to_be_delisted(book: Book) -> None:
    sniper = Rest(uuid7(), PAIR, 1, "listed", rules.NOTHING)
    book.change([Arm(sniper)])
    assert book.claim_snipers(PAIR, "token_launch", rules.NOTHING, most=9, again_in_ms=FAR) == []
    book.unlist(PAIR)
    assert book.claim_snipers(PAIR, "token_launch", rules.NOTHING, most=9, again_in_ms=FAR) == [sniper.order_id]


operations = st.lists(
    st.tuples(
        st.sampled_from(["arm", "arm", "arm", "leave", "claim", "claim_lte", "return", "late"]),
        st.integers(0, 7),
        st.integers(95, 105),
        st.sampled_from(["gte", "lte"]),
    ),
    max_size=60,
)


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(operations=operations)
def test_the_book_does_what_a_plain_list_does(book: Book, operations: list[tuple[str, int, int, str]]) -> None:
    """Orders come, go, fire, and come back after a claim that nobody followed up, in any order."""
    book.redis.flushdb()
    ids = [UUID(int=(7 << 76) + n) for n in range(8)]
    seqs = [0] * 8
    resting: dict[int, Rest] = {}
    claimed_: dict[int, Rest] = {}
    for what, n, price, kind in operations:
        if what == "arm":
            seqs[n] += 1
            resting[n] = Rest(ids[n], PAIR, seqs[n], kind, Decimal(price))
            claimed_.pop(n, None)
            book.change([Arm(resting[n])])
        elif what == "leave":
            seqs[n] += 1
            book.change([Left(ids[n], PAIR, seqs[n], sniper=False)])
            resting.pop(n, None)
            claimed_.pop(n, None)
        elif what == "late":
            # A change that was overtaken has no effect.
            if n in resting and seqs[n] > 1:
                book.change([Arm(Rest(ids[n], PAIR, seqs[n] - 1, kind, Decimal(price)))])
                book.change([Left(ids[n], PAIR, seqs[n] - 1, sniper=False)])
        elif what == "return":
            book.change(Arm(back, force=True) for back in claimed_.values())
            resting |= claimed_
            claimed_.clear()
        else:
            side = "lte" if what == "claim_lte" else "gte"
            due = [
                each
                for each in resting.items()
                if each[1].kind == side and rules.is_due(side, each[1].price, Decimal(price))
            ]
            due.sort(key=lambda each: (each[1].price if side == "gte" else -each[1].price, each[1].order_id))
            most = 1 + n
            assert fire(book, str(price), side, most) == [each.order_id for _, each in due[:most]]
            for index, each in due[:most]:
                claimed_[index] = each
                del resting[index]
    held = set(book.redis.keys("limit:*"))
    assert held == {details(each) for each in (*resting.values(), *claimed_.values())}
    assert set(book.redis.zrange(AGAIN, 0, -1)) == {details(each) for each in claimed_.values()}
    for kind in ("gte", "lte"):
        wanted = {rules.sortable(each.price) for each in resting.values() if each.kind == kind}
        assert set(book.redis.zrange(f"limit_index:{PAIR}:{kind}", 0, -1)) == wanted


def test_matchers_at_once_share_the_orders_while_others_come_and_go(book: Book) -> None:
    """Four claim, two arm and one takes away, all at the same time: each order is claimed once or was taken away."""
    rests = [rest(str(100 + n % 20)) for n in range(2_000)]
    book.change(Arm(each) for each in rests[:1_000])
    taken: list[list[UUID]] = [[] for _ in range(4)]
    done = threading.Event()

    def match(mine: list[UUID]) -> None:
        while True:
            last = done.is_set()
            ids = fire(book, "200", most=50)
            mine += ids
            if not ids and last:
                return

    def arm(part: list[Rest]) -> None:
        for start in range(0, len(part), 20):
            book.change(Arm(each) for each in part[start : start + 20])

    def leave() -> None:
        rng = random.Random(1)
        for each in rng.sample(rests[:1_000], 200):
            book.change([left(each, 2)])

    matchers = [threading.Thread(target=match, args=(mine,)) for mine in taken]
    others = [
        threading.Thread(target=arm, args=(rests[1000:1500],)),
        threading.Thread(target=arm, args=(rests[1500:],)),
    ]
    others.append(threading.Thread(target=leave))
    for thread in (*matchers, *others):
        thread.start()
    for thread in others:
        thread.join()
    done.set()
    for thread in matchers:
        thread.join()

    everybody = [order_id for mine in taken for order_id in mine]
    assert len(everybody) == len(set(everybody))
    missing = {each.order_id for each in rests} - set(everybody)
    assert len(missing) <= 200 and missing <= {each.order_id for each in rests[:1_000]}


class Kept:
    """Orders at rest in Postgres, and a keeper."""

    def __init__(self, database: Connection, book: Book, account: int) -> None:
        self.database, self.book, self.account = database, book, account
        self.keeper = Keeper(book)

    def rest(self, **fields: Any) -> statements.NewOrder:
        return accepted(self.database, limit_order(self.account, **fields))

    def armed(self) -> set[UUID]:
        return {UUID(key.rpartition(":")[2]) for key in self.book.redis.keys("limit:*")}


@pytest.fixture
def kept(database: Connection, book: Book, account: int) -> Kept:
    return Kept(database, book, account)


def test_the_book_holds_the_orders_of_its_mode(kept: Kept, book: Book) -> None:
    """Nobody here would execute the others: they would fire again and again."""
    ours, others = kept.rest(), kept.rest(mode="devnet")
    kept.keeper.run(kept.database)
    assert kept.armed() == {ours.id}
    Keeper(book, mode="devnet").run(kept.database)
    assert others.id in kept.armed()


def test_a_wiped_book_is_complete_again_after_one_pass(kept: Kept, book: Book) -> None:
    orders = [kept.rest(limit_price=Decimal(100 + n)) for n in range(5)]
    sniper = accepted(
        kept.database,
        new_order(kept.account, type="sniper", trigger_kind="token_launch", resting=True, launched_before=False),
    )
    kept.keeper.run(kept.database)
    assert kept.armed() == {order.id for order in orders} and book.is_complete()
    assert book.redis.exists(f"sniper:{PAIR}:{sniper.id}")

    book.redis.flushdb()
    assert not book.is_complete()
    kept.keeper.run(kept.database)

    assert kept.armed() == {order.id for order in orders} and book.is_complete()
    assert fire(book, "102") == [order.id for order in orders[:3]]


def test_an_order_that_comes_to_rest_during_a_rebuild_is_not_lost(kept: Kept, book: Book) -> None:
    rebuild = book.begin_rebuild()
    order = kept.rest()
    book.change([Arm(rest_of(order.id, order, 1))])
    assert book.end_rebuild(rebuild)
    assert kept.armed() == {order.id}


@pytest.mark.parametrize("mishap", ["wiped", "invalidated"])
def test_a_rebuild_that_something_happened_to_is_not_trusted(book: Book, mishap: str) -> None:
    rebuild = book.begin_rebuild()
    book.redis.flushdb() if mishap == "wiped" else book.invalidate()
    assert not book.end_rebuild(rebuild)
    assert not book.is_complete()


def test_what_was_claimed_and_never_taken_comes_back(kept: Kept, book: Book) -> None:
    """The matcher crashed between the claim and the dispatch, or its message was lost."""
    order = kept.rest(limit_price=Decimal(100))
    kept.keeper.run(kept.database)
    assert book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=0) == [order.id]
    assert fire(book, "100") == []

    kept.keeper.run(kept.database)

    assert fire(book, "100") == [order.id]


def test_a_burst_on_its_way_to_the_book_is_no_repair(kept: Kept, book: Book) -> None:
    """Orders that have just come to rest, and others that were just taken, are their writers' to bring to the book."""
    kept.keeper.run(kept.database)
    taken = kept.rest(limit_price=Decimal(100))
    book.change([Arm(rest_of(taken.id, taken, 1))])
    assert book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=60_000) == [taken.id]
    claimed(kept.database, taken)
    kept.rest()
    keeper = Keeper(book, settle_s=60)
    done = [keeper.run(kept.database) for _ in range(NEWEST_EVERY)]
    assert all(not count for each in done for count in each.values())

    kept.database.execute("UPDATE orders_order SET updated_at = now() - interval '2 minutes'")
    missed = gone = 0
    for _ in range(NEWEST_EVERY):
        found = keeper.run(kept.database)
        missed, gone = missed + found["missed"], gone + found["gone"]
    assert (missed, gone) == (1, 1)


def test_what_changed_before_postgres_clock_was_set_back_is_kept_too(kept: Kept, book: Book) -> None:
    kept.keeper.run(kept.database)
    order = kept.rest()
    kept.database.execute("UPDATE orders_order SET updated_at = now() + interval '1 day'")
    Keeper(book, settle_s=60).run(kept.database)
    assert kept.armed() == {order.id}


def test_claims_that_wait_in_overloaded_executors_are_not_armed_again(kept: Kept, book: Book) -> None:
    order = kept.rest(limit_price=Decimal(100))
    kept.keeper.run(kept.database)
    assert book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=0) == [order.id]

    assert Keeper(book, overloaded=lambda: True).run(kept.database)["again"] == 0
    assert fire(book, "100") == []
    kept.keeper.run(kept.database)
    assert fire(book, "100") == [order.id]


@pytest.mark.parametrize("step_s", [-86_400, -30, 86_400])
def test_a_claim_comes_back_though_the_keepers_clock_was_stepped(
    kept: Kept, book: Book, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    order = kept.rest(limit_price=Decimal(100))
    kept.keeper.run(kept.database)
    assert book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=0) == [order.id]
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + step_s)
    for _ in range(NEWEST_EVERY):
        kept.keeper.run(kept.database)
    assert fire(book, "100") == [order.id]


def test_claims_and_pauses_move_with_redis_clock_when_it_is_set_back(book: Book) -> None:
    order = rest("100")
    book.change([Arm(order)])
    assert book.overdue(9) == []
    assert book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=5_000) == [order.order_id]
    day_ms = 86_400_000
    # What stands there after the clock was set back by a day: times of the day before are a day ahead.
    scored: list[tuple[str, float]] = book.redis.zrange(AGAIN, 0, -1, withscores=True)  # type: ignore[assignment]
    for key, score in scored:
        book.redis.zadd(AGAIN, {key: score + day_ms})
    book.redis.incrby(TIME, day_ms)
    book.overdue(9)
    scored = book.redis.zrange(AGAIN, 0, -1, withscores=True)  # type: ignore[assignment]
    [(_, again_at)] = scored
    seconds, _ = book.redis.time()  # type: ignore[misc]
    assert 0 < again_at - seconds * 1000 < 7_000


def test_the_newest_are_armed_though_clocks_differ(kept: Kept, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper's clock is a day ahead of the web processes', whose clocks the ids carry."""
    order = kept.rest(limit_price=Decimal(100))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    assert kept.keeper._arm_newest(kept.database) == 1
    assert kept.armed() == {order.id}


def test_what_was_claimed_and_rests_no_more_is_dropped(kept: Kept, book: Book) -> None:
    order = kept.rest(limit_price=Decimal(100))
    kept.keeper.run(kept.database)
    book.claim_limits(PAIR, "gte", Decimal(100), most=9, again_in_ms=0)
    claimed(kept.database, order)

    kept.keeper.run(kept.database)

    assert kept.armed() == set() and book.redis.zcard(AGAIN) == 0


def test_a_ghost_is_dropped_and_a_gap_is_filled_in_passing(kept: Kept, book: Book) -> None:
    kept.keeper.run(kept.database)
    ghost = rest("100")
    book.change([Arm(ghost)])
    missing = kept.rest()
    for _ in range(3):
        kept.keeper.run(kept.database)
    assert kept.armed() == {missing.id}


def test_an_order_back_at_rest_is_armed_as_it_is_now(kept: Kept, book: Book) -> None:
    order = kept.rest(limit_price=Decimal(100))
    kept.keeper.run(kept.database)
    taken = claimed(kept.database, order)
    assert all(statements.record(kept.database, [change(taken, Event.REST, resting=True, data={"resting": True})]))
    book.redis.flushdb()
    kept.keeper.run(kept.database)
    assert book.redis.hget(f"limit:{PAIR}:{order.id}", "seq") == "3"
