"""While Postgres is away, hangs or is frozen, accepting says so in time; when it is back, so are we."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psutil
import psycopg
import psycopg_pool
import pytest
from django.conf import settings

from accounts.auth import KeyRing
from accounts.limits import Limiter
from accounts.models import ApiKey, digest
from orderengine.settings import database as django_database
from orders.http.intake import Intake
from orders.ledger.statements import Connection
from orders.ledger.writers import Acceptor
from tests.chaos.proxy import Proxy, to_unix
from tests.factories import Committed, connect
from tests.freezing import frozen
from tests.waiting import Stalls

TIMEOUT_S = 1.0
KEY = "oe_known"


@pytest.fixture
def key(account: int) -> str:
    ApiKey.objects.get_or_create(hash=digest(KEY), defaults={"account_id": account, "name": "", "scopes": ["trade"]})
    return KEY


@asynccontextmanager
async def intake() -> AsyncIterator[Intake]:
    acceptor = Acceptor(
        settings.DATABASE_URL, window_ms=1, max_batch=10, capacity=100, timeout_ms=60_000, written=Committed()
    )
    limiter = Limiter(settings.REDIS_URL, account=None, address=None)
    try:
        yield Intake(acceptor, KeyRing(local_mode=False), limiter, max_body=10_000, timeout_s=TIMEOUT_S)
    finally:
        await acceptor.close()


async def post(to: Intake, key: str, pause_s: float = 0) -> tuple[int, dict[bytes, bytes], float]:
    """Status, headers, and the seconds it took beyond what the machine took for itself; the body comes after a pause."""
    sent: list[dict[str, Any]] = []
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {key}".encode())]
    body = json.dumps({"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}).encode()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    clock = asyncio.get_running_loop().time
    async with Stalls() as stalls:
        began = clock()
        await to.execute(
            {"method": "POST", "path": "/api/orders/execute", "headers": headers, "client": None}, receive, send
        )
        return sent[0]["status"], dict(sent[0]["headers"]), clock() - began - stalls.seconds


async def accepted(to: Intake, key: str, pause_s: float = 0) -> None:
    """Posts until the answer is 200: a busy machine may use up the time of any one request."""
    async with asyncio.timeout(30):
        while (await post(to, key, pause_s))[0] != 200:
            pass


@contextmanager
def locked(table: str) -> Iterator[Connection]:
    with psycopg.connect(settings.DATABASE_URL) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection


def postgres() -> psutil.Process:
    """The postmaster of this run."""
    with connect() as connection:
        main = psutil.Process(connection.info.backend_pid).parent()
    assert main is not None
    return main


async def test_one_deadline_holds_for_all_that_a_request_waits_for(database: Connection, key: str) -> None:
    """A key that is found late leaves the order the less time."""
    async with intake() as to:
        with locked("orders_order"), locked("accounts_apikey") as keys:
            asyncio.get_running_loop().call_later(0.7 * TIMEOUT_S, keys.rollback)
            status, headers, seconds = await post(to, key)
    assert status == 503 and int(headers[b"retry-after"]) >= 1
    assert seconds < 1.4 * TIMEOUT_S


async def test_a_client_that_is_slow_to_send_has_its_full_time(database: Connection, key: str) -> None:
    async with intake() as to:
        await accepted(to, key, pause_s=1.3 * TIMEOUT_S)


async def test_while_postgres_is_frozen_every_answer_comes_in_time(database: Connection, key: str) -> None:
    async with intake() as to:
        await accepted(to, key)
        with frozen(postgres()):
            answers = await asyncio.gather(*(post(to, each) for each in [key] * 20 + [f"oe_{n}" for n in range(20)]))
            again = await post(to, "oe_other")
        assert {status for status, _, _ in [*answers, again]} == {503}
        assert max(seconds for _, _, seconds in [*answers, again]) < 1.4 * TIMEOUT_S
        await accepted(to, key)


async def test_a_pool_gives_connections_as_soon_as_postgres_is_back(database: Connection) -> None:
    """It tries again at growing intervals, and would sleep on for as long again as Postgres was away."""
    wanted: Any = django_database(settings.DATABASE_URL)
    [folder, port] = [database.info.host, database.info.port]
    proxy = Proxy(to_unix(f"{folder}/.s.PGSQL.{port}"), random.Random(1))
    await proxy.start()
    away = psycopg.conninfo.make_conninfo(settings.DATABASE_URL, host="127.0.0.1", port=str(proxy.port))
    pool: psycopg_pool.ConnectionPool[Any] = psycopg_pool.ConnectionPool(away, open=True, **wanted["OPTIONS"]["pool"])
    try:
        proxy.refuse = True
        for _ in range(3):
            with pytest.raises(psycopg_pool.PoolTimeout):
                await asyncio.to_thread(pool.getconn)
        proxy.heal()
        pool.putconn(await asyncio.to_thread(pool.getconn))
    finally:
        await asyncio.to_thread(pool.close)
        await proxy.stop()
