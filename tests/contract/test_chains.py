"""What every chain promises, so that no order is executed twice or lost."""

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest

from routing.values import Fate
from routing.venue import SubmitUnknown, VenueError
from tests.contract.kits import Kit


async def test_a_transaction_lands_with_its_fill(kit: Kit) -> None:
    swap = kit.swap(min_out="149")
    await kit.chain.submit(swap)
    kit.settle()
    status = await kit.chain.wait(swap, timeout_s=10)
    assert status.fate is Fate.LANDED and status.fill is not None
    assert status.fill.amount_out == status.fill.executed_price == kit.pays
    assert status.fill.fee == Decimal("0.375")
    assert kit.is_now(status.fill.landed_at)
    assert await kit.chain.status([swap]) == [status]
    assert kit.landed("order-1") == 1


async def test_the_same_bytes_land_once_however_often_they_are_sent(kit: Kit) -> None:
    swap, other = kit.swap(), kit.open()
    await asyncio.gather(*(chain.submit(swap) for chain in (kit.chain, other) for _ in range(5)))
    kit.settle()
    await kit.chain.submit(swap)
    kit.settle()
    assert (await kit.chain.wait(swap, timeout_s=10)).fate is Fate.LANDED
    assert kit.landed("order-1") == 1
    await other.close()


async def test_a_double_execution_would_be_visible(kit: Kit) -> None:
    for swap in (kit.swap(attempt=1), kit.swap(attempt=2), kit.swap("order-2")):
        await kit.chain.submit(swap)
    kit.settle()
    assert [kit.landed(f"order-{n}") for n in (1, 2, 3)] == [2, 1, 0]


async def test_after_its_validity_a_transaction_never_lands(kit: Kit) -> None:
    late, landed = kit.swap(), kit.swap("order-2")
    await kit.chain.submit(landed)
    kit.settle()
    kit.past(late)
    for _ in range(2):
        with suppress(VenueError):
            await kit.chain.submit(late)
        kit.settle()
    assert [s.fate for s in await kit.chain.status([late, landed])] == [Fate.EXPIRED, Fate.LANDED]
    await kit.chain.submit(landed)
    kit.settle()
    assert (kit.landed("order-1"), kit.landed("order-2")) == (0, 1)


async def test_a_transaction_lands_at_the_last_moment_of_its_validity(kit: Kit) -> None:
    swap = kit.swap()
    kit.last_moment(swap)
    await kit.chain.submit(swap)
    kit.settle()
    assert (await kit.chain.wait(swap, timeout_s=10)).fate is Fate.LANDED


async def test_an_unanswered_transaction_has_landed(kit: Kit) -> None:
    swap = kit.swap()
    kit.leave_next_unanswered()
    with pytest.raises(SubmitUnknown):
        await kit.chain.submit(swap)
    kit.settle()
    assert (await kit.chain.wait(swap, timeout_s=10)).fate is Fate.LANDED
    await kit.chain.submit(swap)
    kit.settle()
    assert kit.landed("order-1") == 1


async def test_a_lost_transaction_is_pending_until_it_expires(kit: Kit) -> None:
    swap = kit.swap()
    kit.lose_next()
    await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=0)).fate is Fate.PENDING
    kit.last_moment(swap)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.PENDING]
    kit.past(swap)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]
    assert kit.landed("order-1") == 0


async def test_a_lost_transaction_may_be_sent_again(kit: Kit) -> None:
    swap = kit.swap()
    kit.lose_next()
    await kit.chain.submit(swap)
    kit.settle()
    await kit.chain.submit(swap)
    kit.settle()
    assert (await kit.chain.wait(swap, timeout_s=10)).fate is Fate.LANDED
    assert kit.landed("order-1") == 1


@pytest.mark.parametrize(("more", "fate"), [("0", Fate.LANDED), ("0.000001", Fate.REVERTED), ("1e9", Fate.REVERTED)])
async def test_it_never_fills_below_min_out(kit: Kit, more: str, fate: Fate) -> None:
    swap = kit.swap(min_out=str(kit.pays + Decimal(more)))
    await kit.chain.submit(swap)
    kit.settle()
    status = await kit.chain.wait(swap, timeout_s=10)
    assert (status.fate, status.error) == (fate, None if fate is Fate.LANDED else "SLIPPAGE_EXCEEDED")
    assert (status.fill is None) == (fate is Fate.REVERTED)
    assert kit.landed("order-1") == (1 if fate is Fate.LANDED else 0)


async def test_the_chain_answers_in_the_order_of_the_question(kit: Kit) -> None:
    sent, unsent = [kit.swap(f"order-{i}") for i in range(5)], kit.swap("unsent")
    await asyncio.gather(*map(kit.chain.submit, sent))
    kit.settle()
    asked = [unsent, *reversed(sent), unsent]
    statuses = await kit.chain.status(asked)
    assert [status.signature for status in statuses] == [swap.signature for swap in asked]
    assert await kit.chain.status([]) == []
    assert kit.landed("unsent") == 0
