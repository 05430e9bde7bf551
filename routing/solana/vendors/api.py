"""One server of a vendor: asked within its allowance, answered in bounds, its failures told in the venues' words."""

import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from routing.http import NoAnswer, TimedOut, host_of
from routing.solana.http import Answer, HttpClient, number
from routing.solana.vendors.allowance import Allowance, server_of
from routing.venue import VenueError, VenueRateLimited, VenueTimeout, VenueUnavailable

Shape = TypeVar("Shape")
MAX_BYTES = 1024 * 1024
"""Of an answer: a route with its instructions is some twenty thousand bytes."""
TIMEOUT_S = 2.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
REST_S = 2.0
"""After a refusal that does not say for how long."""


class Api:
    """`url` without a slash at its end; `key` goes into the header that Jupiter reads it from."""

    def __init__(self, url: str, *, per_s: float, redis_url: str, key: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise ValueError(f"{host_of(url)}: a trade API is asked over https, or on this machine")
        self._url = url.rstrip("/")
        self._http = HttpClient(headers={"x-api-key": key} if key else {}, max_bytes=MAX_BYTES)
        self.allowance = Allowance(redis_url, server_of(url), per_s)

    async def ask(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        urgent: bool = True,
        wait_s: float = 0.0,
    ) -> Answer:
        """An answer with status 200 or 400: vendors tell their refusals with either.

        Raises `VenueRateLimited`, `VenueUnavailable`, `VenueTimeout`, `VenueError`.
        """
        await self.allowance.take(urgent=urgent, wait_s=wait_s)
        try:
            answer = await self._http.ask(self._url + path, query=query, body=body, timeout_s=TIMEOUT_S)
        except TimedOut as error:
            raise VenueTimeout(str(error)) from error
        except NoAnswer as error:
            raise VenueUnavailable(str(error)) from error
        await self._heed(answer)
        if answer.status == 429:
            raise VenueRateLimited(f"{host_of(self._url)} refuses: too many requests")
        if answer.status >= 500:
            raise VenueUnavailable(f"{host_of(self._url)}: HTTP {answer.status}")
        if answer.status not in (200, 400):
            raise VenueError(f"{host_of(self._url)}: HTTP {answer.status}")
        return answer

    async def close(self) -> None:
        await self._http.close()
        await self.allowance.close()

    async def _heed(self, answer: Answer) -> None:
        """`Retry-After` in seconds; Jupiter's `x-ratelimit-…`, where nothing is left of the window."""
        retry_after = number(answer.headers.get("retry-after"))
        if answer.status in (429, 503):
            return await self.allowance.rest(REST_S if retry_after is None else retry_after)
        left, reset = (number(answer.headers.get(f"x-ratelimit-{name}")) for name in ("remaining", "reset"))
        if left is not None and left <= 0 and reset is not None:
            await self.allowance.rest(reset - time.time())


def decoded(body: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    """Unknown fields are ignored. Raises `VenueError` for what is not of the shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VenueError(f"the venue's answer is not what is documented: {str(error)[:100]}") from None


def units(value: Any) -> int:
    """A positive amount of base units, as text or number. Raises `VenueError`."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and 0 < int(text) < 2**64):
        raise VenueError("the venue's answer has an amount that is none")
    return int(text)
