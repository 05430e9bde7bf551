"""WebSocket subscriptions: signatures, accounts, programs, logs and slots (https://solana.com/docs/rpc/websocket)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from localnet.accounts_api import matches
from localnet.chain import Chain
from localnet.node import Config, Node, RpcError, option, pubkey
from localnet.store import Landed
from localnet.transactions_api import confirmation

KINDS = ("signature", "account", "program", "logs", "slot")
MAX_SUBSCRIPTIONS, MAX_UNSENT = 10_000, 10_000
"""Of one socket. A client that reads too slowly is closed."""


@dataclass(eq=False)
class Socket:
    unsent: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(MAX_UNSENT))
    subscriptions: dict[int, "Subscription"] = field(default_factory=dict)

    def send(self, message: dict[str, Any]) -> None:
        try:
            self.unsent.put_nowait(msgspec.json.encode(message).decode())
        except asyncio.QueueFull:
            while not self.unsent.empty():
                self.unsent.get_nowait()
            self.unsent.put_nowait(None)


@dataclass(frozen=True, eq=False)
class Subscription:
    number: int
    socket: Socket
    kind: str
    what: Any
    config: Config

    def notify(self, result: Any) -> None:
        parameters = {"result": result, "subscription": self.number}
        self.socket.send({"jsonrpc": "2.0", "method": f"{self.kind}Notification", "params": parameters})


class Subscriptions:
    """All sockets of the process; told of every block by the chain."""

    def __init__(self, chain: Chain, node: Node) -> None:
        self._chain, self._node = chain, node
        self._numbers = 0
        self._open: dict[str, dict[int, Subscription]] = {kind: {} for kind in KINDS}
        chain.watchers.append(self._on_block)

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    async def serve(self, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """One ASGI WebSocket, from connect to its end."""
        await receive()
        await send({"type": "websocket.accept"})
        socket = Socket()
        sending = asyncio.create_task(self._send(socket, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                socket.send(self._answer(socket, message.get("text") or (message.get("bytes") or b"").decode()))
        finally:
            sending.cancel()
            for subscription in socket.subscriptions.values():
                self._open[subscription.kind].pop(subscription.number, None)

    async def _send(self, socket: Socket, send: Callable[[Any], Awaitable[None]]) -> None:
        while (text := await socket.unsent.get()) is not None:
            await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": 1008})

    def _answer(self, socket: Socket, text: str) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(text)
            method, params = request["method"], request.get("params") or []
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}
        answer = {"jsonrpc": "2.0", "id": request.get("id")}
        kind = str(method).removesuffix("Unsubscribe").removesuffix("Subscribe")
        if kind not in KINDS or method not in (f"{kind}Subscribe", f"{kind}Unsubscribe"):
            return answer | {"error": {"code": -32601, "message": "Method not found"}}
        try:
            if method.endswith("Unsubscribe"):
                return answer | {"result": self._end(socket, params[0])}
            return answer | {"result": self._begin(socket, kind, params)}
        except (RpcError, IndexError, KeyError, TypeError, ValueError) as error:
            return answer | {"error": {"code": -32602, "message": f"Invalid params: {error}"}}

    def _begin(self, socket: Socket, kind: str, params: list[Any]) -> int:
        if len(socket.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ValueError("too many subscriptions")
        what = params[0] if kind != "slot" else None
        if kind in ("account", "program"):
            pubkey(what)
        self._numbers += 1
        made = Subscription(self._numbers, socket, kind, what, params[1] if len(params) > 1 else None)
        socket.subscriptions[made.number] = self._open[kind][made.number] = made
        if kind == "signature":
            # After the answer with its number, which is put into the queue first.
            asyncio.get_running_loop().call_soon(self._check, made)
        return made.number

    def _end(self, socket: Socket, number: int) -> bool:
        found = socket.subscriptions.pop(number, None)
        return found is not None and self._open[found.kind].pop(number, None) is not None

    def _on_block(self, changed: set[Pubkey], landed: list[Landed]) -> None:
        for subscription in list(self._open["signature"].values()):
            self._check(subscription)
        processed = {"commitment": "processed"}
        for each in self._open["account"].values():
            if pubkey(each.what) in changed:
                account = self._node.account(each.what, each.config)
                each.notify(self._node.wrap(account, processed))
        if self._open["program"]:
            self._tell_programs(changed)
        for each in self._open["logs"].values():
            self._tell_logs(each, landed)
        for each in self._open["slot"].values():
            each.notify({"slot": self._chain.slot, "parent": self._chain.slot - 1, "root": self._node.slot(None)})

    def _check(self, subscription: Subscription) -> None:
        """One notification at the commitment asked for; the subscription ends with it."""
        seen = self._chain.seen.get(subscription.what)
        levels = ("processed", "confirmed", "finalized")
        wanted = option(subscription.config, "commitment") or "finalized"
        if seen is None or levels.index(confirmation(self._node, seen.height)) < levels.index(wanted):
            return
        subscription.notify(self._node.wrap({"err": seen.err}, subscription.config))
        self._end(subscription.socket, subscription.number)

    def _tell_programs(self, changed: set[Pubkey]) -> None:
        accounts = [(address, account) for address in changed if (account := self._chain.get(address))]
        for each in self._open["program"].values():
            filters = option(each.config, "filters") or []
            for address, account in accounts:
                if str(account.owner) == each.what and all(matches(bytes(account.data), one) for one in filters):
                    told = self._node.account(str(address), each.config, account)
                    value = {"pubkey": str(address), "account": told}
                    each.notify(self._node.wrap(value, {"commitment": "processed"}))

    def _tell_logs(self, each: Subscription, landed: list[Landed]) -> None:
        mentioned = each.what.get("mentions") if isinstance(each.what, dict) else None
        for transaction in landed:
            if mentioned is None or set(mentioned) <= set(transaction.keys):
                value = {
                    "signature": transaction.signature,
                    "err": transaction.err,
                    "logs": transaction.meta["logMessages"],
                }
                each.notify(self._node.wrap(value, {"commitment": "processed"}))
