"""Several nodes as one: read from a healthy one, send to all, and use none that is of another cluster or lacks history."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from routing.http import NoAnswer, RpcError
from routing.solana.rpc import Node, TooMany

log = logging.getLogger(__name__)
Value = TypeVar("Value")
NO_HISTORY = -32011
"""The error of a node that runs without `--enable-rpc-transaction-history`."""
ANY_SIGNATURE = "1" * 64
"""Sixty-four zero bytes: of no transaction."""
COOL_DOWN_S, MAX_COOL_DOWN_S = 0.5, 15.0
MAX_REFUSALS = 5
"""In a row, of a call by nodes that allow too few: each time the call waits until one may be asked again."""
AGAIN_WAIT_S = 1.5
"""How long a transaction that is sent again waits for its turn at a node."""
MAX_BEHIND_SLOTS = 150
"""A node further behind the best one is not read from: commitments alone differ by 32 slots and more."""
LAG_COUNTS_S = 5.0
"""For so long a slot that a node answered says that it is behind; then it is tried again."""


class NodeRefused(Exception):
    """A node that must not be used: of another cluster, or without transaction history."""


NO_ANSWER = (RpcError, NoAnswer, msgspec.DecodeError)
"""What reading raises: the node's error, no node, or an answer that says something else than was asked."""


class Context(msgspec.Struct):
    slot: int


class At(msgspec.Struct, Generic[Value]):
    """A value as of a slot, as most methods answer."""

    context: Context
    value: Value


@dataclass
class State:
    """What is known of a node."""

    node: Node
    admitted: bool = False
    refused: str | None = None
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    slot: int = 0
    slot_at: float = float("-inf")
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def failed(self, now: float) -> None:
        self.failures += 1
        self.rests_until = now + min(MAX_COOL_DOWN_S, COOL_DOWN_S * 2 ** (self.failures - 1))

    def answered(self) -> None:
        self.failures, self.rests_until = 0, 0.0


