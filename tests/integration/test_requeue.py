"""A dead letter acts once: a client that repeats a lost answer fires nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.auth import Caller
from orders.http.dead_letters import RequeueView
from orders.ledger import statements
from orders.ledger.statements import Claimed, Connection
from orders.lifecycle import Event
from orders.models import DeadLetter, Order, OrderEvent
from tests.factories import ERROR, accepted, change, claimed, executor, new_order


def failed(database: Connection, taken: Claimed) -> DeadLetter:
    statements.record(database, [change(taken, Event.FAIL, data={"error": ERROR})])
    return DeadLetter.objects.get(order_id=taken.id, resolved_at=None)


@pytest.fixture
def letter(database: Connection, account: int) -> DeadLetter:
    return failed(database, claimed(database, accepted(database, new_order(account))))


def requeue(letter: DeadLetter) -> Any:
    request = APIRequestFactory().post(f"/api/dead-letters/{letter.pk}/requeue")
    request.META["REQUEST_ID"] = "test"
    force_authenticate(request, token=Caller(letter.order.account_id, frozenset({"staff"})))
    try:
        return RequeueView.as_view()(request, letter_id=letter.pk)
    finally:
        connections.close_all()


def events(letter: DeadLetter) -> list[tuple[int, str]]:
    return list(OrderEvent.objects.filter(order_id=letter.order_id).order_by("seq").values_list("seq", "status"))


def test_a_letter_that_is_sent_again_answers_and_does_nothing(database: Connection, letter: DeadLetter) -> None:
    first = requeue(letter)
    after = events(letter)
    again = requeue(letter)

    assert first.status_code == again.status_code == 200
    assert first.data == again.data and again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert events(letter) == after


def test_an_old_letter_does_not_fire_the_order_that_failed_again(database: Connection, letter: DeadLetter) -> None:
    requeue(letter)
    order = Order.objects.get(pk=letter.order_id)
    [taken] = statements.claim(database, executor(database), [order.id], {})
    second = failed(database, taken)
    before = events(letter)

    again = requeue(letter)
    assert again.status_code == 200 and again.data.status == "failed" and events(letter) == before

    assert requeue(second).data.status == "pending", "the letter of the present epoch acts"
    assert len(events(letter)) == len(before) + 1


def test_letters_sent_at_the_same_moment_act_once(database: Connection, letter: DeadLetter) -> None:
    before = len(events(letter))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: requeue(letter), range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(events(letter)) == before + 1
    replayed = [answer for answer in answers if answer.headers.get("Idempotency-Replayed") == "true"]
    assert len(replayed) == 7, "whoever fired nothing is told so"
