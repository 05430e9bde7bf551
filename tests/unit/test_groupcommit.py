import asyncio
import threading

import pytest

from runtime import groupcommit
from runtime.groupcommit import GroupCommit, WriteQueueFull, WriteTimeout
from tests.waiting import until


class Writer:
    """Doubles numbers, a batch at a time, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.may_go = threading.Event()
        self.may_go.set()
        self.began = threading.Event()
        self.error: Exception | None = None

    def __call__(self, items: list[int]) -> list[int]:
        self.began.set()
        assert self.may_go.wait(10)
        self.batches.append(items)
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        return [2 * item for item in items]


def group(
    writer: Writer, *, window_ms: float = 200, max_batch: int = 100, capacity: int = 1_000
) -> GroupCommit[int, int]:
    """With a window in which what is handed in together comes together even if somebody else has the core in between."""
    return GroupCommit(writer, name="double", window_ms=window_ms, max_batch=max_batch, capacity=capacity)


async def begun(writer: Writer) -> None:
    assert await asyncio.to_thread(writer.began.wait, 10)


async def test_what_comes_together_is_written_together() -> None:
    writer = Writer()
    commits = group(writer)

    results = await asyncio.gather(*(commits.submit(n) for n in range(50)))

    assert results == [2 * n for n in range(50)]
    assert writer.batches == [list(range(50))]
    await commits.close()


async def test_an_idle_group_writes_at_once() -> None:
    writer = Writer()
    commits = group(writer, window_ms=60_000)

    async with asyncio.timeout(10):
        for n in range(5):
            await commits.submit(n)
            await asyncio.sleep(0.02)  # Longer than a writer rests after one item.

    assert writer.batches == [[0], [1], [2], [3], [4]]
    await commits.close()


async def test_what_comes_during_a_write_is_written_together() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=60_000)
    first = commits.submit(0)
    await begun(writer)
    later = []
    for n in range(1, 6):
        later.append(commits.submit(n))
        await asyncio.sleep(0.01)
    writer.may_go.set()

    async with asyncio.timeout(10):
        await asyncio.gather(first, *later)
    assert writer.batches == [[0], [1, 2, 3, 4, 5]]
    await commits.close()


async def test_after_a_large_batch_what_comes_next_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupcommit, "REST_PER_ITEM_S", 60)
    writer = Writer()
    commits = group(writer, window_ms=300)
    await asyncio.gather(*(commits.submit(n) for n in range(50)))
    later = []
    for n in (50, 51, 52):
        later.append(commits.submit(n))
        await asyncio.sleep(0.01)
    await asyncio.gather(*later)

    assert [len(batch) for batch in writer.batches] == [50, 3]
    await commits.close()


async def test_what_nobody_waits_for_waits_for_others() -> None:
    writer = Writer()
    commits = group(writer, window_ms=60_000)
    unhurried = commits.submit(1, hurry=False)
    await asyncio.sleep(0.1)
    assert writer.batches == []

    async with asyncio.timeout(10):
        assert await asyncio.gather(commits.submit(2), unhurried) == [4, 2]
    assert writer.batches == [[1, 2]], "one write for both"
    await commits.close()


async def test_what_nobody_waits_for_is_written_when_its_window_ends() -> None:
    writer = Writer()
    commits = group(writer, window_ms=50)
    async with asyncio.timeout(10):
        assert await commits.submit(1, hurry=False) == 2
    await commits.close()


async def test_a_full_batch_does_not_wait_for_its_window() -> None:
    writer = Writer()
    commits = group(writer, window_ms=60_000, max_batch=10)

    async with asyncio.timeout(10):
        await asyncio.gather(*(commits.submit(n, hurry=False) for n in range(20)))

    assert [len(batch) for batch in writer.batches] == [10, 10]
    await commits.close()


async def test_order_is_kept_and_nothing_is_written_twice_at_once() -> None:
    writer = Writer()
    commits = group(writer, window_ms=0, max_batch=7)
    futures = []
    for n in range(100):
        futures.append(commits.submit(n))
        if n % 9 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*futures)

    assert [n for batch in writer.batches for n in batch] == list(range(100))
    assert len(writer.threads) == 1
    assert commits.written == 100 and commits.writes == len(writer.batches)
    await commits.close()


async def test_a_writer_cools_down_for_longer_than_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupcommit, "MAX_COOL_DOWN_S", 60)
    monkeypatch.setattr(groupcommit, "REST_PER_ITEM_S", 60)
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0)
    first = commits.submit(1)
    await begun(writer)
    second = commits.submit(2)
    await asyncio.sleep(0.7)
    writer.may_go.set()
    await first
    await asyncio.sleep(0.3)
    await asyncio.gather(second, commits.submit(3))

    assert writer.batches == [[1], [2, 3]]
    await commits.close()


async def test_a_busy_loop_keeps_no_batch_waiting() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=1)
    both = [commits.submit(1), commits.submit(2)]
    await begun(writer)
    writer.may_go.set()
    until(lambda: len(writer.batches) == 2, 10)  # Without a turn of the loop.

    assert not any(each.done() for each in both)
    assert await asyncio.gather(*both) == [2, 4]
    await commits.close()


async def test_an_error_reaches_every_caller_of_its_batch_and_no_other() -> None:
    writer = Writer()
    commits = group(writer)
    writer.error = ValueError("no")
    first = await asyncio.gather(*(commits.submit(n) for n in range(3)), return_exceptions=True)
    writer.error = None

    assert [str(error) for error in first] == ["no"] * 3
    assert await commits.submit(4) == 8
    await commits.close()


async def test_a_writer_that_answers_too_little_fails_its_callers() -> None:
    commits: GroupCommit[int, int] = GroupCommit(
        lambda items: items[1:], name="lossy", window_ms=1, max_batch=10, capacity=10
    )
    async with asyncio.timeout(10):
        results = await asyncio.gather(commits.submit(1), commits.submit(2), return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)


async def test_a_full_group_refuses_at_once() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=1, capacity=3)
    writing = commits.submit(0)
    await begun(writer)
    waiting = [commits.submit(n) for n in (1, 2, 3)]

    with pytest.raises(WriteQueueFull):
        commits.submit(4)
    assert len(commits) == 3
    writer.may_go.set()
    assert await asyncio.gather(writing, *waiting) == [0, 2, 4, 6]
    assert commits.submit(5) is not None
    await commits.close()


async def test_what_is_withdrawn_is_not_written() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=10, capacity=2)
    writing = commits.submit(0)
    await begun(writer)
    kept, withdrawn = commits.submit(1), commits.submit(2)
    commits.withdraw(withdrawn)
    writer.may_go.set()

    assert await writing == 0 and await kept == 2
    assert writer.batches == [[0], [1]]
    await commits.close()


async def test_what_its_caller_stopped_waiting_for_is_written() -> None:
    writer = Writer()
    commits = group(writer)
    commits.submit(1).cancel()
    await commits.submit(2)

    assert writer.batches == [[1, 2]]
    await commits.close()


async def test_what_is_being_written_cannot_be_taken_back() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0)
    writing = commits.submit(1)
    await begun(writer)
    commits.withdraw(writing)
    writer.may_go.set()
    await commits.close()

    assert writing.cancelled() and writer.batches == [[1]]


async def test_withdrawn_items_leave_room() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=10, capacity=2)
    writing = commits.submit(0)
    await begun(writer)
    for n in (1, 2):
        commits.withdraw(commits.submit(n))
    later = commits.submit(3)
    writer.may_go.set()

    assert await asyncio.gather(writing, later) == [0, 6]
    await commits.close()


async def test_draining_waits_for_what_is_being_written() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0)
    writing = commits.submit(1)
    await begun(writer)
    drained = asyncio.create_task(commits.drain())
    await asyncio.sleep(0)
    assert not drained.done()
    writer.may_go.set()
    await drained

    assert writing.done() and writing.result() == 2
    await commits.close()


async def test_closing_leaves_no_caller_behind() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=1)
    writing = commits.submit(1)
    await begun(writer)
    waiting = commits.submit(2)
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    writer.may_go.set()
    await closing

    assert (writing.result(), waiting.result()) == (2, 4)


async def test_a_caller_whose_time_is_up_waits_no_longer() -> None:
    writer = Writer()
    writer.may_go.clear()
    commits = group(writer, window_ms=0, max_batch=1)
    soon = asyncio.get_running_loop().time() + 1  # Time enough to begin with the first.
    begun_already, waiting, patient = commits.submit(1, soon), commits.submit(2, soon), commits.submit(3)
    await begun(writer)

    for late in (begun_already, waiting):
        with pytest.raises(WriteTimeout):
            await asyncio.wait_for(late, 10)
    writer.may_go.set()

    assert await patient == 6
    assert writer.batches == [[1], [3]], "what was not begun with is not written"
    await commits.close()
