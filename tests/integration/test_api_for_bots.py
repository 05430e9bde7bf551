"""What programs that trade all day ask of the API: cheap polling, changes that name what was seen, drafts checked whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from accounts.models import ApiKey, digest
from orders.ledger.statements import Connection
from orders.models import Order, Plan
from risk.rules import rules
from tests.factories import accepted, limit_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
OCO = {"kind": "bracket", "tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "entry": False}
EXITS = [{"kind": "takeProfit", "price": "900"}, {"kind": "stopLoss", "price": "1"}]


@pytest.fixture
def api(database: Connection, account: int) -> Iterator[Client]:
    secret = "oe_for_bots"
    fields = {"account_id": account, "prefix": secret[:10], "scopes": ["trade", "read", "staff"]}
    ApiKey.objects.get_or_create(hash=digest(secret), defaults=fields)
    rules.refresh()
    yield Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})
    rules.close()


def post(api: Client, path: str, body: dict[str, Any]) -> Any:
    return api.post(path, body, content_type="application/json")


@pytest.mark.parametrize("path", ["/api/orders", "/api/plans", "/api/fills", "/api/dead-letters"])
def test_a_list_that_has_not_changed_is_answered_by_304(
    database: Connection, api: Client, account: int, path: str
) -> None:
    first = api.get(path)
    assert first.headers["ETag"].startswith('W/"')
    again = api.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert api.get(path, headers={"If-None-Match": '"0", W/"1"'}).content == first.content


def test_a_list_that_has_changed_is_answered_anew(database: Connection, api: Client, account: int) -> None:
    tag = api.get("/api/orders").headers["ETag"]
    order = accepted(database, limit_order(account))
    seen = api.get("/api/orders", headers={"If-None-Match": tag})
    assert seen.status_code == 200 and seen.json()["orders"][0]["orderId"] == str(order.id)

    api.delete(f"/api/orders/{order.id}")
    changed = api.get("/api/orders", headers={"If-None-Match": seen.headers["ETag"]})
    assert changed.status_code == 200 and changed.json()["orders"][0]["status"] == "cancelled"


def test_deliveries_of_a_webhook_are_polled_the_same_way(database: Connection, api: Client) -> None:
    made = post(api, "/api/webhooks", {"url": "https://example.com/hook"}).json()
    path = f"/api/webhooks/{made['webhookId']}/deliveries"
    tag = api.get(path).headers["ETag"]

    assert api.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_plan_is_changed_at_the_seq_that_its_tag_names(database: Connection, api: Client) -> None:
    made = post(api, "/api/plans", {**OCO, "exits": EXITS})
    plan = made.json()
    path = f"/api/plans/{plan['planId']}"
    seen = api.get(path).headers["ETag"]
    assert made.headers["ETag"] == seen == f'"{plan["seq"]}"'

    other = api.delete(path, headers={"If-Match": f'"{plan["seq"] + 1}"'})
    assert other.status_code == 412 and other.json()["error"]["code"] == "SEQ_MISMATCH"
    cancelled = api.delete(path, headers={"If-Match": seen})
    assert cancelled.status_code == 200 and cancelled.headers["ETag"] == f'"{cancelled.json()["seq"]}"' != seen


@pytest.mark.parametrize(
    ("exits", "field"),
    [
        ([{"kind": "stopLoss"}], "exits[0].atBps"),
        ([{"kind": "takeProfit", "atBps": 100, "portionBps": 9000}] * 2, "exits"),
        ([{"kind": "stopLoss", "atBps": 100}] * 2, "exits[1].kind"),
    ],
)
def test_a_draft_with_exits_is_refused_as_the_order_would_be(
    database: Connection, api: Client, exits: list[dict[str, Any]], field: str
) -> None:
    draft = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "100", "exits": exits}
    tried = post(api, "/api/orders/test", draft)

    assert tried.status_code == 400, tried.content
    assert list(tried.json()["error"]["details"]) == [field]
    assert not Plan.objects.exists() and not Order.objects.exists()


def test_a_draft_with_sound_exits_places_nothing(database: Connection, api: Client) -> None:
    exits = [{"kind": "takeProfit", "atBps": 100}, {"kind": "stopLoss", "atBps": 100}]
    draft = {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "100", "exits": exits}

    assert post(api, "/api/orders/test", draft).status_code == 200
    assert not Plan.objects.exists() and not Order.objects.exists()


def test_the_account_says_when_its_orders_will_be_cancelled(database: Connection, api: Client) -> None:
    assert api.get("/api/account").json()["cancelAfter"] is None

    at = post(api, "/api/cancel-after", {"seconds": 3600, "scope": "all"}).json()["at"]
    assert api.get("/api/account").json()["cancelAfter"] == {"at": at, "scope": "all"}

    post(api, "/api/cancel-after", {"seconds": 0})
    assert api.get("/api/account").json()["cancelAfter"] is None
