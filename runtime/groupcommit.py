"""Group commit: what callers hand in within a few milliseconds is written as one statement.

Nobody commits alone: a commit costs the same for one order as for two hundred, so the first item opens a window,
what arrives until it closes (or until the batch is full) is written together, and all callers wake at once.
The writer runs in the group's own thread, because a database commit would otherwise stop the event loop.
"""

import asyncio
import math
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from runtime import metrics

Item = TypeVar("Item")
Result = TypeVar("Result")
Entry = tuple[Item, asyncio.Future[Result], float]
"""An item, its caller's future, and until when that waits, by the loop's clock."""

PATROL_S = 0.1
"""Between two looks for callers whose time is up."""


class GroupFull(Exception):
    """More callers are waiting than the group may hold."""


class GroupLate(Exception):
    """The item was not written when its caller's time was up. It may yet be if its batch was begun."""


class GroupCommit(Generic[Item, Result]):
    """Collects items on one event loop and writes them in batches, in the order they were submitted.

    `write` gets at most `most` items and returns one result an item, in order; it runs in a thread of the group's own,
    never twice at once. What it raises is raised to every caller of that batch. `submit` raises `GroupFull` at once when
    `capacity` items wait already, so that memory stays bounded while the database is away. A caller whose
    time is up gets `GroupLate`, a tenth of a second late at most: one timer looks after all, a timeout each would cost more
    than an order.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Sequence[Result]],
        *,
        name: str,
        window_ms: float,
        most: int,
        capacity: int,
    ) -> None:
        self._write = write
        self._name = name
        self._window_s = window_ms / 1000
        self._most = most
        self._capacity = capacity
        self._patrol: asyncio.TimerHandle | None = None
        self._waiting: list[Entry[Item, Result]] = []
        self._writing: list[Entry[Item, Result]] = []
        self._withdrawn: weakref.WeakSet[asyncio.Future[Result]] = weakref.WeakSet()
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._task: asyncio.Task[None] | None = None
        self._size = metrics.GROUP_SIZE.labels(name)
        self._seconds = metrics.GROUP_SECONDS.labels(name)
        self.writes = 0
        self.written = 0

    def __len__(self) -> int:
        """Items that wait for the next batch."""
        return len(self._waiting)

    def submit(self, item: Item, ends: float = math.inf) -> asyncio.Future[Result]:
        """Hands an item in; the future ends when its batch is written, or at `ends` by the loop's clock.

        Call it from the group's loop.
        """
        if len(self._waiting) >= self._capacity:
            self._waiting = [entry for entry in self._waiting if entry[1] not in self._withdrawn]
            if len(self._waiting) >= self._capacity:
                raise GroupFull(f"{self._name}: {self._capacity} items wait already")
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name=f"groupcommit:{self._name}")
        future: asyncio.Future[Result] = loop.create_future()
        if not self._waiting:
            self._arrived.set()
            self._idle.clear()
        self._waiting.append((item, future, ends))
        if self._patrol is None and ends < math.inf:
            self._patrol = loop.call_later(PATROL_S, self._end_waits)
        if len(self._waiting) >= self._most:
            self._full.set()
        return future

    def withdraw(self, future: asyncio.Future[Result]) -> None:
        """Takes an item back, unless its batch is being written already. A caller that only stops waiting leaves it in."""
        if future.cancel() or future.cancelled():
            self._withdrawn.add(future)

    def _end_waits(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for _, future, ends in (*self._writing, *self._waiting):
            if ends > now:
                continue
            if not future.done():
                future.set_exception(GroupLate(f"{self._name}: not written in time"))
            self._withdrawn.add(future)  # Means nothing to a batch that was begun.
        self._patrol = loop.call_later(PATROL_S, self._end_waits) if self._waiting or self._writing else None

    async def drain(self) -> None:
        """Waits until nothing that was handed in is unwritten, whether its caller still waits or not."""
        await self._idle.wait()

    async def close(self) -> None:
        """Writes what waits, then ends the group's task and thread."""
        await self.drain()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if len(self._waiting) < self._most:
                self._full.clear()
                try:
                    async with asyncio.timeout(self._window_s):
                        await self._full.wait()
                except TimeoutError:
                    pass
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not self._waiting:
                self._arrived.clear()
            batch = [entry for entry in taken if entry[1] not in self._withdrawn]
            if batch:
                self._writing = batch
                await self._write_batch(batch)
                self._writing = []
            if not self._waiting:
                self._idle.set()

    async def _write_batch(self, batch: list[Entry[Item, Result]]) -> None:
        items = [item for item, _, _ in batch]
        self.writes += 1
        self.written += len(batch)
        self._size.observe(len(batch))
        began = time.perf_counter()
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._write, items)
            if len(results) != len(batch):
                raise RuntimeError(f"{self._name}: {len(results)} results for {len(batch)} items")
            self._seconds.observe(time.perf_counter() - began)
        except Exception as error:
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future, _), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
