"""What follows each event: who gets it, where the trigger book puts the order, whether a worker is woken."""

import ast
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from orders import effects as module
from orders.effects import Effects, effects, of_accepted, of_claimed, of_disowned
from orders.events import DATA_OF, CommittedEvent, ConfirmData
from orders.ledger.values import LIMIT, MARKET, SNIPER, Attempts, Change, Claimed, Letter, Position, Recorded
from orders.lifecycle import FINAL, SUCCESSORS, Event, IllegalTransition, Status, advance
from orders.models import OrderType
from orders.transitions import transition
from routing.mock.tokens import SOL, USDC
from tests.factories import DATA, HANDOVER, TAKEOVER, claim, limit_order, new_order
from triggers.changes import Arm, Left

AT = datetime(2026, 1, 1, tzinfo=UTC)
PAIRS = [(status, event) for status, successors in SUCCESSORS.items() for event in successors if event != Event.CLAIM]


def data(event: Event, **said: Any) -> Any:
    return msgspec.convert(DATA[event] | said, DATA_OF[event])


PAIR = f"{SOL.mint}-{USDC.mint}"


def change(event: Event, status: Status, said: dict[str, Any] | None = None, **named: Any) -> Change:
    return transition(Position(UUID(int=5), 1, 3, 7, status), event, data(event, **(said or {})), **named)


def row(type_: str) -> Recorded:
    return Recorded(
        at=AT,
        type=type_,
        token_in=SOL.mint,
        token_out=USDC.mint,
        limit_price=Decimal(200) if type_ == LIMIT else None,
        trigger_condition="gte" if type_ == LIMIT else None,
        trigger_kind="liquidity" if type_ == SNIPER else None,
        min_liquidity=Decimal(9) if type_ == SNIPER else None,
        volume_factor=None,
        launched_before=None,
    )


def after(
    event: Event, status: Status, type_: str = MARKET, said: dict[str, Any] | None = None, **named: Any
) -> Effects:
    return effects(change(event, status, said, **named), row(type_))


def test_the_pure_names_of_types_are_django_s() -> None:
    assert {MARKET, LIMIT, SNIPER} == set(OrderType.values)


@pytest.mark.parametrize("type_", [MARKET, LIMIT, SNIPER])
@pytest.mark.parametrize(("status", "event"), PAIRS)
def test_every_event_is_published_and_every_final_status_counted(status: Status, event: Event, type_: str) -> None:
    found = after(event, status, type_)

    assert isinstance(found.event, CommittedEvent)
    assert (found.event.subject, found.event.seq, found.event.status) == (UUID(int=5), 8, advance(status, event))
    assert found.event.at == AT
    assert found.final == (advance(status, event) if advance(status, event) in FINAL else None)


@pytest.mark.parametrize(("status", "event"), PAIRS)
def test_a_market_order_never_reaches_the_book(status: Status, event: Event) -> None:
    assert after(event, status, MARKET).book is None


@pytest.mark.parametrize("type_", [LIMIT, SNIPER])
@pytest.mark.parametrize("event", [Event.CANCEL, Event.EXPIRE])
def test_a_resting_order_that_ends_leaves_the_book(event: Event, type_: str) -> None:
    assert after(event, Status.PENDING, type_).book == Left(UUID(int=5), PAIR, 8, type_ == SNIPER)


def test_an_amended_order_is_armed_where_the_row_says() -> None:
    book = after(Event.AMEND, Status.PENDING, LIMIT).book

    assert isinstance(book, Arm) and (book.rest.price, book.rest.kind, book.rest.seq) == (Decimal(200), "gte", 8)


@pytest.mark.parametrize("type_", [LIMIT, SNIPER])
def test_an_order_that_rests_again_is_armed_and_not_dispatched(type_: str) -> None:
    found = after(Event.REST, Status.ROUTING, type_)

    assert isinstance(found.book, Arm) and found.dispatch_ms is None


def test_what_waits_for_a_worker_is_dispatched() -> None:
    assert after(Event.RETRY, Status.ROUTING, delay_ms=250).dispatch_ms == 250
    assert after(Event.RELEASE, Status.BUILDING, said=HANDOVER, delay_ms=0).dispatch_ms == 0
    assert after(Event.REQUEUE, Status.FAILED, delay_ms=0).dispatch_ms == 0
    assert of_disowned([UUID(int=5)]) == [Effects(order_id=UUID(int=5), dispatch_ms=0)]


@pytest.mark.parametrize("event", [Event.BUILD, Event.SUBMIT, Event.CONFIRM, Event.FAIL])
def test_what_has_an_owner_or_has_ended_is_not_dispatched(event: Event) -> None:
    [status] = [status for status, each in PAIRS if each is event][:1]
    assert after(event, status).dispatch_ms is None


