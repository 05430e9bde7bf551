"""The admin on a real database: every page answers, lists read on from the last id, a search finds."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from orders.admin.keyset import KeysetMixin
from orders.ledger.statements import Connection
from tests.factories import accepted, claimed, limit_order, new_order, submitted

# Static files come from the packages here; only an image collects them.
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
PAGES = (
    "/admin/",
    "/admin/orders/order/",
    "/admin/orders/order/?status=open",
    "/admin/orders/order/?status=failed",
    "/admin/orders/order/?type=limit",
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
