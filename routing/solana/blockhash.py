"""The block hash that transactions are built on, kept for a moment so that not every order asks for one."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from solders.hash import Hash

from routing.solana.nodes import At, Nodes

COMMITMENT = "confirmed"
"""Of the block hash and of the simulation: a node that simulates at another one may not know the hash."""
MAX_AGE_S = 1.0
"""Far from the end of its validity on every cluster; the node is asked once a second whatever the load is."""
FIRST_BLOCK_S = 0.4
"""Of a block, until two answers have shown how long they take."""


class _Latest(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class Blockhash:
    hash: Hash
    last_valid_height: int
    """The last block that takes a transaction with it."""
    valid_until: datetime
    """About, for people."""


class Blockhashes:
    def __init__(self, nodes: Nodes, *, now: Callable[[], float] = time.monotonic) -> None:
        self._nodes, self._now = nodes, now
        self._asked_at = float("-inf")
        self._latest: asyncio.Task[Blockhash] | None = None
        self._seen: tuple[float, int] | None = None
        self._block_s = FIRST_BLOCK_S

    async def latest(self) -> Blockhash:
        """One that is fresh enough; whoever asks meanwhile gets the same. Raises `RpcError`, `NoAnswer`."""
        loop = asyncio.get_running_loop()
        if self._latest is None or self._latest.get_loop() is not loop or self._now() - self._asked_at > MAX_AGE_S:
            self._asked_at, self._latest = self._now(), loop.create_task(self._ask())
        latest = self._latest
        try:
            return await asyncio.shield(latest)
        except BaseException:
            if latest.done() and self._latest is latest:
                self._latest = None
            raise

    def drop(self, blockhash: Hash) -> None:
        """A node does not know it (any more): the next one is asked for."""
        latest = self._latest
        if latest is not None and latest.done() and not latest.cancelled() and latest.exception() is None:
            self._latest = None if latest.result().hash == blockhash else latest

    async def _ask(self) -> Blockhash:
        answer = await self._nodes.read(At[_Latest], "getLatestBlockhash", {"commitment": COMMITMENT})
        found = answer.value
        self._measure(found.last_valid_block_height)
        until = datetime.now(UTC) + timedelta(seconds=150 * self._block_s)
        return Blockhash(Hash.from_string(found.blockhash), found.last_valid_block_height, until)

    def _measure(self, height: int) -> None:
        """How long a block takes, for the estimate that people read; nothing is decided by it."""
        now = self._now()
        if self._seen is not None and height > self._seen[1]:
            each = (now - self._seen[0]) / (height - self._seen[1])
            self._block_s = min(2.0, max(0.01, each))
        self._seen = now, height
