"""The pure parts of webhooks: signatures, addresses, pace, and what a clock that was set back changes."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from orders.errors import ApiError
from webhooks import signing
from webhooks.endpoint_in import checked_url
from webhooks.guard import Guard, meant
from webhooks.pace import FAILURES_TO_REST, Health, wait_s
from webhooks.post import seconds
from webhooks.store import MISSED_S, Store
from webhooks.types import DEFAULT, TYPES, message_id, unknown

ID = "01a21a8b-3da5-75f7-a05f-b3c92f31a9e3"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_the_scheme_s_library_accepts_either_secret_and_no_other() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    body = '{"type":"order.confirmed","data":{"to":"€"}}'.encode()
    headers = signing.headers(f"{ID}.5", int(time.time()), body, [first, second])
    for secret in (first, second):
        assert Webhook(secret).verify(body, headers)["type"] == "order.confirmed"
    for secret, sent in ((signing.new_secret(), body), (first, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(sent, headers, json_parse=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "168.63.129.16", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused(address: str) -> None:
    assert not Guard([], public=True).lets(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_public_addresses_are_reached_by_https_only(address: str) -> None:
    assert Guard([], public=True).lets(address) and not Guard(["10.0.0.0/8"], public=False).lets(address)


def test_networks_that_are_allowed_are_reached() -> None:
    guard = Guard(["10.1.2.0/24", "fd00::/64"], public=False)
    assert guard.lets("10.1.2.3") and guard.lets("::ffff:10.1.2.3") and guard.lets("fd00::5")
    assert not guard.lets("10.1.3.3")
    assert str(meant("64:ff9b::a00:1")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("url", "allowed", "passes"),
    [
        ("https://10.0.0.1/x", [], False),
        ("https://[::ffff:169.254.169.254]/x", [], False),
        ("https://[fe80::1%25eth0]/x", [], False),
        ("https://1.1.1.1/x", [], True),
        ("https://example.com/x", [], True),
        ("http://10.0.0.1/x", ["127.0.0.0/8"], False),
        ("http://1.1.1.1/x", ["127.0.0.0/8"], False),
        ("http://127.0.0.1:8399/x", ["127.0.0.0/8"], True),
        ("http://relay.internal/x", ["127.0.0.0/8"], True),
    ],
)
def test_an_address_that_is_never_reached_is_refused_at_once(url: str, allowed: list[str], passes: bool) -> None:
    if passes:
        assert checked_url(url, allowed) == url
        return
    with pytest.raises(ApiError) as refused:
        checked_url(url, allowed)
    assert "is not reached" in refused.value.details["url"][0]


def test_waits_grow_with_jitter_up_to_four_hours() -> None:
    random = Random(1)
    waits = [[wait_s(attempt, 5, random) for _ in range(200)] for attempt in range(1, 40)]
    for attempt, found in enumerate(waits):
        longest = min(4 * 3600, 5 * 4**attempt)
        assert longest / 2 <= min(found) < 0.6 * longest and 0.9 * longest < max(found) <= longest
    assert wait_s(1, 5, random, asked_s=60) == 60 and wait_s(1, 5, random, asked_s=10**6) == 3600
    day = 0.0
    attempts = 0
    while day < 86_400:
        attempts += 1
        day += wait_s(attempts, 5, random)
    assert 9 <= attempts <= 20


def test_who_does_not_answer_is_given_less_and_then_asked_rarely() -> None:
    health = Health(most=8)
    for _ in range(3):
        health.delivered()
    assert health.free(0, 0) == 8 and health.free(8, 0) == 0
    health.failed(0, answered=True)
    assert health.free(0, 0) == 8, "an error costs no connection's time"
    health.failed(0, answered=False)
    assert health.free(0, 0) == 4
    for _ in range(FAILURES_TO_REST - 2):
        health.failed(0, answered=False)
    assert health.failing and health.free(0, 0.5) == 0 and health.free(0, 1) == 1 and health.free(1, 1) == 0
    for n in range(20):
        health.failed(100 * n, answered=False)
        assert health.free(0, 100 * n + 61) == 1, "once a minute at the least"
    health.delivered()
    assert health.free(0, 0) > 0 and not health.failing


@pytest.mark.parametrize(
    ("known", "persisted", "since"),
    [
        (None, None, datetime.min.replace(tzinfo=UTC)),
        (NOON - timedelta(seconds=2), None, NOON - timedelta(seconds=2)),
        (NOON + timedelta(seconds=5), None, NOON),
        (NOON + timedelta(hours=1), None, NOON - timedelta(seconds=MISSED_S)),
        (None, NOON - timedelta(days=1), NOON - timedelta(days=1, seconds=MISSED_S)),
        (None, NOON + timedelta(hours=1), NOON - timedelta(seconds=MISSED_S)),
    ],
)
def test_a_clock_that_was_set_back_makes_it_look_further(known: Any, persisted: Any, since: datetime) -> None:
    class Rows(Store):
        async def _row(self, statement: str, parameters: Any = None) -> Any:
            return persisted and (persisted,)

    store = Rows(None)
    store._until = known
    assert asyncio.run(store._known_until(NOON)) == since


def test_types_and_ids() -> None:
    assert set(DEFAULT) <= set(TYPES) and "order.routing" not in DEFAULT and "alert.dead_letter" in DEFAULT
    assert max(map(len, TYPES)) <= 40 and unknown(["order.failed", "order.done"]) == ["order.done"]
    assert message_id(ID, 5, "order.failed") == f"{ID}.5"
    assert message_id(ID, 5, "alert.dead_letter") == f"{ID}.5.dead_letter", "another message than the order's own"
    assert [seconds({"Retry-After": said}) for said in ("30", "", "soon", "-1", "²")] == [30, None, None, None, None]
