"""Who stops waiting for a group commit takes its item back."""

import asyncio

from runtime.groupcommit import GroupCommit


async def test_a_cancelled_item_is_not_written() -> None:
    written: list[str] = []

    def write(items: list[str]) -> list[None]:
        written.extend(items)
        return [None] * len(items)

    group = GroupCommit(write, name="test", window_ms=20, most=10, capacity=10)
    gone, stays = group.submit("gone"), group.submit("stays")
    gone.cancel()
    await stays
    alone = group.submit("alone")
    alone.cancel()
    await asyncio.sleep(0.05)
    await group.submit("last")
    await group.close()
    assert written == ["stays", "last"]
