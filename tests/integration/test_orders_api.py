"""Lists by what is asked for, changes to an order as it was seen, and who made them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.http import QueryDict
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from accounts.models import ApiKey, digest
from orders.http.parameters import Parameters
from orders.http.views import wanted
from orders.ids import uuid7_at
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import Order, OrderEvent
from tests.factories import accepted, change, claimed, limit_order, new_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
KEY = "oe_orders_api_tests"
OLD_ORDERS = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch,
    attempts, resting, created_at, updated_at, finished_at)
SELECT gen_random_uuid(), %(account)s, '', 'market', 'SOL', 'USDC', 1, 50, 'cancelled', 2, 0, 0, false, at, at, at
FROM generate_series(1, 20000) AS n, LATERAL (SELECT timestamptz '2025-01-01' + n * interval '1 minute' AS at) AS t
"""
BEGAN = 1_900_000_000
"""When the first of the listed orders was placed, in seconds since 1970."""


@pytest.fixture
def api(database: Connection, account: int) -> Client:
    fields = {"account_id": account, "prefix": KEY[:10], "scopes": ["trade", "read"]}
    ApiKey.objects.get_or_create(hash=digest(KEY), defaults=fields)
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {KEY}"})


@pytest.fixture
def placed(database: Connection, account: int) -> list[UUID]:
    """Four orders, a minute apart: failed, cancelled, in work, resting."""
    made = [
        accepted(database, make(account, id=uuid7_at(BEGAN + 60 * n), **fields)).id
        for n, (make, fields) in enumerate(
            [
                (new_order, {}),
                (limit_order, {"token_in": "JUP"}),
                (new_order, {"token_in": "USDC", "token_out": "BONK"}),
                (limit_order, {"token_in": "BONK"}),
            ]
        )
    ]
    failed = claimed(database, Order.objects.get(pk=made[0]))  # type: ignore[arg-type]
    claimed(database, Order.objects.get(pk=made[2]))  # type: ignore[arg-type]
    cancelled = Order.objects.get(pk=made[1])
    assert all(statements.record(database, [change(failed, Event.FAIL)]))
    assert all(statements.record(database, [change(cancelled, Event.CANCEL)]))  # type: ignore[arg-type]
    return made


def listed(api: Client, **asked: str) -> list[str]:
    answer = api.get("/api/orders", asked)
    assert answer.status_code == 200, answer.content
    return [order["orderId"] for order in answer.json()["orders"]]


def at(minute: float, zone: str = "Z") -> str:
    """RFC 3339 of so many minutes after the first order."""
    return (datetime.fromtimestamp(BEGAN, UTC) + timedelta(minutes=minute)).isoformat().replace("+00:00", zone)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [3, 2, 1, 0]),
        ({"order": "asc"}, [0, 1, 2, 3]),
        ({"order": "desc"}, [3, 2, 1, 0]),
        ({"status": "failed,cancelled"}, [1, 0]),
        ({"status": "routing,pending,pending"}, [3, 2]),
        ({"status": "routing,failed", "order": "asc"}, [0, 2]),
        ({"token": "bonk"}, [3, 2]),
        ({"token": "JUP", "status": "cancelled"}, [1]),
        ({"from": at(1)}, [3, 2, 1]),
        ({"to": at(1)}, [0]),
        ({"from": at(1), "to": at(3)}, [2, 1]),
        ({"from": at(1, "+00:00"), "to": at(1.01, " 00:00")}, [1]),
        ({"from": at(9)}, []),
    ],
)
def test_orders_are_listed_by_what_is_asked_for(
    api: Client, placed: list[UUID], asked: dict[str, str], found: Sequence[int]
) -> None:
    assert listed(api, **asked) == [str(placed[n]) for n in found]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_follow_each_other_in_both_directions(api: Client, placed: list[UUID], direction: str) -> None:
    pages, cursor = [], {}
    for _ in placed:
        answer = api.get("/api/orders", {"order": direction, "limit": "1"} | cursor).json()
        pages += [order["orderId"] for order in answer["orders"]]
        cursor = {"cursor": answer["next"]}

    assert cursor == {"cursor": None}
    assert pages == sorted(map(str, placed), reverse=direction == "desc")


def test_what_changed_since_is_listed_whether_it_is_open_or_over(
    api: Client, database: Connection, placed: list[UUID]
) -> None:
    database.execute(
        "UPDATE orders_order SET updated_at = '2026-01-01', finished_at = finished_at - interval '9 years'"
    )
    assert listed(api, updatedAfter="2026-01-01T00:00:00Z") == []
    database.execute("UPDATE orders_order SET updated_at = '2026-01-02' WHERE id = %s", (placed[3],))
    database.execute("UPDATE orders_order SET finished_at = '2026-01-02' WHERE id = %s", (placed[0],))

    assert listed(api, updatedAfter="2026-01-01T23:59:59.999Z") == [str(placed[3]), str(placed[0])]


