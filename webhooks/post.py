"""One request to an endpoint: bounded in time and size, to addresses that may be reached, without following anything."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from webhooks.guard import AddressRefused, Guard

MAX_ANSWER = 1024
"""Bytes of an answer that are read; then the connection is closed."""
MAX_SAID = 300
CONNECT_S = 5.0
LOOK_UP_THREADS = 64
"""A name server that does not answer keeps one for many seconds, and must not keep them all."""
NAMES_KEPT_S = 10
AGENT = "orderengine-webhooks"


class Answer(NamedTuple):
    status: int | None
    said: str
    """The beginning of the answer, or why there was none."""
    took_ms: int
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Names(AbstractResolver):
    """getaddrinfo in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Poster:
    """Made and closed on one event loop. Plain HTTP goes to `allowed` networks only: elsewhere anybody could read along."""

    def __init__(self, *, allowed: Sequence[str], timeout_s: float, names: AbstractResolver | None = None) -> None:
        self._names = names or Names()
        self._sessions = {
            scheme: self._session(Guard(allowed, public=scheme == "https"), timeout_s) for scheme in ("https", "http")
        }

    def _session(self, guard: Guard, timeout_s: float) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, resolver=self._names, socket_factory=guard.socket, ttl_dns_cache=NAMES_KEPT_S, keepalive_timeout=15
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": AGENT, "Content-Type": "application/json"},
        )

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        await self._names.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Never raises; whatever goes wrong is in the answer."""
        began = time.monotonic()

        def answer(status: int | None, said: str, retry_after_s: float | None = None) -> Answer:
            printable = "".join(each if each.isprintable() else " " for each in said)
            return Answer(status, printable[:MAX_SAID], round((time.monotonic() - began) * 1000), retry_after_s)

        session = self._sessions["https" if url[:6].lower() == "https:" else "http"]
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                said = await response.content.read(MAX_ANSWER)
                if not response.content.at_eof():
                    response.close()
                return answer(response.status, said.decode(errors="replace"), seconds(response.headers))
        except TimeoutError:
            return answer(None, "no answer in time")
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, AddressRefused) or str(AddressRefused.__doc__) in str(error.os_error)
            return answer(None, str(AddressRefused.__doc__) if refused else f"not connected: {type(error).__name__}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return answer(None, f"{type(error).__name__}: {error}")


def seconds(headers: Mapping[str, str]) -> float | None:
    """Of `Retry-After`, where it says seconds (RFC 9110 section 10.2.3)."""
    said = headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() and len(said) < 8 else None
