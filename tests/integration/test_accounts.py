"""Keys from the command line, and the buckets behind the rate limits, against a real Redis."""

import asyncio
import os
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import limits as limiting
from accounts.auth import KeyRing, is_loopback
from accounts.limits import Limiter
from accounts.models import ApiKey
from accounts.rates import Rate


def keys(*arguments: str) -> str:
    out = StringIO()
    call_command("keys", *arguments, stdout=out)
    return out.getvalue().strip()


@pytest.mark.django_db
def test_a_key_is_made_listed_used_and_revoked() -> None:
    secret = keys("create", "acme", "--scopes", "read,trade", "--name", "bot")
    row = ApiKey.objects.get(account__name="acme")
    assert secret.encode() not in bytes(row.hash) and len(secret) >= 43
    now = [0.0]
    ring = KeyRing(local_mode=False, now=lambda: now[0])
    caller = ring._ask(f"Bearer {secret}")
    assert caller and caller.account_id == row.account_id and caller.scopes == {"read", "trade"}
    assert "acme" in (shown := keys("list")) and secret[:10] in shown and secret not in shown
    assert "revoked" in keys("revoke", secret[:10])
    assert ring._ask(f"Bearer {secret}") is None
    assert "revoked" in keys("list", "acme")


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [("create", "a", "--scopes", "all"), ("create", ""), ("revoke", "oe_nothing")])
def test_bad_arguments_are_refused_in_one_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        keys(*arguments)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits too long for Redis is let through uncounted, so here nobody gives it up."""
    monkeypatch.setattr(limiting, "TIMEOUT_S", 30.0)


def limiter(**rates: Any) -> Limiter:
    limits = Limiter(os.environ["REDIS_URL"], **({"account": None, "address": None} | rates))
    limits._redis.flushdb()
    return limits


def test_a_bucket_lets_its_limit_through_and_no_more_however_many_ask_at_once(patience: None) -> None:
    limits = limiter(account=Rate(100, 3600))

    async def crowd() -> int:
        ask = limits.ask(7, None)
        assert ask
        decisions = await asyncio.gather(*(limits.take(ask) for _ in range(250)))
        await limits.close()
        return sum(decision.through for decision in decisions if decision)

    assert asyncio.run(crowd()) == 100
    ask = limits.ask(7, None)
    assert ask
    [refused] = limits.decide([ask])
    assert refused and not refused.through and 1 <= refused.retry_after_s <= 37 and refused.remaining == 0
    assert refused.headers["RateLimit-Limit"] == "100"


def test_two_buckets_are_taken_from_together_or_not_at_all(patience: None) -> None:
    limits = limiter(account=Rate(10, 3600), address=Rate(3, 3600))
    both = limits.ask(1, "192.0.2.1")
    account = limits.ask(1, None)
    assert both and account
    assert [d.through for d in limits.decide([both] * 5) if d] == [True] * 3 + [False] * 2
    [left] = limits.decide([account])
    assert left and left.remaining == 6  # Ten, less three with the address, less this one.


def test_a_bucket_fills_again(patience: None) -> None:
    limits = limiter(account=Rate(1000, 1))
    many = limits.ask(1, None, cost=1000)
    one = limits.ask(1, None)
    assert many and one
    [taken] = limits.decide([many])
    assert taken and taken.through
    while not ((decision := limits.decide([one])[0]) and decision.through):
        pass


def test_a_bucket_of_before_redis_clock_was_set_back_holds_nobody_up(patience: None) -> None:
    """Its moment lies a day ahead then; a bucket that is really used up still refuses."""
    limits = limiter(account=Rate(2, 3600))
    one = limits.ask(1, None)
    assert one
    [taken] = limits.decide([one])
    assert taken and taken.through
    [key] = limits._redis.keys("*")
    limits._redis.set(key, int(limits._redis.get(key) or 0) + 86_400_000_000)
    through = [decision.through for _ in range(3) if (decision := limits.decide([one])[0])]
    assert through == [True, True, False]


def test_without_redis_everybody_is_let_through_and_few_ask() -> None:
    now = [0.0]
    limits = Limiter("redis://127.0.0.1:1/0", account=Rate(1, 60), address=None, now=lambda: now[0])
    ask = limits.ask(1, None)
    assert ask
    assert limits.decide([ask, ask]) == [None, None]
    limits._redis.connection_pool.disconnect()
    limits._take = None  # type: ignore[assignment]  # Would fail if it were asked during the pause.
    assert limits.decide([ask]) == [None]


def test_no_limit_asks_nobody() -> None:
    limits = Limiter("redis://127.0.0.1:1/0", account=None, address=None)
    assert not limits.on and limits.ask(1, "192.0.2.1") is None


@pytest.mark.parametrize("text", ["", "5", "0/minute", "5/day", "-1/minute", "x/minute"])
def test_a_rate_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8000", True),
        ("LOCALHOST", True),
        ("[::1]:8000", True),
        ("127.0.0.1.evil.example", False),
        ("evil.example:8000", False),
        ("", False),
    ],
)
def test_only_loopback_names_are_local(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
