"""An engine as it stands on a public address: keys required, limits on, other origins kept out."""

import contextlib
import functools
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync import client as websocket
from websockets.sync.client import ClientConnection

from accounts.models import digest
from tests.engine import Engine

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
DESK = "https://desk.example"
PATIENCE_S = 60
"""For any answer; the five seconds that httpx has by itself are few on a busy machine."""
send = functools.partial(httpx.request, timeout=PATIENCE_S)
connect = functools.partial(websocket.connect, open_timeout=PATIENCE_S)

ISSUE = """
WITH owner AS (INSERT INTO accounts_account (name, created_at) VALUES (%(account)s, now()) RETURNING id)
INSERT INTO accounts_apikey (account_id, name, prefix, hash, scopes, created_at)
SELECT id, '', 'oe_test', %(hash)s, %(scopes)s, now() FROM owner
"""


@pytest.fixture(scope="module")
def public() -> Iterator[Engine]:
    settings = {
        "HOST": "0.0.0.0",
        "ALLOWED_HOSTS": "127.0.0.1",
        "MOCK_LATENCY": "0",
        "EXECUTION_MODE": "mock",  # Its accounts are made without wallets.
        "RATE_LIMIT_ACCOUNT": "120/hour",
        "RATE_LIMIT_ADDRESS": "off",
        "CORS_ALLOWED_ORIGINS": DESK,
        "MAX_SOCKETS_PER_ACCOUNT": "3",
    }
    with Engine(**settings).running() as engine:
        yield engine


def issue(engine: Engine, account: str, scopes: str = "trade,read") -> str:
    """A key of an account of its own, written as `manage.py keys create` writes it, without its start-up."""
    secret = f"oe_{secrets.token_urlsafe(32)}"
    with psycopg.connect(engine.services["databaseUrl"]) as connection:
        connection.execute(ISSUE, {"account": account, "hash": digest(secret), "scopes": scopes.split(",")})
    return secret


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(answer: httpx.Response, code: str) -> dict[str, Any]:
    error = answer.json()["error"]
    assert error["code"] == code, answer.text
    assert error["requestId"] == answer.headers["x-request-id"]
    return dict(error)


def test_nobody_trades_without_a_key(public: Engine) -> None:
    for headers in ({}, bearer("oe_wrong"), {"Authorization": "Basic eDp5"}):
        refused(send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=headers), "UNAUTHENTICATED")
        refused(send("GET", f"{public.url}/api/orders", headers=headers), "UNAUTHENTICATED")
    reader = issue(public, "reader", "read")
    refused(send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=bearer(reader)), "FORBIDDEN")
    assert send("GET", f"{public.url}/api/orders", headers=bearer(reader)).status_code == 200


def test_an_order_of_another_account_does_not_exist(public: Engine) -> None:
    mine, theirs = issue(public, "mine"), issue(public, "theirs")
    answer = send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=bearer(mine))
    order_id = answer.json()["orderId"]
    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/quotes"), ("DELETE", ""), ("PATCH", "")):
        url = f"{public.url}/api/orders/{order_id}{path}"
        content = {"content": b'{"slippageBps":1}'} if method == "PATCH" else {}
        headers = bearer(theirs) | {"Content-Type": "application/json"}
        refused(send(method, url, headers=headers, **content), "NOT_FOUND")
    with connect(f"{public.ws_url}/ws/{order_id}", additional_headers=bearer(theirs)) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd and closed.value.rcvd.code == 4404
    with connect(f"{public.ws_url}/ws/{order_id}", additional_headers=bearer(mine)) as socket:
        assert json.loads(socket.recv(timeout=PATIENCE_S))["orderId"] == order_id


