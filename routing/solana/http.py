"""HTTP of coroutines with nodes and servers: bounded in time and size, TLS verified, no redirect followed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from routing.http import MAX_BYTES, NoAnswer, TimedOut, host_of

STALE = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
"""A kept connection that the server has closed meanwhile is noticed by using it. Asking again is harmless: what is asked is read,
or is a transaction that lands once."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def number(text: str | None) -> float | None:
    """Of a header, such as `Retry-After` in seconds; None for what is none."""
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and abs(value) < 1e12 else None


class HttpClient:
    """Kept connections of one event loop at a time."""

    def __init__(self, *, headers: Mapping[str, str] | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._headers, self._max_bytes = headers or {}, max_bytes
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(
        self,
        url: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Answer:
        """GET, or POST of JSON where there is a body. Raises `NoAnswer`; its text names the host alone."""
        try:
            try:
                return await self._ask(url, body, query, timeout_s)
            except STALE:
                return await self._ask(url, body, query, timeout_s)
        except TimeoutError:
            raise TimedOut(f"{host_of(url)}: no answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # An address that the client refuses is the text of its error, key and all.
            no_address = isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | ValueError)
            said = "no address of a server" if no_address else str(error)
            raise NoAnswer(f"{host_of(url)}: {said or type(error).__name__}") from None

    async def close(self) -> None:
        session, self._session, self._loop = self._session, None, None
        if session is not None:
            await session.close()

    async def _ask(self, url: str, body: bytes | None, query: Mapping[str, str] | None, timeout_s: float) -> Answer:
        session = self._of_this_loop()
        headers = {} if body is None else {"Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        async with (
            asyncio.timeout(timeout_s),
            session.request(method, url, data=body, params=query, headers=headers, allow_redirects=False) as response,
        ):
            parts, size = list[bytes](), 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > self._max_bytes:
                    raise NoAnswer(f"{host_of(url)}: an answer of more than {self._max_bytes} bytes")
            return Answer(
                response.status, {name.lower(): text for name, text in response.headers.items()}, b"".join(parts)
            )

    def _of_this_loop(self) -> aiohttp.ClientSession:
        """Connections belong to the loop that made them."""
        loop = asyncio.get_running_loop()
        if self._session is None or loop is not self._loop:
            if self._session is not None and self._session.connector is not None:
                self._session.connector.close()
                self._session.detach()
            self._loop = loop
            connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector, headers=dict(self._headers))
        return self._session
