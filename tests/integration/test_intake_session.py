"""A signed-in browser may trade from the engine's own pages, and from nowhere else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore

from accounts.auth import KeyRing
from accounts.limits import Limiter
from accounts.models import Account
from orders.http.intake import Intake
from orders.ledger.statements import Connection
from orders.ledger.writers import Acceptor
from orders.models import Order

HOST = b"engine.example"
OURS, THEIRS = b"https://engine.example", b"https://evil.example"


@pytest.fixture
def trader(database: Connection) -> Account:
    user, _ = get_user_model().objects.get_or_create(username="trader")
    return Account.objects.get_or_create(name="trader", defaults={"user": user})[0]


@pytest.fixture
def cookie(trader: Account) -> Iterator[bytes]:
    assert trader.user is not None
    session = SessionStore()
    session[SESSION_KEY] = str(trader.user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = trader.user.get_session_auth_hash()
    session.create()
    yield f"{settings.SESSION_COOKIE_NAME}={session.session_key}".encode()
    session.delete()


def post(**headers: bytes) -> int:
    """The answer's status."""
    sent: list[dict[str, Any]] = []
    given = [(b"host", HOST), (b"content-type", b"application/json")]
    given += [(name.encode(), value) for name, value in headers.items()]
    body = json.dumps({"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def run() -> None:
        acceptor = Acceptor(
            settings.DATABASE_URL,
            window_ms=1,
            max_batch=10,
            capacity=10,
            timeout_ms=5_000,
            written=lambda accepted: None,
        )
        limiter = Limiter(settings.REDIS_URL, account=None, address=None)
        intake = Intake(acceptor, KeyRing(local_mode=False), limiter, max_body=10_000, timeout_s=10)
        scope = {"method": "POST", "path": "/api/orders/execute", "scheme": "https", "headers": given}
        await intake.execute(scope, receive, send)
        await acceptor.close()

    async_to_sync(run)()
    return int(sent[0]["status"])


def test_the_cookie_counts_from_our_own_page(trader: Account, cookie: bytes) -> None:
    assert post(cookie=cookie, origin=OURS) == 200
    assert Order.objects.get().account_id == trader.pk


@pytest.mark.parametrize("origin", [THEIRS, b"null", b""])
def test_the_cookie_does_not_count_from_elsewhere(trader: Account, cookie: bytes, origin: bytes) -> None:
    assert post(cookie=cookie, **({"origin": origin} if origin else {})) == 401
    assert not Order.objects.exists()


def test_a_wrong_key_is_not_made_good_by_a_cookie(trader: Account, cookie: bytes) -> None:
    assert post(cookie=cookie, origin=OURS, authorization=b"Bearer nonsense") == 401


def test_an_old_cookie_is_nobody(trader: Account) -> None:
    assert post(cookie=b"sessionid=forgotten", origin=OURS) == 401
