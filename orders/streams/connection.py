"""One client's WebSocket: what it is sent, how it is woken, when it ends."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from accounts.auth import Caller
from accounts.models import Scope as Right
from orders.asgi_types import Message, Receive, Scope, Send

DONE, RESTART, BUSY, UNAUTHENTICATED, NOT_FOUND, TOO_SLOW, TOO_MANY = 1000, 1012, 1013, 4401, 4404, 4408, 4429
MAX_INBOX = 64
SEND_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
MAX_FRAMES = 100
MAX_RECEIVED_BYTES = 256 * 1024
COUNTED_S = 10.0
"""So many frames and bytes are taken in this time from a client, which has nothing to say."""

Published = tuple[str, int, str]
"""(order id or pair, seq, WebSocket text)"""


class Closed(Exception):
    """The socket is closed, or has to be with this code."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False, slots=True)
class Socket:
    scope: Scope
    receive: Receive
    send_: Send
    caller: Caller
    inbox: deque[Published] = field(default_factory=deque)
    room: int = MAX_INBOX
    """How many the inbox holds."""
    overflowed: bool = False
    gone: bool = False
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    serving: asyncio.Timeout | None = None
    """Around all that is done for it, while that lasts."""
    ended: int | None = None
    """The code it was ended with from elsewhere."""

    def offer(self, published: Sequence[Published]) -> None:
        """What was published to the group; what does not fit is read from the database later."""
        for entry in published:
            if len(self.inbox) < self.room:
                self.inbox.append(entry)
            else:
                self.overflowed = True
        self.awake.set()

    def end(self, code: int) -> None:
        """Interrupts whatever is being done for the socket, a send to a slow client too. Call it from the loop."""
        if self.serving is not None and self.ended is None:
            self.ended = code
            self.serving.reschedule(0)

    def may_go_on(self, now: Caller | None) -> bool:
        """Whether its credential, as it stands now, still opens what it has opened."""
        if now is None or now.account_id != self.caller.account_id or not now.may(Right.READ):
            return False
        return now.is_staff or not self.caller.is_staff

    async def send(self, text: str) -> None:
        if self.gone:
            raise Closed
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.send_({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise Closed(TOO_SLOW) from None
        except Exception:  # The server's way of saying that the client has left.
            raise Closed from None

    async def wait(self, seconds: float) -> None:
        """Until something is published, the client is gone or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.awake.wait()
        self.awake.clear()
        if self.gone:
            raise Closed

    async def close(self, code: int) -> None:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.send_({"type": "websocket.close", "code": code})
        self.gone = True
        self.awake.set()

    async def read(self) -> None:
        """Reads what the client sends, which says nothing to us, until it leaves or has sent too much."""
        frames, received, since = 0, 0, time.monotonic()
        with suppress(Exception):
            while (message := await self.receive())["type"] != "websocket.disconnect":
                if time.monotonic() - since > COUNTED_S:
                    frames, received, since = 0, 0, time.monotonic()
                frames, received = frames + 1, received + size_of(message)
                if frames > MAX_FRAMES or received > MAX_RECEIVED_BYTES:
                    return self.end(TOO_MANY)
        self.gone = True
        self.awake.set()


def size_of(message: Message) -> int:
    return len(message.get("bytes") or message.get("text") or "")
