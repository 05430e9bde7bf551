"""`DELETE /api/orders`: an answer for each open order that is meant, and nothing of any other."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from accounts.models import Account, ApiKey, digest
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import Order, OrderEvent
from tests.factories import accepted, change, claimed, limit_order, new_order
from tests.integration.test_plan_steps import entered, leg

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
KEY = "oe_cancel_many_tests"


@pytest.fixture
def api(database: Connection, account: int) -> Client:
    fields = {"account_id": account, "prefix": KEY[:10], "scopes": ["trade", "read"]}
    ApiKey.objects.get_or_create(hash=digest(KEY), defaults=fields)
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {KEY}"})


def cancel(api: Client, **asked: str) -> dict[str, Any]:
    """What is answered, by order."""
    answer = api.delete("/api/orders", QUERY_STRING="&".join(f"{name}={value}" for name, value in asked.items()))
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    return {each["orderId"]: each.get("status") or each["error"]["code"] for each in results}


def status(order_id: UUID) -> str:
    return Order.objects.get(pk=order_id).status


def test_each_open_order_has_its_answer_those_of_plans_too(api: Client, database: Connection, account: int) -> None:
    resting = accepted(database, limit_order(account))
    waiting = accepted(database, new_order(account))
    working = claimed(database, accepted(database, new_order(account)))
    failed = claimed(database, accepted(database, new_order(account)))
    assert all(statements.record(database, [change(failed, Event.FAIL)]))
    plan = entered(database, account)
    others = accepted(database, limit_order(int(Account.objects.get_or_create(name="other")[0].pk)))

    answers = cancel(api)

    legs = {str(leg(plan, name).id): "PART_OF_PLAN" for name in ("tp1", "tp2", "stop")}
    mine = {str(resting.id): "cancelled", str(waiting.id): "cancelled", str(working.id): "TOO_LATE"}
    assert answers == mine | legs
    assert [status(each) for each in (resting.id, waiting.id)] == ["cancelled", "cancelled"]
    assert status(working.id) == "routing" and status(failed.id) == "failed" and status(others.id) == "pending"
    assert all(leg(plan, name).status == "pending" for name in ("tp1", "tp2", "stop"))
    last = OrderEvent.objects.filter(order_id=resting.id).order_by("-seq")[0]
    assert (last.seq, last.status) == (2, "cancelled") and last.data["by"].startswith("key")

    assert cancel(api) == {str(working.id): "TOO_LATE"} | legs, "what is cancelled is not open any more"


def test_only_what_is_named(api: Client, database: Connection, account: int) -> None:
    sol = accepted(database, limit_order(account, client_order_id="grid-1"))
    jup = accepted(database, limit_order(account, token_in="JUP", client_order_id="grid-2"))
    market = accepted(database, new_order(account, client_order_id="grid%"))
    unnamed = accepted(database, limit_order(account))

    assert cancel(api, pair="BONK-USDC") == cancel(api, clientOrderId="grid-") == {}
    assert cancel(api, clientPrefix="grid-", pair="SOL-USDC") == {str(sol.id): "cancelled"}
    # What stands for anything in a pattern is a letter like any other.
    assert cancel(api, clientPrefix="grid%25") == {str(market.id): "cancelled"}
    assert cancel(api, clientPrefix="grid", type="limit") == {str(jup.id): "cancelled"}
    one, longer = (accepted(database, limit_order(account, client_order_id=name)) for name in ("a", "a-2"))
    assert cancel(api, clientOrderId="a") == {str(one.id): "cancelled"}
    assert status(longer.id) == "pending"
    assert status(unnamed.id) == "pending"


@pytest.mark.parametrize("asked", ["type=other", "pair=SOL", "prefix=a", "clientPrefix=a&clientPrefix=b"])
def test_what_is_not_understood_cancels_nothing(api: Client, database: Connection, account: int, asked: str) -> None:
    order = accepted(database, limit_order(account, client_order_id="a"))
    answer = api.delete("/api/orders", QUERY_STRING=asked)
    assert answer.status_code in (400, 404), answer.content
    assert status(order.id) == "pending"


def test_an_order_that_fires_meanwhile_is_not_said_to_be_cancelled(
    api: Client, database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = accepted(database, limit_order(account))
    record = statements.record

    def overtaken(*arguments: Any) -> Any:
        if status(order.id) == "pending":
            claimed(database, order)
        return record(*arguments)

    monkeypatch.setattr(statements, "record", overtaken)
    assert cancel(api) == {str(order.id): "TOO_LATE"} and status(order.id) == "routing"
