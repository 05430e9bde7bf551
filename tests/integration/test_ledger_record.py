"""Claiming and recording: of two executors one gets the order; a change is written completely or not at all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from msgspec.structs import replace

from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Change, Claimed
from orders.lifecycle import Event, Status
from orders.models import Order, OrderEvent, Transaction
from tests.factories import (
    ERROR,
    FILL,
    HANDOVER,
    TAKEOVER,
    accepted,
    change,
    claimed,
    connect,
    executor,
    limit_order,
    new_order,
    submitted,
    swap,
)


def row(order_id: UUID) -> Order:
    return Order.objects.get(pk=order_id)


def events(order_id: UUID) -> list[tuple[int, str]]:
    return list(OrderEvent.objects.filter(order_id=order_id).order_by("seq").values_list("seq", "status"))


def race(count: int, act: Callable[[Connection, int], Any]) -> list[Any]:
    """All at the same moment, each on a connection of its own."""
    together = threading.Barrier(count)

    def one(n: int) -> Any:
        with connect() as connection:
            together.wait(60)
            return act(connection, n)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@pytest.fixture
def taken(database: Connection, account: int) -> Claimed:
    return claimed(database, accepted(database, new_order(account)))


def test_a_claim_is_an_attempt_in_a_new_epoch(database: Connection, account: int) -> None:
    order, owner = accepted(database, new_order(account)), executor(database)

    taken = claimed(database, order, owner)

    assert (taken.status, taken.seq, taken.epoch, taken.attempts, taken.event) == ("routing", 2, 1, 1, {"attempt": 1})
    assert (row(order.id).executor, row(order.id).epoch) == (owner, 1)
    assert events(order.id) == [(1, "pending"), (2, "routing")]


def test_ten_executors_claim_and_one_has_it(database: Connection, account: int) -> None:
    orders = [accepted(database, new_order(account)) for _ in range(20)]
    executors = [executor(database) for _ in range(10)]
    ids = [order.id for order in orders]

    results = race(10, lambda connection, n: statements.claim(connection, executors[n], ids, {}))

    got = [taken.id for result in results for taken in result]
    assert sorted(got) == sorted(ids)
    assert all(events(order_id) == [(1, "pending"), (2, "routing")] for order_id in ids)


@pytest.mark.parametrize("status", ["routing", "building", "submitted", "confirmed", "failed", "cancelled"])
def test_only_what_is_pending_is_claimed(database: Connection, account: int, status: str) -> None:
    order = accepted(database, new_order(account))
    bring_to(database, order.id, account, Status(status))
    before = row(order.id)

    assert statements.claim(database, executor(database), [order.id], {order.id: {}}) == []
    assert (row(order.id).epoch, row(order.id).seq) == (before.epoch, before.seq)


def bring_to(database: Connection, order_id: UUID, account: int, status: Status) -> Claimed | None:
    if status is Status.CANCELLED:
        cancel = change(new_order(account, id=order_id), Event.CANCEL)
        assert statements.record(database, [cancel])[0]
        return None
    [taken] = statements.claim(database, executor(database), [order_id], {})
    if status is Status.FAILED:
        assert statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])[0]
    elif status is Status.BUILDING:
        assert statements.record(database, [change(taken, Event.BUILD, data={})])[0]
    elif status in (Status.SUBMITTED, Status.CONFIRMED):
        intent = submitted(database, taken)
        if status is Status.CONFIRMED:
            assert statements.record(database, [confirmation(taken, intent.signature)])[0]
    return taken


def confirmation(taken: Claimed, signature: str) -> Change:
    return change(
        taken,
        Event.CONFIRM,
        was=Status.SUBMITTED,
        seq=taken.seq + 2,
        data=FILL,
        resolved=(signature, "landed"),
    )


@pytest.mark.parametrize("state", ["dead", "stopped"])
def test_an_executor_that_was_given_up_claims_nothing(database: Connection, account: int, state: str) -> None:
    order = accepted(database, new_order(account))

    assert statements.claim(database, executor(database, state=state), [order.id], {}) == []


def test_an_order_that_rests_needs_a_trigger(database: Connection, account: int) -> None:
    order, owner = accepted(database, limit_order(account)), executor(database)

    assert statements.claim(database, owner, [order.id], {}) == []
    [taken] = statements.claim(database, owner, [order.id], {order.id: {"price": Decimal("200.5")}})

    assert taken.event == {"attempt": 1, "trigger": {"price": "200.5", "limit": "200"}}
    assert not row(order.id).resting and row(order.id).run_at is not None


@pytest.mark.parametrize("resting", [False, True])
def test_an_expired_order_is_not_claimed(database: Connection, account: int, resting: bool) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    make = limit_order if resting else new_order
    order = accepted(database, make(account, expires_at=past))

    assert statements.claim(database, executor(database), [order.id], {order.id: {}} if resting else {}) == []


def test_an_order_is_not_claimed_before_its_time(database: Connection, taken: Claimed) -> None:
    statements.record(database, [change(taken, Event.RETRY, data={"error": ERROR}, delay_ms=settings.RETRY_CAP_MS)])

    assert statements.claim(database, executor(database), [taken.id], {}) == []
    database.execute("UPDATE orders_order SET run_at = now()")
    [again] = statements.claim(database, executor(database), [taken.id], {})
    assert (again.attempts, again.epoch, again.seq) == (2, 2, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 0},
        {"epoch": 2},
        {"seq": 2},
        {"seq": 4},
        {"was": Status.PENDING},
        {"was": Status.BUILDING},
    ],
    ids=str,
)
def test_each_fence_refuses_alone(database: Connection, taken: Claimed, wrong: dict[str, Any]) -> None:
    """One of epoch, seq and status is not what the writer believes; the other two are."""
    before = row(taken.id)

    fenced = replace(change(taken, Event.BUILD, data={"venue": "RAYDIUM"}), **wrong)

    assert statements.record(database, [fenced]) == [None]
    after = row(taken.id)
    assert (after.status, after.seq, after.epoch, after.venue) == (before.status, before.seq, before.epoch, None)
    assert events(taken.id) == [(1, "pending"), (2, "routing")]


def test_ten_writers_race_and_one_wins(database: Connection, taken: Claimed) -> None:
    def write(connection: Connection, n: int) -> Any:
        moved = change(taken, Event.BUILD, data={"venue": f"V{n}"})
        return statements.record(connection, [moved])[0]

    results = race(10, write)

    [winner] = [n for n, at in enumerate(results) if at is not None]
    assert row(taken.id).venue == f"V{winner}"
    assert events(taken.id) == [(1, "pending"), (2, "routing"), (3, "building")]


def test_a_previous_owner_writes_nothing(database: Connection, taken: Claimed) -> None:
    """Same status and same seq, one epoch later: only the epoch distinguishes the two owners."""
    statements.record(database, [change(taken, Event.RELEASE, data=HANDOVER, delay_ms=0)])
    later = claimed(database, new_order(taken.account_id, id=taken.id))
    assert (later.status, later.epoch) == (taken.status, 2)

    assert statements.record(database, [change(replace(taken, seq=later.seq), Event.BUILD)]) == [None]
    assert statements.record(database, [change(later, Event.BUILD)])[0] is not None


def test_refused_changes_write_no_intent_and_no_dead_letter(database: Connection, taken: Claimed) -> None:
    stale = replace(taken, epoch=0)
    intent = swap(taken.id)
    submit = change(stale, Event.SUBMIT, was=Status.BUILDING, intent=intent)
    fail = change(stale, Event.FAIL, data={"error": ERROR})

    assert statements.record(database, [submit]) == [None]
    assert statements.record(database, [fail]) == [None]
    assert not Transaction.objects.exists() and not row(taken.id).dead_letters.exists()


def test_several_changes_of_one_order_are_written_together_or_not_at_all(database: Connection, taken: Claimed) -> None:
    chain = [
        change(taken, Event.BUILD, data={"venue": "RAYDIUM"}),
        change(taken, Event.SUBMIT, was=Status.BUILDING, seq=3, intent=swap(taken.id)),
    ]
    assert statements.record(database, [replace(one, epoch=0) for one in chain]) == [None, None]

    rows = statements.record(database, chain)

    assert len({row.at for row in rows if row is not None}) == 1 and all(rows)
    assert events(taken.id) == [(1, "pending"), (2, "routing"), (3, "building"), (4, "submitted")]


def test_one_statement_carries_many_orders_and_the_lost_ones_lose_alone(database: Connection, account: int) -> None:
    owner = executor(database)
    taken = [claimed(database, accepted(database, new_order(account)), owner) for _ in range(30)]
    moves = [change(replace(one, epoch=one.epoch - n % 3 // 2), Event.BUILD) for n, one in enumerate(taken)]

    times = statements.record(database, moves)

    assert [at is None for at in times] == [n % 3 == 2 for n in range(30)]
    for one, at in zip(taken, times, strict=True):
        assert len(events(one.id)) == (2 if at is None else 3)


def test_events_are_contiguous_over_a_life(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    first = claimed(database, order)
    statements.record(database, [change(first, Event.RETRY, data={"error": ERROR}, delay_ms=0)])
    second = claimed(database, order)
    intent = submitted(database, second)
    statements.record(database, [confirmation(second, intent.signature)])

    expected = ["pending", "routing", "pending", "routing", "building", "submitted", "confirmed"]
    assert events(order.id) == list(enumerate(expected, start=1))
    assert row(order.id).seq == 7


def test_a_fill_is_on_the_row_and_its_intent_resolved(database: Connection, taken: Claimed) -> None:
    intent = submitted(database, taken)

    [recorded] = statements.record(database, [confirmation(taken, intent.signature)])

    order = row(taken.id)
    assert recorded is not None
    at = recorded.at
    assert (order.status, order.venue, order.tx_hash) == ("confirmed", "RAYDIUM", "signature")
    assert (order.executed_price, order.amount_out, order.fee) == (Decimal("149.5"), Decimal("149.5"), Decimal("0.4"))
    assert order.finished_at == order.updated_at == at and order.run_at is None
    assert Transaction.objects.get().resolution == "landed"


def test_an_order_has_one_unresolved_intent(database: Connection, taken: Claimed) -> None:
    submitted(database, taken)

    with pytest.raises(psycopg.errors.UniqueViolation, match="transaction_one_unresolved"):
        database.execute(
            "INSERT INTO orders_transaction (signature, order_id, epoch, attempt, venue, payload, min_out, valid_until,"
            " created_at) VALUES ('other', %s, 1, 1, 'RAYDIUM', '', 1, now(), now())",
            (taken.id,),
        )


def test_the_next_intent_follows_the_resolution_of_the_last(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    first = claimed(database, order)
    intent = submitted(database, first)
    retry = change(
        first,
        Event.RETRY,
        was=Status.SUBMITTED,
        seq=4,
        data={"error": ERROR},
        delay_ms=0,
        resolved=(intent.signature, "expired"),
    )
    assert statements.record(database, [retry])[0]

    second = submitted(database, claimed(database, order), swap(order.id, attempt=2))

    resolutions = dict(Transaction.objects.values_list("signature", "resolution"))
    assert resolutions == {intent.signature: "expired", second.signature: None}


def test_a_failed_order_is_a_dead_letter_with_its_complete_history(database: Connection, account: int) -> None:
    order = accepted(database, new_order(account))
    for attempt in (1, 2):
        taken = claimed(database, order)
        error = {**ERROR, "attempt": attempt}
        statements.record(database, [change(taken, Event.RETRY, data={"error": error}, delay_ms=0)])
    taken = claimed(database, order)
    last = {**ERROR, "attempt": 3, "code": "NO_QUOTE", "message": "none"}
    statements.record(database, [change(taken, Event.FAIL, data={"error": last})])

    failed = row(order.id)
    assert (failed.status, failed.failure_code, failed.failure_message) == ("failed", "NO_QUOTE", "none")
    letter = failed.dead_letters.get()
    assert (letter.reason, letter.epoch, letter.resolved_at) == ("NO_QUOTE", 3, None)
    assert [entry["attempt"] for entry in letter.history] == [1, 2, 3]
    assert all(entry["code"] and entry["message"] and entry["at"] for entry in letter.history)


def test_a_requeued_order_starts_anew_in_a_new_epoch(database: Connection, taken: Claimed) -> None:
    statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])
    data = {"requeued": {"by": "admin"}}
    requeue = change(taken, Event.REQUEUE, was=Status.FAILED, seq=3, data=data, delay_ms=0)

    assert statements.record(database, [requeue])[0]

    order = row(taken.id)
    assert (order.status, order.attempts, order.epoch, order.failure_code) == ("pending", 0, 2, None)
    assert order.finished_at is None and order.run_at is not None
    letter = order.dead_letters.get()
    assert letter.resolved_at is not None and letter.resolved_by == "admin"
    assert statements.record(database, [requeue]) == [None]


def test_an_amendment_changes_what_it_names_and_nothing_else(database: Connection, account: int) -> None:
    order = accepted(database, limit_order(account, slippage_bps=10))
    until = datetime(2030, 1, 1, tzinfo=UTC)

    def amend(seq: int, **amended: Any) -> Order:
        moved = change(order, Event.AMEND, seq=seq - 1, data={"amended": amended})
        assert statements.record(database, [moved])[0]
        return row(order.id)

    first = amend(2, limitPrice="201.5", expiresAt=until)
    assert (first.limit_price, first.amount, first.slippage_bps) == (Decimal("201.5"), Decimal(1), 10)
    assert first.expires_at == until and first.resting
    second = amend(3, amount="2", slippageBps=0)
    assert (second.limit_price, second.amount, second.slippage_bps) == (Decimal("201.5"), Decimal(2), 0)
    assert second.expires_at == until
    assert amend(4, expiresAt=None).expires_at is None


def test_a_handover_does_not_cost_an_attempt(database: Connection, taken: Claimed) -> None:
    statements.record(database, [change(taken, Event.RELEASE, data=HANDOVER, delay_ms=0)])
    assert (row(taken.id).attempts, row(taken.id).executor) == (0, None)

    again = claimed(database, new_order(taken.account_id, id=taken.id))
    statements.record(database, [change(again, Event.RELEASE, data=TAKEOVER, delay_ms=0)])
    assert row(taken.id).attempts == 1


def test_an_order_that_rests_again_waits_for_its_trigger(database: Connection, account: int) -> None:
    order = accepted(database, limit_order(account))
    taken = claimed(database, order)

    statements.record(database, [change(taken, Event.REST)])

    assert (row(order.id).resting, row(order.id).run_at, row(order.id).attempts) == (True, None, 0)
    assert statements.claim(database, executor(database), [order.id], {}) == []


def test_a_submitted_order_changes_its_owner_with_its_intent(database: Connection, account: int) -> None:
    owner, other = executor(database), executor(database)
    order = accepted(database, new_order(account))
    taken = claimed(database, order, owner)
    intent = submitted(database, taken)
    assert statements.claim(database, other, [order.id], {}) == []
    assert statements.disown(database, executor=other, order_ids=[order.id]) == []

    assert statements.disown(database, executor=owner, order_ids=[order.id]) == [order.id]
    [later] = statements.claim(database, other, [order.id], {})

    assert (later.status, later.seq, later.attempts, later.event) == ("submitted", 4, 1, None)
    assert later.swap == intent
    assert later.epoch > taken.epoch
    assert statements.record(database, [confirmation(taken, intent.signature)]) == [None]
    assert len(events(order.id)) == 4


def test_orders_of_stopped_executors_are_freed_and_those_of_live_ones_are_not(
    database: Connection, account: int
) -> None:
    executors = {state: executor(database, state=state) for state in ("alive", "dead", "stopped")}
    orders = {}
    for state, owner in executors.items():
        order = accepted(database, new_order(account))
        submitted(database, claimed(database, order))
        database.execute("UPDATE orders_order SET executor = %s WHERE id = %s", (owner, order.id))
        orders[state] = order.id

    assert set(statements.disown(database)) == {orders["dead"], orders["stopped"]}


BROKEN = [
    ("status = 'nonsense'", "order_(status|in_one_place)"),
    ("status = 'confirmed', run_at = NULL, finished_at = now()", "order_confirmed_has_fill"),
    (
        "status = 'confirmed', run_at = NULL, finished_at = now(), tx_hash = 'a', executed_price = 1",
        "order_confirmed_has_fill",
    ),
    ("status = 'failed', run_at = NULL, finished_at = now()", "order_failed_says_why"),
    ("status = 'routing'", "order_in_one_place"),
    ("run_at = NULL", "order_in_one_place"),
    ("resting = true", "order_in_one_place"),
    ("finished_at = now()", "order_in_one_place"),
    ("amount = 0", "order_amount_positive"),
    ("slippage_bps = 5001", "order_slippage_bps"),
    ("token_out = token_in", "order_two_tokens"),
    ("type = 'limit'", "order_limit_has_price"),
    ("type = 'limit', limit_price = 1", "order_limit_has_price"),
    ("type = 'limit', trigger_condition = 'gte'", "order_limit_has_price"),
    ("type = 'sniper'", "order_sniper_has_trigger"),
    ("type = 'swap'", "order_type"),
]


@pytest.mark.parametrize(("assignment", "constraint"), BROKEN)
def test_the_database_refuses_a_row_that_makes_no_sense(
    database: Connection, account: int, assignment: str, constraint: str
) -> None:
    accepted(database, new_order(account))

    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        database.execute(f"UPDATE orders_order SET {assignment}")


def test_an_event_is_written_once(database: Connection, taken: Claimed) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("INSERT INTO orders_orderevent SELECT * FROM orders_orderevent WHERE seq = 1")
