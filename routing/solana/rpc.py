"""JSON-RPC with one node: calls that are made while others are under way go together in one request.

A request costs more than the call in it, on both sides. An idle lane sends at once, so nobody waits for company.
"""

import asyncio
import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from routing.http import NoAnswer, RpcError, host_of
from routing.solana.http import HttpClient, number

READ_TIMEOUT_S, SEND_TIMEOUT_S = 4.0, 2.0
MAX_BATCH = 40
"""Calls of one request: within what nodes and localnet accept, and small enough to be answered in a slot."""
LEAST_REST_S, REST_S, MAX_REST_S = 0.1, 1.0, 10.0
"""After a refusal for too many requests: at least, where the node does not say for how long, and at most."""
TOO_MANY = 429
"""As HTTP's status, and as the code of an error within an answer."""
BUSY_CODES = frozenset({-32005, -32016, -32603})
"""The node is behind, or ill: another one may answer."""


class TooMany(NoAnswer):
    """The node refuses for too many requests."""


class _Fault(msgspec.Struct):
    code: int
    message: str
    data: Any = None


class _Reply(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Fault | None = None


class _Call(msgspec.Struct):
    id: int
    method: str
    params: tuple[Any, ...]
    jsonrpc: str = "2.0"


_decode = msgspec.json.Decoder(_Reply | list[_Reply]).decode
_encode = msgspec.json.Encoder().encode


@dataclass
class _Lane:
    """Requests of one kind; `wide` of them may be under way before calls are gathered."""

    wide: int
    timeout_s: float
    under_way: int = 0
    waiting: "deque[tuple[_Call, asyncio.Future[msgspec.Raw]]]" = field(default_factory=deque)


class Node:
    """One event loop at a time. `per_s`: requests a second that the node allows, 0: any number."""

    def __init__(self, url: str, *, per_s: float = 0.0) -> None:
        self.url = url
        self.name = host_of(url)
        self._per_s = per_s
        self._allowed, self._filled_at = max(1.0, per_s), time.monotonic()
        self._rests_until = float("-inf")
        self._numbers = itertools.count(1)
        self._http = HttpClient()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._lanes: dict[str, _Lane] = {}

    async def call(self, method: str, *params: Any, lane: str = "read") -> msgspec.Raw:
        """The result as JSON. Raises `RpcError`, `NoAnswer`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin(loop)
        answer: asyncio.Future[msgspec.Raw] = loop.create_future()
        self._lanes[lane].waiting.append((_Call(next(self._numbers), method, params), answer))
        self._send(self._lanes[lane])
        return await answer

    def take(self) -> bool:
        """Whether the node's rate allows another call, and it has refused none just now; counts it."""
        now = time.monotonic()
        if now < self._rests_until:
            return False
        if not self._per_s:
            return True
        self._allowed = min(max(1.0, self._per_s), self._allowed + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True

    def _rest(self, seconds: float) -> None:
        self._rests_until = max(self._rests_until, time.monotonic() + min(MAX_REST_S, max(LEAST_REST_S, seconds)))

    async def close(self) -> None:
        for lane in self._lanes.values():
            for _, answer in lane.waiting:
                answer.cancel()
            lane.waiting.clear()
        for request in list(self._requests):
            request.cancel()
        self._loop = None
        await self._http.close()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """What waits belongs to the loop that asked."""
        self._loop = loop
        self._requests = set()
        self._lanes = {"read": _Lane(4, READ_TIMEOUT_S), "send": _Lane(16, SEND_TIMEOUT_S)}

    def _send(self, lane: _Lane) -> None:
        while lane.waiting and lane.under_way < lane.wide:
            batch = [lane.waiting.popleft() for _ in range(min(MAX_BATCH, len(lane.waiting)))]
            lane.under_way += 1
            request = asyncio.create_task(self._request(lane, batch))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request(self, lane: _Lane, batch: "list[tuple[_Call, asyncio.Future[msgspec.Raw]]]") -> None:
        try:
            calls = [call for call, _ in batch]
            body = _encode(calls if len(calls) > 1 else calls[0])
            replies = await self._post(body, lane.timeout_s)
            if any(reply.error is not None and reply.error.code == TOO_MANY for reply in replies):
                self._rest(REST_S)
            found = {reply.id: reply for reply in replies}
            for call, answer in batch:
                _settle(answer, found.get(call.id), replies)
        except Exception as error:
            reason = error if isinstance(error, NoAnswer) else NoAnswer(f"{self.name}: {error or type(error).__name__}")
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(reason)
        finally:
            for _, answer in batch:
                answer.cancel()
            lane.under_way -= 1
            self._send(lane)

    async def _post(self, body: bytes, timeout_s: float) -> list[_Reply]:
        answer = await self._http.ask(self.url, body=body, timeout_s=timeout_s)
        if answer.status == TOO_MANY:
            asked = number(answer.headers.get("retry-after"))
            self._rest(REST_S if asked is None else asked)
            raise TooMany(f"{self.name}: HTTP {answer.status}")
        if answer.status != 200:
            raise NoAnswer(f"{self.name}: HTTP {answer.status}")
        try:
            replies = _decode(answer.body)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"{self.name}: {error}") from None
        return replies if isinstance(replies, list) else [replies]


def _settle(answer: "asyncio.Future[msgspec.Raw]", reply: _Reply | None, replies: list[_Reply]) -> None:
    if answer.done():
        return
    if reply is None:
        # An error about the whole request has no id.
        reply = next((each for each in replies if each.id is None and each.error is not None), None)
    if reply is None:
        answer.set_exception(NoAnswer("the node left the call unanswered"))
    elif reply.error is not None:
        fault = reply.error
        if fault.code == TOO_MANY:
            answer.set_exception(TooMany(fault.message))
        elif fault.code in BUSY_CODES:
            answer.set_exception(NoAnswer(fault.message))
        else:
            answer.set_exception(RpcError(fault.code, fault.message, fault.data))
    else:
        answer.set_result(reply.result)
