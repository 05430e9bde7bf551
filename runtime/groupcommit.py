"""Group commit: what callers submit while a write is under way is written by one statement.

A commit costs the same for one order as for two hundred. An idle group writes at once what one turn of the loop hands in.
Under load it gathers: after each write the writer rests, the longer the more the last batch held, up to a window from the
next item on and a multiple of the time that it wrote, unless the next batch is full. So batches grow by themselves, and all
callers of a batch wake at once.
The writer runs in the group's own thread, because a database commit would otherwise stop the event loop. The thread takes
the next batch by itself, so a loop that is busy with the callers of the last batch delays no one.
"""

import asyncio
import math
import threading
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

COOL_DOWN = 3.0
"""Times the duration of a write that the writer pauses after it: the slower the writing, the larger the batches."""
MAX_COOL_DOWN_S = 0.05
REST_PER_ITEM_S = 0.001
"""The most that a writer rests after a batch, for each item of it. Below a thousand items a second it so hardly rests at all,
and above it each batch makes the next one larger, until the window and the cool-down are the bounds."""
PATROL_S = 0.1
"""Seconds between two checks for callers whose time is up."""


class WriteQueueFull(Exception):
    """More callers are waiting than the group may hold."""


class WriteTimeout(Exception):
    """The item was not written when its caller's time was up. It may yet be if its batch was begun."""


