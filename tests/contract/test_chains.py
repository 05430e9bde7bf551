"""What every chain promises, so that no order is executed twice or lost."""

import asyncio
from decimal import Decimal

import pytest

from routing.values import Fate
from routing.venue import SubmitUnknown, SwapRefused
from tests.contract.kits import Kit


async def test_a_transaction_lands_with_its_fill(kit: Kit) -> None:
    swap = kit.swap(min_out="149")
    await kit.chain.submit(swap)
    status = await kit.chain.wait(swap, timeout_s=5)
    assert status.fate is Fate.LANDED and status.fill is not None
    # 1 SOL at a held 150, less 25 bps, less an impact of a thirtieth of a basis point.
    assert status.fill.amount_out == Decimal("149.624552")
    assert status.fill.executed_price == Decimal("149.624552")
    assert status.fill.fee == Decimal("0.375")
    assert status.fill.landed_at == kit.clock.now
    assert await kit.chain.status([swap]) == [status]
    assert [call["signature"] for call in kit.chain.report("order-1")["submissions"]] == [swap.signature]


async def test_the_same_bytes_land_once_however_often_they_are_sent(kit: Kit) -> None:
    swap, other = kit.swap(), kit.open()
    await asyncio.gather(*(chain.submit(swap) for chain in (kit.chain, other) for _ in range(5)))
    await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=5)).fate is Fate.LANDED
    report = kit.chain.report("order-1")
    assert (report["landed"], report["ordersLandedTwice"]) == (1, 0)
    assert [call["verdict"] for call in report["submissions"]] == ["accepted"] + ["known"] * 10
    await other.close()


async def test_a_double_execution_is_visible(kit: Kit) -> None:
    once = kit.swap("order-2")
    for swap in (kit.swap(attempt=1), kit.swap(attempt=2), once):
        await kit.chain.submit(swap)
    report = kit.chain.report()
    assert (report["landed"], report["ordersLandedTwice"]) == (3, 1)
    assert kit.chain.report("order-1")["ordersLandedTwice"] == 1
    (call,) = kit.chain.report("order-2")["submissions"]
    assert call == {
        "signature": once.signature,
        "orderId": "order-2",
        "attempt": 1,
        "verdict": "accepted",
        "at": "2026-01-01T00:00:00Z",
    }
    assert kit.chain.report("order-3") == {"landed": 0, "ordersLandedTwice": 0, "submissions": []}


async def test_after_its_validity_a_transaction_is_refused_for_good(kit: Kit) -> None:
    late, landed = kit.swap(valid_s=10), kit.swap("order-2", valid_s=10)
    await kit.chain.submit(landed)
    kit.clock.advance(10.001)
    for _ in range(2):
        with pytest.raises(SwapRefused):
            await kit.chain.submit(late)
    assert [s.fate for s in await kit.chain.status([late, landed])] == [Fate.EXPIRED, Fate.LANDED]
    await kit.chain.submit(landed)
    assert kit.chain.report("order-1")["landed"] == 0


async def test_a_transaction_lands_at_the_last_moment_of_its_validity(kit: Kit) -> None:
    swap = kit.swap(valid_s=10)
    kit.clock.advance(10)
    await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=5)).fate is Fate.LANDED


async def test_what_was_called_expired_never_lands_even_for_a_clock_that_is_behind(kit: Kit) -> None:
    swap = kit.swap(valid_s=10)
    kit.clock.advance(11)
    assert (await kit.chain.wait(swap, timeout_s=0)).fate is Fate.EXPIRED
    kit.clock.advance(-5)
    with pytest.raises(SwapRefused):
        await kit.chain.submit(swap)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]


async def test_an_unanswered_transaction_has_landed(kit: Kit) -> None:
    swap = kit.swap()
    kit.leave_next_unanswered()
    with pytest.raises(SubmitUnknown):
        await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=5)).fate is Fate.LANDED
    await kit.chain.submit(swap)
    assert kit.chain.report("order-1")["landed"] == 1


async def test_a_lost_transaction_is_pending_until_it_expires(kit: Kit) -> None:
    swap = kit.swap(valid_s=10)
    kit.lose_next()
    await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=0)).fate is Fate.PENDING
    kit.clock.advance(10)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.PENDING]
    kit.clock.advance(0.001)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]
    assert kit.chain.report()["landed"] == 0


async def test_a_lost_transaction_may_be_sent_again(kit: Kit) -> None:
    swap = kit.swap()
    kit.lose_next()
    await kit.chain.submit(swap)
    await kit.chain.submit(swap)
    assert (await kit.chain.wait(swap, timeout_s=5)).fate is Fate.LANDED
    assert [c["verdict"] for c in kit.chain.report()["submissions"]] == ["dropped", "accepted"]


async def test_refused_bytes_never_land(kit: Kit) -> None:
    swap = kit.swap()
    kit.refuse_next()
    for _ in range(2):
        with pytest.raises(SwapRefused):
            await kit.chain.submit(swap)
    assert [s.fate for s in await kit.chain.status([swap])] == [Fate.EXPIRED]


@pytest.mark.parametrize(
    ("min_out", "fate"), [("149.624552", Fate.LANDED), ("149.624553", Fate.REVERTED), ("1e9", Fate.REVERTED)]
)
async def test_it_never_fills_below_min_out(kit: Kit, min_out: str, fate: Fate) -> None:
    swap = kit.swap(min_out=min_out)
    await kit.chain.submit(swap)
    status = await kit.chain.wait(swap, timeout_s=5)
    assert (status.fate, status.error) == (fate, None if fate is Fate.LANDED else "SLIPPAGE_EXCEEDED")
    assert (status.fill is None) == (fate is Fate.REVERTED)
    assert kit.chain.report()["landed"] == (1 if fate is Fate.LANDED else 0)


async def test_the_chain_answers_in_the_order_of_the_question(kit: Kit) -> None:
    sent, unsent = [kit.swap(f"order-{i}") for i in range(5)], kit.swap("unsent")
    await asyncio.gather(*map(kit.chain.submit, sent))
    asked = [unsent, *reversed(sent), unsent]
    statuses = await kit.chain.status(asked)
    assert [status.signature for status in statuses] == [swap.signature for swap in asked]
    assert await kit.chain.status([]) == []
    assert kit.chain.report("unsent")["submissions"] == []
