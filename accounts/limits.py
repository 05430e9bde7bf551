"""How many requests an account and an address may make: token buckets in Redis, one atomic script for all that ask at a moment.

While Redis is away everybody is let through: no order waits for Redis.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts.rates import Rate
from runtime.addresses import client_network
from runtime.groupcommit import GroupCommit

log = logging.getLogger(__name__)

SCRIPT = (Path(__file__).parent / "lua" / "take.lua").read_text()
TIMEOUT_S = 0.2
PAUSE_S = 1.0
"""After a failure nobody asks for this long, so that a dead Redis costs requests next to nothing."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants to take: `cost` from every one of its buckets (key and rate)."""

    buckets: tuple[tuple[str, Rate], ...]
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """Of the tightest of the buckets; durations in whole seconds, rounded up."""

    through: bool
    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of draft-ietf-httpapi-ratelimit-headers-07 and before, which clients read most widely."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


class Limiter:
    """The limits of a process. `account` or `address` None: no such limit."""

    def __init__(
        self,
        url: str,
        *,
        account: Rate | None,
        address: Rate | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._address = address
        self._now = now
        self._paused_until = 0.0
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._take = self._redis.register_script(SCRIPT)
        self._group: GroupCommit[Ask, Decision | None] | None = None

    @property
    def on(self) -> bool:
        return self._account is not None or self._address is not None

    def ask(self, account_id: int | None, address: str | None, cost: int = 1, *, probe: bool = False) -> Ask | None:
        """None: nothing limits it.

        Probes of an address have a bucket of their own: a balancer's probes must not fail because it passes clients'
        requests on from the same address.
        """
        buckets = []
        if self._account is not None and account_id is not None:
            buckets.append((f"rate:account:{account_id}", self._account))
        if self._address is not None and address:
            kind = "probes" if probe else "address"
            buckets.append((f"rate:{kind}:{client_network(address) or address}", self._address))
        return Ask(tuple(buckets), cost) if buckets else None

    async def take(self, ask: Ask) -> Decision | None:
        """From the event loop of the web process; None while Redis is away."""
        if self._group is None:
            self._group = GroupCommit(self.decide, name="limits", window_ms=0.5, max_batch=100, capacity=50_000)
        return await self._group.submit(ask)

    def decide(self, asks: Sequence[Ask]) -> Sequence[Decision | None]:
        """Blocking; one decision an ask, None while Redis is away."""
        if self._now() < self._paused_until:
            return [None] * len(asks)
        keys = [key for ask in asks for key, _ in ask.buckets]
        rates: list[Any] = [n for ask in asks for _, r in ask.buckets for n in (r.period_s * 1_000_000, r.limit)]
        requests = [n for ask in asks for n in (ask.cost, len(ask.buckets))]
        try:
            answers: Any = self._take(keys=keys, args=rates + requests)
        except redis.RedisError as error:
            self._paused_until = self._now() + PAUSE_S
            log.warning("rate limits are off for a moment: %s", error)
            return [None] * len(asks)
        return [
            Decision(bool(through), limit, remaining, seconds(full_us), max(1, seconds(wait_us)))
            for through, limit, remaining, full_us, wait_us in answers
        ]

    async def close(self) -> None:
        if self._group is not None:
            await self._group.close()


def seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)


@cache
def limiter() -> Limiter:
    """The process's one."""
    return Limiter(settings.REDIS_URL, account=settings.RATE_LIMIT_ACCOUNT, address=settings.RATE_LIMIT_ADDRESS)