class GroupCommit(Generic[Item, Result]):
    """Collects items on one event loop and writes them in batches, in the order they were submitted.

    `write` gets at most `max_batch` items and returns one result an item, in order; it runs in a thread of the group's own,
    never twice at once. What it raises is raised to every caller of that batch. `submit` raises `WriteQueueFull` at once when
    `capacity` items wait already, so that memory stays bounded while the database is away. A caller whose
    time is up gets `WriteTimeout`, a tenth of a second late at most: one timer serves all, because a timeout for each would
    cost more than an order. `cool_down`: how many times the duration of a write the writer pauses after it.
    `window_ms`: how long the first item of a batch waits for others under load, and one that nobody waits for always.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Sequence[Result]],
        *,
        name: str,
        window_ms: float,
        max_batch: int,
        capacity: int,
        cool_down: float = COOL_DOWN,
    ) -> None:
        self._write = write
        self._name = name
        self._window_s = window_ms / 1000
        self._max_batch = max_batch
        self._capacity = capacity
        self._cool_down = cool_down
        self._patrol: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        """Guards what the loop and the thread both change: which items wait, since when, and whether the thread is running."""
        self._waiting: list[Entry[Item, Result]] = []
        self._writing: list[Entry[Item, Result]] = []
        self._opened = 0.0
        self._hurries = False
        """Whether a caller waits for one of the items that wait."""
        self._serving = False
        self._rested_at = 0.0
        self._cooled_at = 0.0
        self._due = threading.Event()
        """Set when the next batch has become full, or urgent, and must not wait any longer."""
        self._withdrawn: weakref.WeakSet[asyncio.Future[Result]] = weakref.WeakSet()
        self._unfinished = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._size = metrics.GROUP_SIZE.labels(name)
        self._seconds = metrics.GROUP_SECONDS.labels(name)
        self.writes = 0
        self.written = 0

    def __len__(self) -> int:
        """Items that wait for the next batch."""
        return len(self._waiting)

    def submit(self, item: Item, ends: float = math.inf, *, hurry: bool = True) -> asyncio.Future[Result]:
        """Adds an item; the future ends when its batch is written, or at `ends` by the loop's clock.

        An item without `hurry` waits for others until its window ends: nobody waits for it.
        To be called on the group's loop.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        with self._lock:
            if len(self._waiting) >= self._capacity:
                self._drop_withdrawn()
                if len(self._waiting) >= self._capacity:
                    raise WriteQueueFull(f"{self._name}: {self._capacity} items wait already")
            if not self._waiting:
                self._opened = time.monotonic()
            self._waiting.append((item, future, ends))
            urgent, self._hurries = hurry and not self._hurries, self._hurries or hurry
            if urgent or len(self._waiting) == self._max_batch:
                self._due.set()
            begin, self._serving = not self._serving, True
        self._unfinished += 1
        self._idle.clear()
        if begin:
            # After the present turn of the loop: whoever else is awake hands in what belongs to the same batch.
            loop.call_soon(self._thread.submit, self._serve, loop)
        if self._patrol is None and ends < math.inf:
            self._patrol = loop.call_later(PATROL_S, self._end_waits)
        return future

    def withdraw(self, future: asyncio.Future[Result]) -> None:
        """Removes an item, unless its batch is being written already. An item whose caller only stops waiting stays."""
        if future.cancel() or future.cancelled():
            self._withdrawn.add(future)

    def _drop_withdrawn(self) -> None:
        kept = [entry for entry in self._waiting if entry[1] not in self._withdrawn]
        self._finished(len(self._waiting) - len(kept))
        self._waiting = kept

    def _finished(self, many: int) -> None:
        self._unfinished -= many
        if not self._unfinished:
            self._idle.set()

    def _end_waits(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        with self._lock:
            open_ = [*self._writing, *self._waiting]
        for _, future, ends in open_:
            if ends > now:
                continue
            if not future.done():
                future.set_exception(WriteTimeout(f"{self._name}: not written in time"))
            self._withdrawn.add(future)  # Means nothing to a batch that was begun.
        self._patrol = loop.call_later(PATROL_S, self._end_waits) if open_ else None

    async def drain(self) -> None:
        """Waits until everything that was submitted is written, whether its caller still waits or not."""
        await self._idle.wait()

    async def close(self) -> None:
        """Writes what waits, then ends the group's thread."""
        await self.drain()
        self._thread.shutdown(wait=False)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: batch after batch until nothing waits."""
        while True:
            self._gather()
            with self._lock:
                taken, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                self._hurries = bool(self._waiting)
                self._writing = taken
                if not taken:
                    self._serving, self._cooled_at = False, 0.0
                    return
            batch = [entry for entry in taken if entry[1] not in self._withdrawn]
            began = time.monotonic()
            outcome = self._outcome([item for item, _, _ in batch]) if batch else []
            ended = time.monotonic()
            self._cooled_at = ended + min(self._cool_down * (ended - began), MAX_COOL_DOWN_S)
            self._rested_at = ended + len(taken) * REST_PER_ITEM_S
            try:
                loop.call_soon_threadsafe(self._deliver, batch, outcome, len(taken))
            except RuntimeError:  # The loop was closed: no caller waits any more.
                return

    def _gather(self) -> None:
        """Waits until the next batch is to be written."""
        while True:
            with self._lock:
                self._due.clear()
                if not self._waiting or len(self._waiting) >= self._max_batch:
                    return
                until = max(self._opened + self._window_s, self._cooled_at)
                if self._hurries:
                    until = min(until, self._rested_at)
            left_s = until - time.monotonic()
            if left_s <= 0 or not self._due.wait(left_s):
                return

    def _outcome(self, items: list[Item]) -> Sequence[Result] | Exception:
        self.writes += 1
        self.written += len(items)
        began = time.perf_counter()
        try:
            self._size.observe(len(items))
            results = self._write(items)
            if len(results) != len(items):
                raise RuntimeError(f"{self._name}: {len(results)} results for {len(items)} items")
        except Exception as error:
            return error
        self._seconds.observe(time.perf_counter() - began)
        return results

    def _deliver(self, batch: list[Entry[Item, Result]], outcome: Sequence[Result] | Exception, taken: int) -> None:
        """On the loop: wakes the callers of a batch."""
        if isinstance(outcome, Exception):
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(outcome)
        else:
            for (_, future, _), result in zip(batch, outcome, strict=True):
                if not future.done():
                    future.set_result(result)
        self._finished(taken)
