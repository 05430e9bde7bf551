"""The owner of the recovery tasks does their work and closes what it opened."""

import threading
from datetime import UTC, datetime, timedelta

import redis
from django.conf import settings

import celery_app  # noqa: F401  (the broker)
from orders.ledger.statements import Connection
from orders.models import Executor, Order
from orders.recovery.worker import Recovery
from tests.factories import accepted, executor, limit_order, new_order
from tests.waiting import until
from triggers.book import Book

BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orderengine:dbsync'"


def test_the_tasks_work_and_nothing_of_them_is_left(database: Connection, account: int) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = accepted(database, limit_order(account, expires_at=past))
    resting, waiting = accepted(database, limit_order(account)), accepted(database, new_order(account))
    database.execute("UPDATE orders_order SET run_at = now() - interval '1 minute' WHERE id = %s", (waiting.id,))
    old = executor(database, state="stopped", silent_s=90_000)
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.delete("orders")
    before = set(threading.enumerate())

    recovery = Recovery(settings)
    recovery.expire()
    recovery.keep_book()
    recovery.prune()
    recovery.reconcile()
    recovery.close()

    assert dict(Order.objects.values_list("id", "status"))[expired.id] == "expired"
    keys = Book(settings.REDIS_URL).page(0, 1_000)[1]
    assert any(str(resting.id) in key for key in keys) and not any(str(expired.id) in key for key in keys)
    assert not Executor.objects.filter(pk=old).exists()
    assert client.llen("orders") == 1
    client.delete("orders")
    client.close()
    assert {thread.name for thread in set(threading.enumerate()) - before} & {"publisher", "arming"} == set()
    until(lambda: database.execute(BACKENDS).fetchone() == (0,), 10)
