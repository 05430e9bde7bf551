"""What only the mock chain is asked: faults, time to land, and the death of a process that writes."""

import asyncio
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from routing.mock import tokens
from routing.mock.faults import Fault
from routing.mock.world import mock_world
from routing.selection import min_out
from routing.values import Fate, SwapStatus
from routing.venue import SubmitUnknown, SwapRefused, VenueError
from tests.contract.kits import MockKit, sol_usdc
from tests.waiting import Stalls

ROOT = Path(__file__).parents[2]

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.contract.kits import MockKit

async def write(kit, name):
    for i in range(100_000):
        swap = kit.swap(f"{name}-{i}", valid_s=3600)
        await kit.chain.submit(swap)
        print(swap.reference, flush=True)

async def main():
    kit = MockKit(Path(sys.argv[1]))
    await asyncio.gather(*(write(kit, name) for name in range(20)))

asyncio.run(main())
"""


async def test_every_sending_is_in_the_report(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    once, other = kit.swap("order-2"), kit.open()
    for chain in (kit.chain, other, kit.chain):
        await chain.submit(once)
    assert [call["verdict"] for call in kit.chain.report("order-2")["submissions"]] == ["accepted", "known", "known"]
    assert kit.chain.report("order-2")["submissions"][0] == {
        "signature": once.signature,
        "orderId": "order-2",
        "attempt": 1,
        "verdict": "accepted",
        "at": "2026-01-01T00:00:00Z",
    }
    for attempt in (1, 2):
        await kit.chain.submit(kit.swap(attempt=attempt))
    report = kit.chain.report()
    assert (report["landed"], report["ordersLandedTwice"]) == (3, 1)
    assert kit.chain.report("order-1")["ordersLandedTwice"] == 1
    assert kit.chain.report("order-3") == {"landed": 0, "ordersLandedTwice": 0, "submissions": []}
    await kit.chain.close()
    await other.close()


async def test_what_was_called_expired_never_lands_even_for_a_clock_that_is_behind(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    swap = kit.swap(valid_s=10)
    kit.clock.advance(11)
    assert (await kit.chain.wait(swap, timeout_s=0)).fate is Fate.EXPIRED
    kit.clock.advance(-5)
    with pytest.raises(SwapRefused):
        await kit.chain.submit(swap)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]
    await kit.chain.close()


async def test_the_mock_chain_refuses_for_good(tmp_path: Path) -> None:
    """By command, and what is too late. It can know that: it is the only node of its chain."""
    kit = MockKit(tmp_path)
    refused, late = kit.swap(), kit.swap(valid_s=10)
    kit.refuse_next()
    for swap in (refused, late):
        for _ in range(2):
            with pytest.raises(SwapRefused):
                await kit.chain.submit(swap)
        kit.clock.advance(11)
    assert [s.fate for s in await kit.chain.status([refused, late])] == [Fate.EXPIRED] * 2
    await kit.chain.close()


async def test_nothing_lands_before_its_time(tmp_path: Path) -> None:
    kit = MockKit(tmp_path, landing=1.0)
    swap = kit.swap()
    await kit.chain.submit(swap)
    kit.clock.advance(1.899)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.PENDING]
    kit.clock.advance(0.252)
    (status,) = await kit.chain.status([swap])
    assert status.fill is not None and status.fill.landed_at < kit.clock.now
    await kit.chain.close()


async def test_what_would_land_after_its_validity_never_does(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    swap = kit.swap(valid_s=10)
    kit.chain.misbehave(Fault.DELAY, delay_s=10.5)
    await kit.chain.submit(swap)
    kit.clock.advance(10)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.PENDING]
    kit.clock.advance(1)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]
    assert kit.chain.report()["landed"] == 0
    await kit.chain.close()


async def test_a_delayed_transaction_lands_later(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    swap = kit.swap()
    kit.chain.misbehave(Fault.DELAY, delay_s=5)
    await kit.chain.submit(swap)
    kit.clock.advance(4.999)
    assert (await kit.chain.wait(swap, timeout_s=0)).fate is Fate.PENDING
    kit.clock.advance(0.001)
    assert (await kit.chain.wait(swap, timeout_s=5)).fate is Fate.LANDED
    await kit.chain.close()


async def test_a_fault_is_commanded_in_one_process_and_committed_in_another(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    other = kit.open()
    kit.chain.misbehave(Fault.REFUSE, count=2)
    refused = 0
    for chain in (kit.chain, other, kit.chain, other):
        try:
            await chain.submit(kit.swap())
        except SwapRefused:
            refused += 1
    assert refused == 2
    kit.chain.misbehave(Fault.DROP)
    kit.chain.behave()
    await other.submit(kit.swap())
    assert [c["verdict"] for c in kit.chain.report()["submissions"][-3:]] == ["accepted"] * 3
    await kit.chain.close()
    await other.close()


async def test_a_wandering_market_settles_within_the_documented_slip(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    kit.market.move("SOL-USDC", hold=False)
    swaps = [kit.swap(f"order-{i}", min_out="1") for i in range(50)]
    await asyncio.gather(*map(kit.chain.submit, swaps))
    tick = kit.market.tick(sol_usdc(), swaps[0].venue, kit.clock.now)
    paid = [s.fill.executed_price / tick.net_price for s in await kit.chain.status(swaps) if s.fill]
    assert len(paid) == 50 and len(set(paid)) > 5
    assert min(paid) >= Decimal("0.99899") and max(paid) <= 1
    await kit.chain.close()


def test_a_chain_may_be_used_from_one_loop_after_another(tmp_path: Path) -> None:
    kit = MockKit(tmp_path)
    for i in range(3):
        asyncio.run(kit.chain.submit(kit.swap(f"order-{i}")))
    assert kit.chain.report()["landed"] == 3
    asyncio.run(kit.chain.close())


async def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert writer.stdout is not None
    acknowledged = [(await writer.stdout.readline()).decode().strip() for _ in range(300)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += (await writer.stdout.read()).decode().split("\n")[:-1]
    await writer.wait()
    kit = MockKit(tmp_path)
    for reference in acknowledged:
        assert kit.chain.report(reference)["landed"] == 1, reference
    assert kit.chain.report()["landed"] >= len(acknowledged) >= 300
    assert kit.chain.report()["ordersLandedTwice"] == 0
    await kit.chain.close()


async def test_random_failures_neither_lose_nor_double_an_order(tmp_path: Path) -> None:
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=0.3, deadline_ms=1000, max_age_ms=5000, valid_s=60)
    pair = tokens.REGISTRY.pair("SOL", "USDC")
    assert pair is not None

    async def execute(reference: str) -> SwapStatus:
        for attempt in range(1, 50):
            try:
                quote = (await world.router.quote(pair, Decimal(1))).winner
                venue = world.router.venue(quote.venue)
                floor = min_out(pair, quote, 100)
                swap = await venue.build(
                    pair, quote, min_out=floor, slippage_bps=50, reference=reference, attempt=attempt
                )
            except VenueError:
                continue
            while True:
                try:
                    await venue.submit(swap)
                except SwapRefused:
                    break
                except SubmitUnknown:
                    pass
                status = await venue.wait(swap, timeout_s=0)
                if status.fate is not Fate.PENDING:
                    return status
        raise AssertionError("never executed")

    statuses = await asyncio.gather(*(execute(f"order-{i}") for i in range(100)))
    assert {status.fate for status in statuses} == {Fate.LANDED}
    report = world.chain.report()
    assert (report["landed"], report["ordersLandedTwice"]) == (100, 0)
    assert {"dropped", "unanswered", "refused"} <= {c["verdict"] for c in report["submissions"]}
    await world.close()


async def test_an_order_takes_two_to_three_seconds(tmp_path: Path) -> None:
    world = mock_world(tmp_path, seed=1, latency=1, failure_rate=0, deadline_ms=9000, max_age_ms=9000, valid_s=60)
    pair = tokens.REGISTRY.pair("SOL", "USDC")
    assert pair is not None
    loop = asyncio.get_running_loop()

    async def execute(reference: str) -> tuple[float, float]:
        started = loop.time()
        quote = (await world.router.quote(pair, Decimal(1))).winner
        quoted = loop.time()
        venue = world.router.venue(quote.venue)
        swap = await venue.build(
            pair, quote, min_out=min_out(pair, quote, 50), slippage_bps=50, reference=reference, attempt=1
        )
        await venue.submit(swap)
        assert (await venue.wait(swap, timeout_s=10)).fate is Fate.LANDED
        return quoted - started, loop.time() - quoted

    async with Stalls() as stalls:
        spans = await asyncio.gather(*(execute(f"order-{i}") for i in range(50)))
    assert min(quoting for quoting, _ in spans) >= 0.2
    assert min(landing for _, landing in spans) >= 2.0
    # The slowest of them takes 2.9 s; the rest is for the threads of a busy machine, whose loop's own stalls are known.
    assert max(sum(span) for span in spans) - stalls.seconds < 3.5
    await world.close()
