"""How often a server may be asked: one allowance a host, shared by all processes in Redis, kept to before the server refuses."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from routing.http import host_of
from routing.venue import VenueRateLimited

ALLOW = (Path(__file__).parents[2] / "lua" / "allow.lua").read_text()
TIMEOUT_S, PAUSE_S = 0.2, 1.0
"""Without Redis each process keeps to the allowance by itself, and asks Redis again after the pause."""
MAX_REST_S = 60.0
"""The vendors count by windows of a minute."""


def server_of(url: str) -> str:
    """The name under which a server's allowance is shared: of host and path, without credentials."""
    return host_of(url) + urlsplit(url).path.rstrip("/")


def rest_key(server: str) -> str:
    """There while the server wants to be left alone."""
    return f"venues:{server}:rest"


class Allowance:
    """`per_s` requests a second, 0: any number. A second's worth may come together; half of it is left to who executes."""

    def __init__(self, redis_url: str, host: str, per_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._url, self._host, self._per_s, self._now = redis_url, host, per_s, now
        self._interval_s = 1 / per_s if per_s else 0.0
        self._burst_s = max(0.0, 1 - self._interval_s)
        self._full_at = self._rests_until = self._silent_until = float("-inf")
        self._redis: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self, *, urgent: bool, wait_s: float = 0.0) -> None:
        """Waits for its turn, `wait_s` at most. Who is not `urgent` leaves a part to those who are.

        Raises `VenueRateLimited` at once where the turn comes later than that.
        """
        reserve_s = 0.0 if urgent else self._burst_s / 2
        rest_s = self._rests_until - self._now()
        if rest_s > wait_s:
            raise VenueRateLimited(f"{self._host} wants to be left alone for {rest_s:.1f} s")
        if not self._per_s:
            return await asyncio.sleep(max(0.0, rest_s))
        granted, turn_s = await self._ask(reserve_s, wait_s)
        if not granted:
            raise VenueRateLimited(f"{self._host} may be asked again in {turn_s:.1f} s")
        if turn_s > 0:
            await asyncio.sleep(turn_s)

    async def rest(self, seconds: float) -> None:
        """The server has refused, or says that it is about to: nobody asks it for so long."""
        seconds = min(MAX_REST_S, max(0.0, seconds))
        self._rests_until = max(self._rests_until, self._now() + seconds)
        if self._per_s and seconds and self._now() >= self._silent_until:
            try:
                await self._client().set(rest_key(self._host), "1", px=max(1, round(seconds * 1000)))
            except (redis.RedisError, OSError, TimeoutError):
                self._silent_until = self._now() + PAUSE_S

    async def close(self) -> None:
        client, self._redis, self._loop = self._redis, None, None
        if client is not None:
            await client.aclose()

    async def _ask(self, reserve_s: float, wait_s: float) -> tuple[bool, float]:
        if self._now() >= self._silent_until:
            times = [str(round(s * 1e6)) for s in (self._interval_s, self._burst_s, reserve_s, wait_s)]
            keys = f"venues:{self._host}:full_at", rest_key(self._host)
            try:
                granted, wait_us = await self._client().eval(ALLOW, 2, *keys, *times)
                return bool(granted), wait_us / 1e6
            except (redis.RedisError, OSError, TimeoutError):
                self._silent_until = self._now() + PAUSE_S
        return self._own(reserve_s, wait_s)

    def _own(self, reserve_s: float, wait_s: float) -> tuple[bool, float]:
        """As `allow.lua`, for this process alone."""
        now = self._now()
        full_at = max(now, self._full_at)
        turn_s = max(0.0, full_at - now - self._burst_s + reserve_s, self._rests_until - now)
        if turn_s > wait_s:
            return False, turn_s
        self._full_at = max(full_at, now + turn_s - self._burst_s) + self._interval_s
        return True, turn_s

    def _client(self) -> Any:
        """A connection belongs to the loop that made it."""
        loop = asyncio.get_running_loop()
        if self._redis is None or loop is not self._loop:
            self._loop = loop
            self._redis = redis.asyncio.Redis.from_url(
                self._url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
                single_connection_client=False,
            )
        return self._redis
