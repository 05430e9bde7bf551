"""What people do to orders keeps its answer whatever the broker and Redis do: the change is committed already."""

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from accounts.models import ApiKey, digest
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.models import DeadLetter, Order
from tests.factories import accepted, change, claimed, limit_order, new_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete("orders")
        yield client
        client.delete("orders")


@pytest.fixture
def full(broker: redis.Redis) -> Iterator[redis.Redis]:
    """A Redis that answers and takes nothing more."""
    broker.config_set("maxmemory", "1")
    yield broker
    broker.config_set("maxmemory", "0")


@pytest.fixture
def admin(database: Connection) -> Client:
    user, _ = get_user_model().objects.get_or_create(username="operator", is_staff=True, is_superuser=True)
    client = Client(headers={"Host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def api(database: Connection, account: int) -> Client:
    scopes = {"account_id": account, "name": "", "scopes": ["trade", "read", "staff"]}
    ApiKey.objects.get_or_create(hash=digest("oe_commands_tests"), defaults=scopes)
    return Client(headers={"Host": "localhost", "Authorization": "Bearer oe_commands_tests"})


@pytest.fixture
def failed(database: Connection, account: int) -> Order:
    taken = claimed(database, accepted(database, new_order(account)))
    assert all(statements.record(database, [change(taken, Event.FAIL)]))
    return Order.objects.get(pk=taken.id)


def test_an_operator_requeues_while_redis_is_full(admin: Client, failed: Order, full: redis.Redis) -> None:
    answer = admin.post(f"/admin/orders/order/{failed.pk}/requeue/")

    assert answer.status_code == 302
    assert Order.objects.get(pk=failed.pk).status == "pending"


def test_a_dead_letter_is_requeued_while_redis_is_full(api: Client, failed: Order, full: redis.Redis) -> None:
    answer = api.post(f"/api/dead-letters/{DeadLetter.objects.get().pk}/requeue")

    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


@pytest.mark.parametrize("by", ["operator", "key"])
def test_a_requeued_order_is_dispatched(
    admin: Client, api: Client, failed: Order, broker: redis.Redis, by: str
) -> None:
    if by == "operator":
        admin.post(f"/admin/orders/order/{failed.pk}/requeue/")
    else:
        api.post(f"/api/dead-letters/{DeadLetter.objects.get().pk}/requeue")

    assert broker.llen("orders") == 1


def test_an_order_is_cancelled_while_redis_is_full(
    api: Client, database: Connection, account: int, full: redis.Redis
) -> None:
    order = accepted(database, limit_order(account))

    for _ in range(2):
        answer = api.delete(f"/api/orders/{order.id}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