def test_what_changed_since_is_found_without_reading_all_orders(database: Connection, account: int) -> None:
    database.execute(OLD_ORDERS, {"account": account})
    database.execute("ANALYZE orders_order")
    asked = Parameters(QueryDict("updatedAfter=2026-01-01T00:00:00Z"), {"updatedAfter"})
    found = Order.objects.filter(wanted(asked), account_id=account).order_by("-id")[:51]
    statement, parameters = found.query.sql_with_params()
    plan = "\n".join(row[0] for row in database.execute(f"EXPLAIN {statement}", parameters))

    assert "order_finished" in plan and "order_open" in plan, plan


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "pending,"}, "status"),
        ({"status": "pending,lost"}, "status"),
        ({"token": "NOPE"}, "token"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"to": "2026-13-01T00:00:00Z"}, "to"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ({"updatedAfter": "1767225600"}, "updatedAfter"),
        ({"order": "up"}, "order"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(api: Client, asked: dict[str, str], field: str) -> None:
    answer = api.get("/api/orders", asked)

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, [field])


@pytest.fixture
def resting(database: Connection, account: int) -> str:
    return f"/api/orders/{accepted(database, limit_order(account)).id}"


@pytest.mark.parametrize("tag", ["1", '"1"', "*"])
def test_an_order_that_is_as_it_was_seen_is_changed(api: Client, resting: str, tag: str) -> None:
    seen = api.get(resting)
    assert seen["ETag"] == '"1"'

    amended = api.patch(resting, {"slippageBps": 7}, "application/json", headers={"If-Match": tag})
    assert (amended.status_code, amended["ETag"]) == (200, '"2"')
    assert api.delete(resting, headers={"If-Match": amended["ETag"]}).status_code == 200
    # The answer was lost, so it is asked for once more: what was wanted has happened.
    assert api.delete(resting, headers={"If-Match": amended["ETag"]}).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_an_order_that_has_moved_since_is_left_alone(api: Client, resting: str, method: str) -> None:
    api.patch(resting, {"slippageBps": 7}, "application/json")
    before = api.get(resting).json()
    body = '{"slippageBps": 9}' if method == "PATCH" else ""
    answer = api.generic(method, resting, body, "application/json", headers={"If-Match": "1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "SEQ_MISMATCH")
    assert answer.json()["error"]["details"] == {"If-Match": ["the order is at seq 2 now"]}
    assert api.get(resting).json() == before


@pytest.mark.parametrize("tag", ["", "x", 'W/"1"', '"1", "2"', "-1", "1.0", "٣", "9" * 11])
def test_a_tag_that_is_none_is_refused(api: Client, resting: str, tag: str) -> None:
    answer = api.delete(resting, headers={"If-Match": tag})

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["If-Match"])
    assert api.get(resting).json()["status"] == "pending"


def test_an_order_that_a_client_knows_is_not_sent_again(api: Client, resting: str) -> None:
    known = api.get(resting, headers={"If-None-Match": '"7", W/"1"'})
    assert (known.status_code, known.content, known["ETag"]) == (304, b"", '"1"')

    api.patch(resting, {"slippageBps": 7}, "application/json")
    assert api.get(resting, headers={"If-None-Match": '"1"'}).json()["seq"] == 2


def data(order_id: str) -> list[dict[str, Any]]:
    events = OrderEvent.objects.filter(order_id=order_id.rpartition("/")[2]).order_by("seq")
    return [event.data for event in events]


def test_the_events_say_who_asked(api: Client, resting: str) -> None:
    api.patch(resting, {"slippageBps": 7}, "application/json", headers={"X-Request-Id": "mine-1"})
    api.delete(resting, headers={"X-Request-Id": "mine-2"})

    said = [(each["by"], each["requestId"]) for each in data(resting)[1:]]
    assert said == [(f"key {KEY[:10]}", "mine-1"), (f"key {KEY[:10]}", "mine-2")]


def test_a_person_is_named(database: Connection, account: int, resting: str) -> None:
    person, _ = get_user_model().objects.get_or_create(username="alice", is_staff=True, is_superuser=True)
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    browser.post(f"/admin/orders/order/{resting.rpartition('/')[2]}/cancel/")

    assert data(resting)[-1]["by"] == "user alice"


def test_lists_are_in_the_order_of_their_ids(api: Client, placed: list[UUID]) -> None:
    assert all(a < b for a, b in pairwise(listed(api, order="asc")))
