"""What became of a transaction: never called expired while it may have landed, never called landed before it is final."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from routing.http import NoAnswer, RpcError
from routing.solana.nodes import State
from routing.solana.statuses import Statuses
from routing.values import Fate, Swap, SwapStatus
from tests.localnet.node import Localnet
from tests.solana.stage import Stage


async def fate(stage: Stage, swap: Swap) -> Fate:
    return (await stage.world.chain.status([swap]))[0].fate


async def test_two_equal_orders_are_two_transactions_and_two_fills(stage: Stage) -> None:
    """Without the memo they are the same bytes and one signature."""
    quote = await stage.quote()
    swaps = [await stage.build(f"order-{n}", min_out="100") for n in range(2)]
    assert len({swap.signature for swap in swaps}) == 2
    for swap in swaps:
        await stage.world.chain.submit(swap)
    fills = [(await stage.settled(swap, 2)).fill for swap in swaps]
    assert all(fill is not None and fill.amount_out > quote.amount_out * Decimal("0.999") for fill in fills)
    assert [len(stage.landed(f"order-{n}/1")) for n in range(2)] == [1, 1]


async def test_a_node_that_is_behind_calls_nothing_expired(stage: Stage) -> None:
    """It has not seen the transaction land, and says so: null, from an older slot."""
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    stage.node.tick(200)
    stage.node.control("fault", fault="lag", count=1)
    assert await fate(stage, swap) is Fate.PENDING
    stage.node.control("fault", fault="lag", count=0)
    assert await fate(stage, swap) is Fate.LANDED


async def test_the_block_after_the_last_one_proves_it_and_no_block_before(stage: Stage) -> None:
    """Block by block. A slot is no height: there are more slots than blocks."""
    swap = await stage.build()
    height = stage.node.rpc("getBlockHeight", {"commitment": "finalized"})
    stage.node.tick(swap.validity - 3 - height)
    seen = []
    for _ in range(5):
        height = stage.node.rpc("getBlockHeight", {"commitment": "finalized"})
        seen.append((height > swap.validity, await fate(stage, swap)))
        stage.node.tick()
    assert {fate for past, fate in seen if not past} == {Fate.PENDING}
    assert {fate for past, fate in seen if past} == {Fate.EXPIRED}
    await stage.world.chain.submit(swap)
    stage.node.tick(2)
    assert await fate(stage, swap) is Fate.EXPIRED


async def test_expired_needs_a_final_height(start_localnet: Callable[..., Localnet]) -> None:
    """A height that is not final may be taken back, and a block of before take the transaction after all."""
    node = start_localnet(hold="", finalized_after="31")
    node.tick(40)
    stage = Stage(node)
    node.tick(31)
    swap = await stage.build()
    node.tick(swap.validity + 1 - node.rpc("getBlockHeight", {"commitment": "processed"}))
    assert await fate(stage, swap) is Fate.PENDING
    node.tick(31)
    assert await fate(stage, swap) is Fate.EXPIRED
    await stage.world.close()


async def test_what_the_recent_cache_forgot_is_found_in_the_history(stage: Stage) -> None:
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    stage.node.tick(420)
    assert await fate(stage, swap) is Fate.LANDED


async def test_it_is_pending_while_the_node_has_not_stored_it(stage: Stage) -> None:
    """`getTransaction` answers null just after landing: neither failed nor expired."""
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    stage.node.tick(2)
    stage.node.control("fault", fault="null_history", count=2)
    assert [await fate(stage, swap) for _ in range(3)] == [Fate.PENDING, Fate.PENDING, Fate.LANDED]


async def test_landed_is_told_when_it_is_final_and_a_fork_takes_nothing_that_was_told(
    start_localnet: Callable[..., Localnet],
) -> None:
    node = start_localnet(hold="", finalized_after="31")
    node.tick(40)
    stage = Stage(node)
    node.tick(31)
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    node.tick(3)
    assert await fate(stage, swap) is Fate.PENDING
    node.control("fault", fault="fork", count=3)
    assert await fate(stage, swap) is Fate.PENDING
    await stage.world.chain.submit(swap)
    node.tick(31)
    assert await fate(stage, swap) is Fate.PENDING
    node.tick(1)
    assert await fate(stage, swap) is Fate.LANDED
    assert len(stage.landed("order-1/1")) == 1
    await stage.world.close()


async def test_a_revert_says_why_in_words_and_is_told_when_it_is_final(start_localnet: Callable[..., Localnet]) -> None:
    node = start_localnet(hold="", finalized_after="31")
    node.tick(40)
    stage = Stage(node)
    node.tick(31)
    swap = await stage.build(min_out="149")
    stage.price(Decimal(148))
    await stage.world.chain.submit(swap)
    node.tick(2)
    assert await fate(stage, swap) is Fate.PENDING, "a fork may still let it trade"
    node.tick(31)
    [status] = await stage.world.chain.status([swap])
    assert (status.fate, status.error, status.fill) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED", None)
    assert status.message == "Raydium CPMM: SLIPPAGE_EXCEEDED"
    assert any("0x1775" in line for line in status.logs)
    await stage.world.close()


async def test_a_wait_sends_the_same_bytes_again(stage: Stage) -> None:
    """Nobody keeps what a leader dropped."""
    swap = await stage.build()
    stage.node.control("fault", fault="drop", count=2)
    before = stage.node.control("state")["submissions"]
    await stage.world.chain.submit(swap)
    waiting = asyncio.create_task(stage.world.chain.wait(swap, timeout_s=60))
    while not waiting.done():
        await asyncio.to_thread(stage.node.tick)
        await asyncio.sleep(0.1)
    assert (await waiting).fate is Fate.LANDED
    assert stage.node.control("state")["submissions"] - before >= 3
    assert len(stage.landed("order-1/1")) == 1


async def test_what_waits_to_be_sent_again_is_told_as_soon_as_it_has_landed(stage: Stage) -> None:
    """Its turn at a node that allows few requests may be long in coming."""
    chain, swap = stage.world.chain, await stage.build()
    await chain.submit(swap)
    sent, turn = asyncio.Event(), stage.world.nodes._turn

    async def late(state: State) -> None:
        sent.set()
        await asyncio.sleep(30)
        await turn(state)

    stage.world.nodes._turn = late  # type: ignore[method-assign]
    waiting = asyncio.create_task(chain.wait(swap, timeout_s=60))
    await sent.wait()
    before = stage.node.control("state")["submissions"]
    await asyncio.to_thread(stage.node.tick, 2)
    async with asyncio.timeout(15):
        assert (await waiting).fate is Fate.LANDED
    assert stage.node.control("state")["submissions"] == before, "nor is it sent for nothing"


async def test_many_are_asked_for_in_calls_of_256(stage: Stage) -> None:
    swap = await stage.build()
    await stage.world.chain.submit(swap)
    stage.node.tick(2)
    asked: list[int] = []
    read = stage.world.nodes.read

    async def counted(type_: object, method: str, *parameters: object) -> object:
        if method == "getSignatureStatuses":
            asked.append(len(parameters[0]))
        return await read(type_, method, *parameters)

    stage.world.nodes.read = counted  # type: ignore[method-assign]
    statuses = await Statuses(stage.world.nodes, stage.world.accounts).look([swap] * 600)
    assert {status.fate for status in statuses} == {Fate.LANDED}
    assert sorted(asked) == [88, 256, 256]


@pytest.mark.parametrize("error", [NoAnswer("away"), RpcError(-32004, "Block not available"), None])
async def test_one_that_cannot_be_told_keeps_no_other_one_from_being_told(
    stage: Stage, error: Exception | None
) -> None:
    """All that are waited for are looked at together, thousands at a time."""
    swaps = [await stage.build(f"order-{n}", min_out="100") for n in range(2)]
    for swap in swaps:
        await stage.world.chain.submit(swap)
    await asyncio.to_thread(stage.node.tick, 2)
    untold = swaps[0] if error else msgspec.structs.replace(swaps[0], payload=b"of a version that nobody knows")
    read = stage.world.nodes.read

    async def failing(type_: object, method: str, *parameters: object) -> object:
        if error is not None and method == "getTransaction" and parameters[0] == untold.signature:
            raise error
        return await read(type_, method, *parameters)

    stage.world.nodes.read = failing  # type: ignore[method-assign]
    fates = [status.fate for status in await stage.world.chain.status([untold, swaps[1]])]
    assert fates == [Fate.PENDING, Fate.LANDED]
    waiting = [asyncio.create_task(stage.world.chain.wait(swap, timeout_s=5)) for swap in (untold, swaps[1])]
    assert [status.fate for status in await asyncio.gather(*waiting)] == fates


async def test_a_subscription_tells_it_without_a_look_at_the_statuses(stage: Stage) -> None:
    chain = stage.world.chain
    swap = await stage.build()
    await chain.submit(swap)
    looks: list[object] = []

    async def pending(swaps: list[Swap]) -> list[SwapStatus]:
        looks.append(swaps)
        return [SwapStatus(each.signature, Fate.PENDING) for each in swaps]

    chain._statuses.look = pending  # type: ignore[method-assign]
    waiting = asyncio.create_task(chain.wait(swap, timeout_s=60))
    while chain._subscriptions is None or not chain._subscriptions._numbers:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(stage.node.tick, 2)
    assert (await waiting).fate is Fate.LANDED
