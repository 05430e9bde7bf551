"""The process: one ASGI application for JSON-RPC, subscriptions, the trade APIs and the controls of a test."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from localnet.chain import Chain
from localnet.control import Control, Refused
from localnet.genesis import know_tokens
from localnet.market_maker import MarketMaker
from localnet.rpc import NoAnswer, Rpc
from localnet.subscriptions import Subscriptions
from localnet.trade.jupiter import BadRequest, Jupiter
from localnet.trade.limits import Limits
from localnet.trade.raydium import Raydium

log = logging.getLogger(__name__)
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
MAX_BODY = 1 << 20
NO_ANSWER_S = 60.0
"""How long a client that gets no answer is kept, at most."""
WANDER_EVERY_S = 1.0
ANY_PAGE = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "*",
    "access-control-allow-private-network": "true",
}
"""As test validators answer: an explorer's page may ask the node. The controls it may not reach."""


class Server:
    """`slot_s` between two blocks, 0: blocks come by the control `tick` alone. `wander`: prices move by themselves.

    `nodes`: port → which node answers there, from 0.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        nodes: dict[int, int],
        slot_s: float,
        seed: int,
        wander: bool,
        requests_per_s: float = 0,
    ) -> None:
        self._chain, self._slot_s, self._wander = chain, slot_s, wander
        self._node_of = nodes
        self._rpcs = [Rpc(chain) for _ in set(nodes.values())]
        self._subscriptions = [Subscriptions(chain, rpc.node) for rpc in self._rpcs]
        know_tokens(chain)
        self._market = MarketMaker(chain, seed)
        self._limits = Limits(requests_per_s, len(self._rpcs))
        control = Control(chain, [rpc.node for rpc in self._rpcs], self._market, self._limits)
        raydium, jupiter = Raydium(chain, self._rpcs[0].node), Jupiter(chain, self._rpcs[0].node)
        self._routes: dict[tuple[str, str], Callable[[dict[str, str], Any], Any]] = {
            ("GET", "/raydium/main/auto-fee"): raydium.auto_fee,
            ("GET", "/raydium/compute/swap-base-in"): raydium.quote_in,
            ("GET", "/raydium/compute/swap-base-out"): raydium.quote_out,
            ("POST", "/raydium/transaction/swap-base-in"): raydium.build,
            ("POST", "/raydium/transaction/swap-base-out"): raydium.build,
            ("GET", "/jupiter/swap/v2/build"): jupiter.build,
            ("GET", "/jupiter/price/v3"): jupiter.prices,
            ("GET", "/jupiter/swap/v2/program-id-to-label"): jupiter.labels,
            **{("POST", f"/control/{name}"): act for name, act in control.acts.items()},
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await self._subscriptions[self._which(scope)].serve(receive, send)
            case _:
                await self._http(scope, receive, send)

    def _which(self, scope: Any) -> int:
        return self._node_of[scope["server"][1]]

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._slot_s:
            self._tasks.append(asyncio.create_task(self._blocks()))
            if self._wander:
                self._tasks.append(asyncio.create_task(self._prices()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        self._chain.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _blocks(self) -> None:
        """One every `slot_s`, by the monotonic clock; a disk that takes nothing costs blocks, not the process."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._slot_s, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                self._chain.tick()
            except Exception:
                log.exception("no block was made")

    async def _prices(self) -> None:
        while True:
            await asyncio.sleep(max(WANDER_EVERY_S, self._slot_s))
            self._market.step()

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS" and path == "/":
            return await _respond(send, 200, {}, ANY_PAGE)
        body = await _body(receive)
        if body is None:
            return await _respond(send, 413, {"error": "too large"})
        if method == "POST" and path == "/":
            limit = self._limits.nodes[self._which(scope)]
            if not limit.take():
                error = {"code": 429, "message": "Too many requests"}
                return await _respond(send, 429, {"jsonrpc": "2.0", "error": error, "id": None}, limit.headers)
            return await self._answer_rpc(self._rpcs[self._which(scope)], body, send)
        route = self._routes.get((method, path.rstrip("/")))
        if route is None:
            return await _respond(send, 404, {"error": "not found"})
        headers: dict[str, str] = {}
        if path.startswith("/control/") and not _is_json(scope):
            # Another web page can send anything else without asking the browser's user.
            return await _respond(send, 415, {"error": "send Content-Type: application/json"})
        if api := self._limits.apis.get(path.split("/")[1]):
            allowed, headers = api.take(), api.headers
            if not allowed:
                return await _respond(send, 429, {"error": "Too many requests"}, headers)
        try:
            answer = route(dict(parse_qsl(scope["query_string"].decode())), msgspec.json.decode(body) if body else {})
            await _respond(send, 200, answer, headers)
        except BadRequest as error:
            await _respond(send, 400, error.body, headers)
        except (Refused, msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            await _respond(send, 400, {"error": str(error)}, headers)

    async def _answer_rpc(self, rpc: Rpc, body: bytes, send: Send) -> None:
        try:
            request = msgspec.json.decode(body)
        except msgspec.DecodeError:
            error = {"code": -32700, "message": "Parse error"}
            return await _respond(send, 200, {"jsonrpc": "2.0", "error": error, "id": None})
        try:
            await _respond(send, 200, rpc.answer(request), ANY_PAGE)
        except NoAnswer:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(NO_ANSWER_S)
            await _respond(send, 504, {})


def _is_json(scope: Any) -> bool:
    return any(name == b"content-type" and value.startswith(b"application/json") for name, value in scope["headers"])


async def _body(receive: Receive) -> bytes | None:
    """None: it is larger than any request is."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _respond(send: Send, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
    found = [(b"content-type", b"application/json")]
    found += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": found})
    await send({"type": "http.response.body", "body": msgspec.json.encode(answer)})
