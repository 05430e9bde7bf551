"""The allowance of a vendor's server: shared by processes, kept to before it is hit, executing before polling."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from django.conf import settings

from routing.solana.vendors.allowance import Allowance
from routing.venue import VenueRateLimited

Open = Callable[..., Allowance]
NOWHERE = "redis://127.0.0.1:9"


@pytest.fixture
async def open_allowance() -> AsyncIterator[Open]:
    """Each one is what another process has of the same server."""
    host, made = f"vendor-{uuid4()}", list[Allowance]()

    def start(per_s: float, url: str = settings.REDIS_URL) -> Allowance:
        made.append(Allowance(url, host, per_s))
        return made[-1]

    yield start
    for each in made:
        await each.close()


async def takes(allowance: Allowance, **how: object) -> bool:
    try:
        await allowance.take(**how)  # type: ignore[arg-type]
    except VenueRateLimited:
        return False
    return True


@pytest.mark.parametrize("url", [settings.REDIS_URL, NOWHERE], ids=["shared", "without Redis"])
async def test_no_more_is_asked_than_is_allowed(open_allowance: Open, url: str) -> None:
    one = open_allowance(4.0, url)
    assert sum([await takes(one, urgent=True) for _ in range(20)]) == 4
    began = time.monotonic()
    assert all([await takes(one, urgent=True, wait_s=5) for _ in range(4)])
    assert time.monotonic() - began > 0.8


async def test_processes_share_it(open_allowance: Open) -> None:
    one, other = open_allowance(4.0), open_allowance(4.0)
    assert sum([await takes(each, urgent=True) for each in (one, other) * 5]) == 4


async def test_who_executes_goes_before_who_polls(open_allowance: Open) -> None:
    poller, worker = open_allowance(1.0), open_allowance(1.0)
    assert await takes(poller, urgent=False)
    waiting = asyncio.create_task(takes(worker, urgent=True, wait_s=3))
    await asyncio.sleep(0.05)
    polled = [await takes(poller, urgent=False)]
    assert await waiting
    # The order's place is taken: a poll that comes right after it is refused, too.
    polled.append(await takes(poller, urgent=False))
    assert polled == [False, False]


async def test_a_poll_leaves_a_part_to_who_executes(open_allowance: Open) -> None:
    one = open_allowance(10.0)
    polled = sum([await takes(one, urgent=False) for _ in range(20)])
    assert 4 <= polled <= 7
    assert await takes(one, urgent=True)


async def test_a_server_that_wants_rest_has_it_from_all(open_allowance: Open) -> None:
    one, other = open_allowance(100.0), open_allowance(100.0)
    await one.rest(0.6)
    assert not await takes(one, urgent=True)
    assert not await takes(other, urgent=True)
    assert await takes(other, urgent=True, wait_s=2)
    assert await takes(one, urgent=True, wait_s=2)
