"""What clients of orders and of plans have in common: they ask until they are answered, and follow a socket to its end."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

GIVE_UP_S = 150.0


@dataclass(slots=True)
class Stream:
    """What one client got of one order or plan, as it came: (seq, status, at, data).

    `ends`: the statuses after which nothing comes.
    """

    of: str
    ends: Collection[str]
    events: list[tuple[int, str, str, Any]] = field(default_factory=list)
    sockets: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return self.events[-1][0] if self.events else 0

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1][1] in self.ends

    def take(self, event: dict[str, Any]) -> None:
        if event["seq"] != self.seq + 1:
            self.faults.append(f"{event['seq']} came after {self.seq}")
        self.events.append((event["seq"], event["status"], event["at"], event["data"]))


async def ask_until_taken(
    post: Callable[[], Awaitable[str | None]], rng: random.Random, *, closed: Callable[[], bool] = lambda: False
) -> list[str]:
    """The ids that were answered, several where an impatient client asks several times at once; none when it has given up."""
    copies = 3 if rng.random() < 0.1 else 1
    ends = time.monotonic() + GIVE_UP_S
    while time.monotonic() < ends and not closed():
        answers = await asyncio.gather(*(post() for _ in range(copies)))
        if taken := [answer for answer in answers if answer]:
            return taken
        await asyncio.sleep(rng.uniform(0.3, 1.0))
    return []


async def follow(
    stream: Stream, url: Callable[[], str], headers: dict[str, str], rng: random.Random, *, flaky: float = 0.2
) -> None:
    """Resumes after what it has until the stream has ended. `flaky` is the part of sockets that are dropped in between."""
    while not stream.ended:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError, ValueError):
            address = f"{url()}?after={stream.seq}"
            async with connect(address, additional_headers=headers, open_timeout=5, close_timeout=1) as socket:
                stream.sockets += 1
                await _read(socket, stream, rng.uniform(0, 3) if rng.random() < flaky else 60.0)
        if not stream.ended:
            await asyncio.sleep(rng.uniform(0.05, 0.4))


async def _read(socket: ClientConnection, stream: Stream, leaves_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(leaves_s):
            async for text in socket:
                message = json.loads(text)
                for event in message["events"] if message["type"] == "snapshot" else [message]:
                    stream.take(event)
                if stream.ended:
                    return