def test_a_key_that_may_only_trade_reads_nothing_through_what_it_changes(public: Engine) -> None:
    trader = bearer(issue(public, "only-trades", "trade"))
    resting = {**ORDER, "type": "limit", "limitPrice": "100000", "allowFarPrice": True}
    order_id = send("POST", f"{public.url}/api/orders/execute", json=resting, headers=trader).json()["orderId"]
    url = f"{public.url}/api/orders/{order_id}"

    refused(send("GET", url, headers=trader), "FORBIDDEN")
    amended = send("PATCH", url, json={"slippageBps": 7}, headers=trader)
    cancelled = [send("DELETE", url, headers=trader) for _ in range(2)]
    assert amended.json() == {"orderId": order_id, "status": "pending", "seq": 2}
    assert [answer.json() for answer in cancelled] == [{"orderId": order_id, "status": "cancelled", "seq": 3}] * 2


def test_a_revoked_key_s_sockets_are_closed_within_five_seconds(public: Engine) -> None:
    key = issue(public, "leaves")
    with contextlib.ExitStack() as stack:
        watching = [
            stack.enter_context(connect(f"{public.ws_url}/ws/orders", additional_headers=bearer(key))) for _ in range(2)
        ]
        for socket in watching:
            assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "snapshot"
        with psycopg.connect(public.services["databaseUrl"]) as connection:
            connection.execute("UPDATE accounts_apikey SET revoked_at = now() WHERE hash = %s", [digest(key)])
        revoked = time.monotonic()
        assert [close_code(socket) for socket in watching] == [4401] * 2
        assert time.monotonic() - revoked < 5


def spent(public: Engine, account: str) -> list[httpx.Response]:
    """The answers to: an order, a batch of 100, an order, a batch, 25 questions, an order."""
    order, batch = f"{public.url}/api/orders/execute", f"{public.url}/api/orders/batch"
    with httpx.Client(headers=bearer(issue(public, account)), timeout=PATIENCE_S) as client:
        answers = [client.post(order, json=ORDER), client.post(batch, json={"orders": [ORDER] * 100})]
        answers += [client.post(order, json=ORDER), client.post(batch, json={"orders": [ORDER] * 100})]
        answers += [client.get(f"{public.url}/api/orders") for _ in range(25)]
        return [*answers, client.post(order, json=ORDER)]


def test_an_account_is_stopped_at_its_limit_with_the_reason(public: Engine) -> None:
    # Whom Redis keeps waiting is let through uncounted: then the next account tries.
    for n in range(10):
        answers = spent(public, f"eager-{n}")
        if all("ratelimit-limit" in answer.headers for answer in answers):
            break
    first, batch, second, too_many, *questions, stopped = answers
    assert first.headers["ratelimit-limit"] == "120" and first.headers["ratelimit-remaining"] == "119"
    assert batch.status_code == 200
    assert int(second.headers["ratelimit-remaining"]) in (18, 19)
    refused(too_many, "RATE_LIMITED")
    late = [answer for answer in questions if answer.status_code != 200]
    assert late and all(answer.status_code == 429 for answer in late)
    assert refused(late[-1], "RATE_LIMITED")["retryable"]
    assert int(late[-1].headers["retry-after"]) >= 1 and late[-1].headers["ratelimit-remaining"] == "0"
    refused(stopped, "RATE_LIMITED")
    assert int(stopped.headers["retry-after"]) >= 1
    calm = send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=bearer(issue(public, "calm")))
    assert calm.status_code == 200


def test_sockets_are_counted(public: Engine) -> None:
    key = issue(public, "watcher")
    with contextlib.ExitStack() as stack:

        def watch() -> ClientConnection:
            return stack.enter_context(connect(f"{public.ws_url}/ws/orders", additional_headers=bearer(key)))

        watching = [watch() for _ in range(3)]
        for socket in watching:
            assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "snapshot"
        assert close_code(watch()) == 4429
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):  # A client has nothing to say; one that does not stop talking is left.
                watching[0].send("hello")
        assert close_code(watching[0]) == 4429
        with contextlib.suppress(ConnectionClosed):
            watching[1].send("x" * 65_537)
        assert close_code(watching[1]) == 1009
        assert json.loads(watch().recv(timeout=PATIENCE_S))["type"] == "snapshot"


