"""The admin on a real database: every page answers, lists read on from the last id, a search finds."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from orders.admin.keyset import KeysetMixin
from orders.ledger.statements import Connection, NewOrder
from orders.models import Order, Plan, PlanEvent
from orders.plans.commands import create
from tests.factories import accepted, claimed, limit_order, new_order, submitted
from tests.integration.test_plan_steps import new_plan
from tests.unit.test_plan_decide import STOP, oco

# Static files come from the packages here; only an image collects them.
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
PAGES = (
    "/admin/",
    "/admin/orders/order/",
    "/admin/orders/order/?status=open",
    "/admin/orders/order/?status=failed",
    "/admin/orders/order/?type=limit",
    "/admin/orders/plan/",
    "/admin/orders/plan/?status=active&kind=bracket",
    "/admin/orders/deadletter/",
    "/admin/orders/deadletter/?state=all",
    "/admin/orders/executor/",
    "/admin/accounts/account/",
    "/admin/accounts/apikey/add/",
    "/admin/auth/user/",
    "/admin/django_celery_beat/periodictask/",
)


@pytest.fixture
def admin(database: Connection) -> Client:
    user, _ = get_user_model().objects.get_or_create(username="operator", is_staff=True, is_superuser=True)
    client = Client(headers={"Host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers(admin: Client, page: str) -> None:
    assert admin.get(page).status_code == 200


@pytest.mark.parametrize("value", ["%C2%B2", "9" * 30, "-1", "x", "%00"])
def test_an_account_that_is_none_is_no_fault(admin: Client, account: int, value: str) -> None:
    assert admin.get(f"/admin/orders/order/?account={value}").status_code < 500


@pytest.mark.parametrize(
    "query", ["order/?status=%00", "order/?type=%00", "order/?venue=%00", "plan/?status=%00", "plan/?kind__exact=%00"]
)
def test_a_filter_that_no_row_can_have_is_no_fault(admin: Client, query: str) -> None:
    answer = admin.get(f"/admin/orders/{query}")
    assert (answer.status_code, answer.headers.get("Location", "").rpartition("?")[2]) == (302, "e=1")


def test_a_list_reads_on_without_gap_or_repetition(admin: Client, database: Connection, account: int) -> None:
    wanted = {str(accepted(database, new_order(account)).id) for _ in range(2 * KeysetMixin.list_per_page + 5)}
    seen: list[str] = []
    url = "/admin/orders/order/"
    while True:
        text = admin.get(url).content.decode()
        seen += dict.fromkeys(re.findall(r"/admin/orders/order/([0-9a-f-]{36})/change/", text))
        following = re.search(r'href="(\?before=[^"]+)" rel="next"', text)
        if not following:
            break
        url = "/admin/orders/order/" + following.group(1)
    assert seen == sorted(wanted, reverse=True)


def test_search_by_id_client_id_and_signature(admin: Client, database: Connection, account: int) -> None:
    order = accepted(database, new_order(account, client_order_id="mine-1"))
    accepted(database, new_order(account))
    swap = submitted(database, claimed(database, order))
    for term in (str(order.id), "mine-1", swap.signature):
        text = admin.get("/admin/orders/order/", {"q": term}).content.decode()
        assert set(re.findall(r"/order/([0-9a-f-]{36})/change/", text)) == {str(order.id)}
    page = admin.get(f"/admin/orders/order/{order.id}/change/").content.decode()
    assert swap.signature in page


def test_following_a_link_cancels_nothing(admin: Client, database: Connection, account: int) -> None:
    order = accepted(database, limit_order(account))
    status = "SELECT status FROM orders_order WHERE id = %s"
    url = f"/admin/orders/order/{order.id}/cancel/"
    assert admin.get(url).status_code == 200
    assert database.execute(status, [order.id]).fetchone() == ("pending",)
    assert admin.post(url).status_code == 302
    assert database.execute(status, [order.id]).fetchone() == ("cancelled",)


def foot(admin: Client, url: str) -> str:
    text = admin.get(url).content.decode()
    found = re.search(r'class="keyset"><span>([^<]*)</span>', text)
    assert found, text[-2000:]
    return found.group(1)


def test_the_foot_of_a_list_says_how_long_it_is(admin: Client, database: Connection, account: int) -> None:
    url = "/admin/orders/order/"
    assert foot(admin, f"{url}?status=failed") == "0 orders"
    accepted(database, new_order(account))
    assert foot(admin, url) == "1 order"
    for _ in range(KeysetMixin.list_per_page):
        accepted(database, new_order(account))
    assert foot(admin, url) == "30 of 31 orders"
    assert foot(admin, f"{url}?type=market") == "30 orders, older ones follow"
    older = re.search(r'href="(\?before=[^"]+)" rel="next"', admin.get(url).content.decode())
    assert older and foot(admin, url + older.group(1)) == "The oldest 1"


def test_an_order_s_page_shows_what_its_type_has_and_nothing_else(
    admin: Client, database: Connection, account: int
) -> None:
    def labels(order: NewOrder) -> list[str]:
        text = admin.get(f"/admin/orders/order/{order.id}/change/").content.decode()
        assert str(order.id) in text
        return re.findall(r"<dt>([^<]*)</dt>", text)

    common = ["Order id", "Account", "Status", "Type", "Swap", "Mints"]
    times = ["Slippage at most", "Placed (UTC)", "Last change (UTC)"]
    assert labels(accepted(database, new_order(account))) == common + times
    assert labels(accepted(database, limit_order(account))) == [*common, "Fires at", *times]


def test_a_plan_is_shown_with_its_orders_and_events(admin: Client, database: Connection, account: int) -> None:
    plan_id, _, _ = create(database, new_plan(account, oco(STOP), client_plan_id="mine"))
    found = admin.get("/admin/orders/plan/?q=mine").content.decode()
    assert f"/admin/orders/plan/{plan_id}/change/" in found
    page = admin.get(f"/admin/orders/plan/{plan_id}/change/").content.decode()
    order_id = Order.objects.get(plan_id=plan_id).pk
    assert f"/admin/orders/order/{order_id}/change/" in page
    assert re.search(r"<b>created</b> stop \(\d", page), "what its first step did, in words"
    assert "{&#x27;" not in page and "E+" not in page, "no Python, no exponents"
    assert admin.post(f"/admin/orders/plan/{plan_id}/delete/", {"post": "yes"}).status_code == 403
    assert admin.get("/admin/orders/plan/nonsense/change/").status_code == 302


def test_an_operator_cancels_a_plan(admin: Client, database: Connection, account: int) -> None:
    plan_id, _, _ = create(database, new_plan(account, oco(STOP), client_plan_id="mine"))
    page, button = f"/admin/orders/plan/{plan_id}/change/", f"/admin/orders/plan/{plan_id}/cancel/"
    assert button in admin.get(page).content.decode()
    assert b"Yes" in admin.get(button).content
    assert Plan.objects.get(pk=plan_id).status == "active", "a link changes nothing"
    assert admin.post(button).status_code == 302
    assert Plan.objects.get(pk=plan_id).status == "cancelled"
    assert PlanEvent.objects.filter(plan_id=plan_id).order_by("seq").last().data["by"]  # type: ignore[union-attr]
    assert button not in admin.get(page).content.decode()
