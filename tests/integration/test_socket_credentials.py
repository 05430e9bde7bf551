"""Whatever ends a credential ends the sockets it has opened, within five seconds and without a query for each."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.auth import Caller, KeyRing
from accounts.limits import Limiter
from accounts.models import Account, ApiKey, Ticket, digest
from accounts.rates import Rate
from accounts.standing import standing
from orders.http.sockets import Sockets
from orders.ledger.statements import Connection
from orders.streams.connection import Socket
from orders.streams.snapshots import Reader
from orders.streams.subscriptions import Subscriptions
from tests.integration.test_streams import Browser

PROMISED_S = 5.0
HOST = b"engine.example"
OWN = (b"origin", b"https://engine.example")


class Trader:
    """A person with an account, a key, a session and a ticket."""

    def __init__(self, name: str = "watched") -> None:
        self.user, _ = get_user_model().objects.update_or_create(
            username=name, defaults={"is_active": True, "is_staff": False}
        )
        self.account, _ = Account.objects.update_or_create(name=name, defaults={"user": self.user})
        self.key, secret = ApiKey.issue(self.account, scopes=["trade", "read"])
        self.session = SessionStore()
        self.session[SESSION_KEY] = str(self.user.pk)
        self.session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        self.session[HASH_SESSION_KEY] = self.user.get_session_auth_hash()
        self.session.create()
        expires = timezone.now() + timedelta(seconds=30)
        issuer = f"key:{self.key.pk}"
        Ticket.objects.create(
            hash=digest(name), account=self.account, scopes=["read"], issuer=issuer, expires_at=expires
        )
        cookie = f"{settings.SESSION_COOKIE_NAME}={self.session.session_key}".encode()
        self.by: dict[str, dict[str, Any]] = {
            "key": {"headers": [(b"host", HOST), (b"authorization", f"Bearer {secret}".encode())]},
            "session": {"headers": [(b"host", HOST), (b"cookie", cookie), OWN]},
            "ticket": {"headers": [(b"host", HOST)], "query_string": f"ticket={name}".encode()},
        }


@pytest.fixture
async def trader(database: Connection) -> AsyncIterator[Trader]:
    made = await sync_to_async(Trader)()
    yield made
    await sync_to_async(made.session.delete)()
    await sync_to_async(made.key.delete)()


class Stage:
    def __init__(self, **limits: Any) -> None:
        self.subscriptions, self.reader = Subscriptions(), Reader()
        limiter = Limiter(settings.REDIS_URL, **({"account": None, "address": None} | limits))
        self.limiter = limiter
        self.sockets = Sockets(
            lambda: self.subscriptions,
            lambda: self.reader,
            KeyRing(local_mode=False),
            max_open=1000,
            max_account=1000,
            prices=lambda: pytest.fail("no prices here"),
            limiter=limiter,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def open(self, scope: dict[str, Any]) -> Browser:
        browser = Browser()
        scope = {"type": "websocket", "scheme": "wss", "client": ("192.0.2.1", 1), "query_string": b""} | scope
        scope["extensions"] = {"websocket.http.response": {}}
        self.tasks.append(asyncio.create_task(self.sockets.account(scope, browser.receive, browser.send)))
        return browser


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    await made.reader.close()
    if made.subscriptions._dispatcher is not None:
        made.subscriptions._dispatcher.cancel()
    await get_channel_layer().flush()


def change_password(trader: Trader) -> None:
    trader.user.set_password("another passphrase")
    trader.user.save()


ENDS: dict[str, tuple[str, Callable[[Trader], Any]]] = {
    "revoked key": ("key", lambda trader: ApiKey.objects.filter(pk=trader.key.pk).update(revoked_at=timezone.now())),
    "lost scope": ("key", lambda trader: ApiKey.objects.filter(pk=trader.key.pk).update(scopes=["trade"])),
    "deleted key": ("key", lambda trader: ApiKey.objects.filter(pk=trader.key.pk).delete()),
    "logout": ("session", lambda trader: trader.session.flush()),
    "expired session": (
        "session",
        lambda trader: Session.objects.filter(session_key=trader.session.session_key).update(
            expire_date=timezone.now() - timedelta(seconds=1)
        ),
    ),
    "new password": ("session", change_password),
    "deactivated person": (
        "session",
        lambda trader: get_user_model().objects.filter(pk=trader.user.pk).update(is_active=False),
    ),
    "account taken away": ("session", lambda trader: Account.objects.filter(pk=trader.account.pk).update(user=None)),
    "ticket of a revoked key": (
        "ticket",
        lambda trader: ApiKey.objects.filter(pk=trader.key.pk).update(revoked_at=timezone.now()),
    ),
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_socket_ends_with_its_credential(stage: Stage, trader: Trader, how: str) -> None:
    kind, end = ENDS[how]
    browser = stage.open(trader.by[kind])
    assert (await browser.receives())["type"] == "snapshot"

    await sync_to_async(end)(trader)
    ended = time.monotonic()

    assert await browser.receives() == {"closed": 4401}
    assert time.monotonic() - ended < PROMISED_S
    await asyncio.wait_for(asyncio.gather(*stage.tasks), 5)
    assert not stage.sockets.open


async def test_other_sockets_stay(stage: Stage, trader: Trader) -> None:
    other = await sync_to_async(Trader)("beside")
    kept = [stage.open(other.by[kind]) for kind in ("key", "session", "ticket")]
    ending = stage.open(trader.by["key"])
    for browser in (*kept, ending):
        assert (await browser.receives())["type"] == "snapshot"
    await sync_to_async(ENDS["revoked key"][1])(trader)

    assert await ending.receives() == {"closed": 4401}
    await stage.sockets._credentials.check()
    assert len(stage.sockets.open) == 3 and all(browser.sent.empty() for browser in kept)


def test_a_thousand_sockets_cost_a_statement_for_all_keys(database: Connection) -> None:
    traders = [Trader(f"many-{n}") for n in range(20)]
    credentials = [f"key:{trader.key.pk}" for trader in traders]
    with CaptureQueriesContext(connection) as asked:
        found = standing(KeyRing(local_mode=False), credentials)
    assert len(found) == 20 and len(asked) == 1
    ApiKey.objects.filter(pk=traders[0].key.pk).update(revoked_at=timezone.now())
    assert set(standing(KeyRing(local_mode=False), credentials)) == set(credentials[1:])


async def test_a_slow_client_is_ended_as_fast(stage: Stage, trader: Trader) -> None:
    """The end interrupts a send that waits for the client to read."""
    browser, blocked = Browser(), asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            blocked.set()
            await asyncio.Future()
        await browser.send(message)

    scope = {"client": None, "query_string": b""} | trader.by["key"]
    stage.tasks.append(asyncio.create_task(stage.sockets.account(scope, browser.receive, send)))
    await asyncio.wait_for(blocked.wait(), 20)
    await sync_to_async(ENDS["revoked key"][1])(trader)

    assert await browser.receives(within_s=PROMISED_S) == {"closed": 4401}


@pytest.mark.parametrize(
    "origin",
    [b"null", b"http://engine.example", b"https://evil.example", b"https://[", b"", b"https://engine.example:1"],
)
async def test_a_session_opens_nothing_from_a_page_elsewhere(stage: Stage, trader: Trader, origin: bytes) -> None:
    headers = [header for header in trader.by["session"]["headers"] if header[0] != b"origin"]
    browser = stage.open({"headers": [*headers, (b"origin", origin)]})

    assert await browser.receives() == {"closed": 4401}


async def test_guesses_over_sockets_are_charged_to_the_address(database: Connection) -> None:
    stage = Stage(address=Rate(5, 3600))
    stage.limiter._redis.flushdb()
    guess = {"headers": [(b"host", HOST), (b"authorization", b"Bearer oe_guess")]}
    ends = []
    for _ in range(7):
        browser = stage.open(guess)
        while (message := await asyncio.wait_for(browser.sent.get(), 20))["type"] == "websocket.accept":
            pass
        ends.append(message.get("code") or message.get("status"))
    await asyncio.gather(*stage.tasks)
    await stage.reader.close()

    assert ends == [4401] * 5 + [429] * 2


@pytest.mark.parametrize("frame", [{"text": ""}, {"bytes": b""}, {"text": "x" * 60_000}])
async def test_a_client_that_does_not_stop_talking_is_left(stage: Stage, trader: Trader, frame: dict[str, Any]) -> None:
    browser = stage.open(trader.by["key"])
    assert (await browser.receives())["type"] == "snapshot"
    for _ in range(101):
        browser._said.put_nowait({"type": "websocket.receive", **frame})

    assert await browser.receives() == {"closed": 4429}
    assert browser._said.qsize() > 90 or "bytes" in frame or not frame["text"], "60 kB each: after five it is enough"


@pytest.mark.parametrize(
    ("held", "now", "on"),
    [
        ({"read"}, {"read"}, True),
        ({"read", "trade"}, {"read"}, True),
        ({"read"}, {"read", "staff"}, True),
        ({"read"}, {"trade"}, False),
        ({"read", "staff"}, {"read"}, False),
        ({"staff"}, {"staff"}, True),
        ({"read"}, None, False),
    ],
)
def test_what_a_lost_scope_ends(held: set[str], now: set[str] | None, on: bool) -> None:
    browser = Browser()
    socket = Socket({}, browser.receive, browser.send, Caller(1, frozenset(held), "key:1"))
    assert socket.may_go_on(None if now is None else Caller(1, frozenset(now), "key:1")) is on
    assert now is None or not socket.may_go_on(Caller(2, frozenset(now), "key:1")), "another account's now"
