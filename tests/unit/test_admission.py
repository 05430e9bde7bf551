"""What an executor knows of the dispatches that wait for it."""

import asyncio
from typing import Any
from uuid import uuid4

from orders.execution.executor import Executor

UNUSED: Any = None


async def test_the_dispatch_that_came_first_says_how_long_they_wait() -> None:
    executor = Executor(UNUSED, UNUSED, UNUSED, max_in_flight=1, max_preparing=1)
    executor.draining = True  # Lets nothing in when its turn comes.
    assert executor.admission_wait_s == 0
    async with executor._admission:
        dispatches = [asyncio.create_task(executor.execute([uuid4()]))]
        await asyncio.sleep(0.2)
        dispatches.append(asyncio.create_task(executor.execute([uuid4()])))
        await asyncio.sleep(0.05)
        assert executor.admission_wait_s >= 0.2
    await asyncio.gather(*dispatches)
    assert executor.admission_wait_s == 0