def close_code(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=PATIENCE_S)
    return closed.value.rcvd and closed.value.rcvd.code


def test_only_allowed_origins_read_answers(public: Engine) -> None:
    key = issue(public, "page")
    for path in ("/api/orders/execute", "/api/orders"):
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        for origin, allowed in ((DESK, DESK), ("https://evil.example", None)):
            answer = send("OPTIONS", f"{public.url}{path}", headers=asked | {"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed, (path, origin)
            assert "access-control-allow-credentials" not in answer.headers
    for origin, allowed in ((DESK, DESK), ("https://evil.example", None)):
        headers = bearer(key) | {"Origin": origin}
        answer = send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=headers)
        assert answer.status_code == 200 and answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "origin"
        exposed = answer.headers.get("access-control-expose-headers", "")
        listed = send("GET", f"{public.url}/api/orders", headers=headers)
        assert listed.headers.get("access-control-expose-headers", "").replace(" ", "") == exposed.replace(" ", "")
        assert ("Idempotency-Replayed" in exposed) is bool(allowed)


def test_a_foreign_page_cannot_use_a_browser_s_cookie_on_a_socket(public: Engine) -> None:
    with connect(f"{public.ws_url}/ws/orders", origin="https://evil.example") as socket:  # type: ignore[arg-type]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd and closed.value.rcvd.code == 4401


def test_bodies_are_bounded(public: Engine) -> None:
    headers = bearer(issue(public, "bulky")) | {"Content-Type": "application/json"}
    big = b"[" + b" " * (256 * 1024) + b"]"
    for method, path in (("POST", "execute"), ("POST", "batch")):
        answer = send(method, f"{public.url}/api/orders/{path}", content=big, headers=headers)
        refused(answer, "BODY_TOO_LARGE")
    order = send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=headers).json()["orderId"]
    refused(send("PATCH", f"{public.url}/api/orders/{order}", content=big, headers=headers), "BODY_TOO_LARGE")


def test_the_answer_to_a_wrong_method_names_the_right_one(public: Engine) -> None:
    answer = send("TRACE", f"{public.url}/api/orders/execute")
    refused(answer, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_a_host_that_is_not_ours_gets_nothing(public: Engine) -> None:
    answer = send("GET", f"{public.url}/admin/", headers={"Host": "evil.example"})
    assert answer.status_code == 400 and "Traceback" not in answer.text


def test_the_address_of_a_socket_names_no_host_that_is_not_ours(public: Engine) -> None:
    """A cache or a proxy may hand the answer to somebody else."""
    key = issue(public, "hosts")
    for host, named in (
        ("evil.example", "127.0.0.1"),
        ("evil.example:80", "127.0.0.1"),
        ("127.0.0.1:1", "127.0.0.1:1"),
    ):
        headers = bearer(key) | {"Host": host}
        answer = send("POST", f"{public.url}/api/orders/execute", json=ORDER, headers=headers)
        assert answer.status_code == 200 and answer.json()["ws"].startswith(f"ws://{named}"), answer.text


def test_the_admin_locks_out_who_guesses(public: Engine) -> None:
    login = f"{public.url}/admin/login/"
    with httpx.Client(timeout=60) as client:
        for attempt in range(8):
            client.get(login)
            fields = {
                "username": "admin",
                "password": f"guess{attempt}",
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            }
            # A header that only a trusted proxy may send changes nothing, an address or not.
            said = "no address" if attempt % 2 else f"198.51.100.{attempt}"
            answer = client.post(login, data=fields, headers={"X-Forwarded-For": said})
            if answer.status_code == 429:
                break
        assert answer.status_code == 429 and attempt <= 5
        right = fields | {"password": public.credentials["admin"]["password"]}
        assert client.post(login, data=right).status_code == 429


def test_ws_handshakes_beyond_the_rules_are_refused(public: Engine) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(f"{public.ws_url}/nothing") as socket:
        socket.recv(timeout=PATIENCE_S)
    assert send("GET", f"{public.url}/healthz").status_code == 200