class Nodes:
    """`genesis_hash`: of the cluster; None takes any, for tests of a single cluster only."""

    def __init__(self, urls: Sequence[str], *, genesis_hash: str | None, per_s: float = 0.0) -> None:
        if not urls:
            raise ValueError("no node is named: set RPC_URLS")
        self._genesis_hash = genesis_hash
        self.states = [State(Node(url, per_s=per_s)) for url in dict.fromkeys(urls)]
        self._waiting = 0
        """Reads that no node has room for."""

    async def verify(self) -> None:
        """Asks every node who it is. Raises `NodeRefused` for one that must not be used; one that is away is checked later."""
        await asyncio.gather(*(self._admit(state) for state in self.states))
        if refused := [state.refused for state in self.states if state.refused]:
            raise NodeRefused("; ".join(refused))

    async def read(self, type_: Any, method: str, *params: Any) -> Any:
        """The first usable answer of a node, the healthier ones first. Raises `RpcError`, `NoAnswer`."""
        for _ in range(MAX_REFUSALS):
            try:
                return await self._read(type_, method, *params)
            except TooMany as error:
                refused = error
        raise refused

    async def _read(self, type_: Any, method: str, *params: Any) -> Any:
        """Raises `TooMany` where no node answers and one refuses for too many requests: that one is well."""
        last: Exception = NoAnswer("no node may be used")
        left = self._by_health()
        while (state := await self._with_room(left)) is not None:
            try:
                raw = await state.node.call(method, *params)
            except TooMany as error:
                last = error
                continue
            except NoAnswer as error:
                state.failed(time.monotonic())
                last = last if isinstance(last, TooMany) else error
                continue
            state.answered()
            value = msgspec.json.decode(raw, type=type_)
            if isinstance(value, At):
                state.slot, state.slot_at = value.context.slot, time.monotonic()
            return value
        raise last

    async def send(self, transaction: str, *, again: bool = False) -> None:
        """Sends to every node; returns once one has taken it. Raises `NoAnswer`, `RpcError`: none did, it may land still.

        `again`: it was sent before, so it keeps to the nodes' rates; otherwise what is read would have to give way to it.
        What the nodes say is no proof of anything: a refusal may come from a node that has seen the transaction land.
        """
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        sendings = [asyncio.create_task(self._send(state, transaction, options, again)) for state in self.states]
        last: Exception = NoAnswer("no node may be used")
        try:
            for sending in asyncio.as_completed(sendings):
                try:
                    await sending
                    return
                except (RpcError, NoAnswer) as error:
                    last = error
        except asyncio.CancelledError:
            for task in sendings if again else ():
                task.cancel()
            raise
        finally:
            for task in sendings:
                task.add_done_callback(_seen)
        raise last

    async def _send(self, state: State, transaction: str, options: dict[str, Any], again: bool) -> None:
        if not await self._admit(state):
            raise NoAnswer(state.refused or f"{state.node.name} does not answer")
        if again:
            await self._turn(state)
        await state.node.call("sendTransaction", transaction, options, lane="send")

    async def close(self) -> None:
        await asyncio.gather(*(state.node.close() for state in self.states))

    def _by_health(self) -> list[State]:
        """Those at rest and those behind come last: they are better than none."""
        now = time.monotonic()
        return sorted(self.states, key=lambda state: self._ill(state, now))

    def _ill(self, state: State, now: float) -> tuple[bool, bool]:
        best = max(each.slot for each in self.states)
        behind = best - state.slot > MAX_BEHIND_SLOTS and now - state.slot_at < LAG_COUNTS_S
        return state.rests_until > now, behind

    async def _with_room(self, left: list[State]) -> State | None:
        """Takes the next node out of `left` that may be asked. One that is over its rate is passed over while another one is well
        and has room; else the first is waited for. None: none is left.
        """
        waits = False
        try:
            while left:
                if not await self._admit(left[0]):
                    del left[0]
                    continue
                now = time.monotonic()
                well = [state for state in left if state.admitted and not any(self._ill(state, now))]
                if (found := next((state for state in well or left[:1] if state.node.take()), None)) is not None:
                    left.remove(found)
                    return found
                if not waits:
                    waits, self._waiting = True, self._waiting + 1
                await asyncio.sleep(0.02)
            return None
        finally:
            self._waiting -= waits

    async def _turn(self, state: State) -> None:
        """After all that is read, which would else wait behind hundreds of transactions. Raises `NoAnswer` where the node's rate
        has no room for long.
        """
        try:
            async with asyncio.timeout(AGAIN_WAIT_S):
                while self._waiting or not state.node.take():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NoAnswer(f"{state.node.name} allows no more requests") from None

    async def _admit(self, state: State) -> bool:
        """Whether the node may be used; it is asked who it is until it has answered once."""
        if state.admitted or state.refused:
            return state.admitted
        async with state.checking:
            if state.admitted or state.refused:
                return state.admitted
            try:
                state.refused = await self._objection(state.node)
            except (NoAnswer, RpcError, msgspec.DecodeError) as error:
                log.warning("node %s cannot be checked and is not used: %s", state.node.name, error)
                state.failed(time.monotonic())
                return False
            state.admitted = state.refused is None
            if state.refused:
                log.error("%s", state.refused)
            return state.admitted

    async def _objection(self, node: Node) -> str | None:
        """Why the node must not be used, in one line."""
        found = msgspec.json.decode(await node.call("getGenesisHash"), type=str)
        if self._genesis_hash is not None and found != self._genesis_hash:
            return (
                f"node {node.name} is of another cluster: its genesis hash is {found}, wanted is {self._genesis_hash}"
            )
        try:
            await node.call("getSignatureStatuses", [ANY_SIGNATURE], {"searchTransactionHistory": True})
        except RpcError as error:
            if error.code == NO_HISTORY:
                return f"node {node.name} keeps no transaction history: what landed could not be told from what expired"
            raise
        return None


def _seen(task: "asyncio.Task[None]") -> None:
    """Marks the exception as seen, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