def test_a_requeued_order_that_rests_is_armed_and_not_dispatched() -> None:
    found = after(Event.REQUEUE, Status.FAILED, LIMIT, {"resting": True})

    assert isinstance(found.book, Arm) and found.dispatch_ms is None


def test_a_new_order_is_counted_and_dispatched_or_armed() -> None:
    from orders.ledger.values import Accepted

    market, resting = new_order(1), limit_order(1)
    first, second = (of_accepted(order, Accepted(order.id, AT)) for order in (market, resting))

    assert (first.accepted, first.dispatch_ms, first.book) == (MARKET, 0, None)
    assert (second.accepted, second.dispatch_ms) == (LIMIT, None)
    assert isinstance(second.book, Arm) and second.book.rest.price == Decimal(200)


def claimed(type_: str, event: dict[str, Any] | None) -> Claimed:
    status = Status.ROUTING if event is not None else Status.SUBMITTED
    return claim(id=UUID(int=5), status=status, type=type_, at=AT, event=event)


def test_a_claimed_order_leaves_the_book_and_a_new_owner_is_no_event() -> None:
    assert of_claimed(claimed(MARKET, {"attempt": 1})).book is None
    assert of_claimed(claimed(LIMIT, {"attempt": 1})).book == Left(UUID(int=5), PAIR, 2, sniper=False)
    assert of_claimed(claimed(MARKET, None)).event is None


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.CLAIM])
@pytest.mark.parametrize("status", Status)
def test_no_change_is_made_that_the_table_does_not_allow(status: Status, event: Event) -> None:
    if event in SUCCESSORS[status]:
        assert change(event, status).status is advance(status, event)
    else:
        with pytest.raises(IllegalTransition):
            change(event, status)


def test_another_event_s_data_are_refused() -> None:
    with pytest.raises(TypeError):
        transition(Position(UUID(int=5), 1, 3, 7, Status.ROUTING), Event.BUILD, data(Event.CONFIRM))


RULES = [
    (Event.FAIL, Status.ROUTING, {}, Attempts.KEEP, False, Letter.OPEN, False),
    (Event.REQUEUE, Status.FAILED, {}, Attempts.RESET, True, Letter.RESOLVE, False),
    (Event.REQUEUE, Status.FAILED, {"resting": True}, Attempts.RESET, True, Letter.RESOLVE, True),
    (Event.RELEASE, Status.ROUTING, HANDOVER, Attempts.REFUND, False, None, False),
    (Event.RELEASE, Status.ROUTING, TAKEOVER, Attempts.KEEP, False, None, False),
    (Event.RETRY, Status.ROUTING, {}, Attempts.KEEP, False, None, False),
    (Event.REST, Status.ROUTING, {}, Attempts.RESET, False, None, True),
    (Event.AMEND, Status.PENDING, {}, Attempts.RESET, False, None, True),
]


@pytest.mark.parametrize(("event", "status", "said", "attempts", "new_epoch", "letter", "resting"), RULES)
def test_what_a_change_says_beside_its_status(
    event: Event,
    status: Status,
    said: dict[str, Any],
    attempts: Attempts,
    new_epoch: bool,
    letter: Letter | None,
    resting: bool,
) -> None:
    made = change(event, status, said)

    assert (made.attempts, made.new_epoch, made.letter, made.resting) == (attempts, new_epoch, letter, resting)


def test_the_statement_that_records_asks_for_no_key_of_the_data_but_the_amended_expiry() -> None:
    """`?` asks whether a JSON key is there. History of a dead letter reads old events by their `error`."""
    text = (Path(module.__file__).parent / "ledger" / "record.sql").read_text()
    asked = [line.strip() for line in text.splitlines() if " ? '" in line]

    assert len(asked) == 2 and "'amended' ? 'expiresAt'" in asked[0] and "h.data ? 'error'" in asked[1]


def test_only_transition_makes_a_change() -> None:
    """Nobody else calls `Change(...)`, so no writer bypasses the table."""
    root = Path(module.__file__).parent
    makers = [
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Change"
    ]
    assert makers == ["transitions.py"]


def test_the_pure_modules_load_without_a_framework() -> None:
    code = (
        "import sys, orders.effects, orders.transitions, orders.resting.placement;"
        "print(sorted({'django', 'celery', 'redis', 'channels', 'psycopg'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_event_data_read_what_an_older_process_wrote() -> None:
    """Unknown keys are ignored, so a newer process may add some as well."""
    old = {"attempt": 1, "venue": "RAYDIUM", "executedPrice": "1", "amountOut": "1", "fee": "0", "txHash": "s"}
    found = msgspec.convert(old | {"landedAt": "2026-01-01T00:00:00Z", "later": 1}, ConfirmData)
    assert found.executed_price == "1"
