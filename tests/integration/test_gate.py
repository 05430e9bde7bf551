"""What every request passes before it reaches Django, and who may go without a key there."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from rest_framework.exceptions import APIException
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts import limits as limiting
from accounts import rest
from accounts.auth import DEMO, KeyRing
from accounts.limits import Limiter
from accounts.models import Account
from accounts.rates import Rate
from orders.http.gate import Gate
from orders.ledger.statements import Connection

Answer = tuple[int, dict[str, str], Any]
Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture(autouse=True)
def static_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that a release is built with."""
    monkeypatch.setattr(settings, "STATIC_ROOT", tmp_path)


def gate(address: Rate | None = None) -> Gate:
    limits = Limiter(settings.REDIS_URL, account=None, address=address)
    limits._redis.flushdb()
    return Gate(get_asgi_application(), limits, allowed_hosts=settings.ALLOWED_HOSTS)


async def get(application: Gate, path: str, *headers: tuple[str, str], address: str = "192.0.2.7") -> Answer:
    """Status, headers and body."""
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in asked:
            return message
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "scheme": "http",
        "headers": raw,
        "client": (address, 1),
        "server": ("127.0.0.1", 8000),
    }
    await application(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields, json.loads(body) if body.startswith(b"{") else body


@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8000", "[fd00::1]:8000", "evil.example", "", "[", "a b"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_may_ask_under_any_name(database: Connection, path: str, host: str) -> None:
    status, _, body = await get(gate(), path, ("Host", host))
    assert status == 200 and body["status"] in ("ok", "degraded")


async def test_other_pages_may_not(database: Connection) -> None:
    for path in ("/api/pairs", "/admin/", "/"):
        status, _, _ = await get(gate(), path, ("Host", "evil.example"))
        assert status == 400, path


@pytest.mark.parametrize("path", ["/", "/readyz", "/api/schema", "/api/orders", "/nowhere", "/admin/login/"])
async def test_every_page_is_charged_to_the_address(
    database: Connection, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(limiting, "TIMEOUT_S", 30.0)
    application = gate(Rate(2, 3600))
    host = ("Host", settings.ALLOWED_HOSTS[0])
    first, _, last = [await get(application, path, host) for _ in range(3)]
    other, _, _ = await get(application, path, host, address="192.0.2.8")
    alive, _, _ = await get(application, "/healthz", host)

    assert first[0] != 429 and first[1]["ratelimit-limit"] == "2"
    assert last[0] == 429 and last[2]["error"]["code"] == "RATE_LIMITED" and int(last[1]["retry-after"]) >= 1
    assert other != 429 and alive == 200


async def test_the_addresses_of_an_ipv6_client_share_one_bucket(
    database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "TIMEOUT_S", 30.0)
    application = gate(Rate(2, 3600))
    host = ("Host", settings.ALLOWED_HOSTS[0])
    answers = [await get(application, "/", host, address=f"2001:db8:1:2::{n:x}") for n in range(3)]
    other, _, _ = await get(application, "/", host, address="2001:db8:1:3::1")

    assert [status == 429 for status, _, _ in answers] == [False, False, True]
    assert other != 429


async def test_clients_behind_a_balancer_use_up_no_probes(
    database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not named in FORWARDED_ALLOW_IPS: everything comes from its address."""
    monkeypatch.setattr(limiting, "TIMEOUT_S", 30.0)
    application = gate(Rate(2, 3600))
    host = ("Host", settings.ALLOWED_HOSTS[0])
    clients = [await get(application, "/", host) for _ in range(3)]
    probes = [await get(application, "/readyz", host) for _ in range(3)]

    assert clients[-1][0] == 429
    assert [status for status, _, _ in probes] == [200, 200, 429]


@pytest.mark.parametrize("name", ["Authorization", "Host", "Origin", "Idempotency-Key"])
async def test_a_header_that_may_stand_once_does(name: str) -> None:
    status, _, body = await get(gate(), "/api/pairs", (name, "a"), (name, "b"))
    assert (status, list(body["error"]["details"])) == (400, [name])


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, database: Connection) -> None:
    """REST as in local mode, where the account `demo` needs no key."""
    Account.objects.get_or_create(name=DEMO)
    ring = KeyRing(local_mode=True)
    monkeypatch.setattr(rest, "key_ring", lambda: ring)


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({"host": "127.0.0.1:8000"}, True),
        ({"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"}, True),
        ({"host": "engine.example"}, False),
        ({"host": "127.0.0.1:8000", "origin": "null"}, False),
        ({"host": "127.0.0.1:8000", "origin": "https://127.0.0.1:8000"}, False),
        ({"host": "127.0.0.1:8000", "origin": "http://["}, False),
        ({"host": "127.0.0.1:8000", "origin": "https://evil.example"}, False),
        ({"host": "127.0.0.1:8000", "authorization": ""}, False),
    ],
)
def test_rest_has_the_same_rule_for_requests_without_a_key(local: None, headers: dict[str, str], may: bool) -> None:
    request = APIView().initialize_request(APIRequestFactory().get("/api/orders", headers=headers))
    try:
        found = rest.CallerAuthentication().authenticate(request)
    except APIException:
        found = None
    assert (found is not None) is may
