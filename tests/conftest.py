"""The run's own database, as the engine sees it: no copy under another name."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

import risk
from accounts.models import Account
from orders import commands
from orders.aftercommit import AfterCommit
from orders.dispatch import dispatch
from orders.ledger.statements import Connection
from orders.publisher import Publisher
from risk.rules import rules
from routing.world import registry
from tests.factories import connect
from triggers.arming import Arming

# The first text that Hypothesis draws costs seconds, and a busy machine makes any deadline a lottery.
hypothesis.settings.register_profile(
    "orderengine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("orderengine")

TABLES = (
    "orders_order, orders_orderevent, orders_transaction, orders_deadletter, orders_executor, orders_plan, orders_planevent,"
    " orders_pairhigh, orders_deadman, orders_reservation, orders_alert, orders_keptfill, books_checkpoint, risk_rule,"
    " risk_budget, risk_spend, risk_change, wallets_walletkey, wallets_wallet, accounts_ticket,"
    " webhooks_delivery, webhooks_endpoint, webhooks_feed"
)

EVERYBODY = (Path(risk.__file__).parent / "migrations" / "0001_everybody.sql").read_text()
"""The rule that is always there."""


# A thread of a test that has ended keeps its connection until it is collected, and the tests of a run share one pool.
settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = 64


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The engine's own connections know nothing of a test database, so the run's database is one."""
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0, interactive=False)
    publisher, arming = Publisher(settings.REDIS_URL), Arming(settings.REDIS_URL)
    changes = commands.Commands(settings.DATABASE_URL, AfterCommit(publisher, arming, dispatch))
    commands.install(changes)
    yield
    commands.uninstall()
    changes.close()
    publisher.close()
    arming.close()
    registry.close()
    rules.close()
    with django_db_blocker.unblock():
        connections["default"].close_pool()  # type: ignore[attr-defined]


@pytest.fixture
def database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Connection]:
    """A connection to the migrated database, without orders in it."""
    with django_db_blocker.unblock(), connect() as connection:
        truncate(connection)
        connection.execute(EVERYBODY)
        yield connection


def truncate(connection: Connection) -> None:
    """Again where a thread of an earlier test, which reads the tables in another order, met it halfway."""
    for _ in range(20):
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            connection.execute(f"TRUNCATE {TABLES}")
            return
    raise AssertionError("something goes on reading the tables")


@pytest.fixture
def account(database: Connection) -> int:
    return int(Account.objects.get_or_create(name="tester")[0].pk)


@pytest.fixture
def database_url() -> str:
    return str(settings.DATABASE_URL)
