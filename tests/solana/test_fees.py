"""What a transaction bids for its place, why, and what it may cost at most."""

import asyncio
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer

from routing.solana.addresses import SIGNATURE_LAMPORTS
from routing.solana.builder import SIMULATED_UNITS, affordable, limit_of
from routing.solana.fees import MOST_PRICE, Fees, Strategy, chosen
from routing.solana.safety import fee_lamports
from routing.solana.tips import TIPPED
from routing.solana.world import SolanaWorld
from routing.values import Fate, Swap
from routing.venue import UnsafeTransaction
from tests.solana.stage import Stage, pair

FEES = st.builds(
    Fees,
    strategy=st.sampled_from(Strategy),
    price=st.integers(0, 10**9),
    percentile=st.integers(1, 100),
    tip_lamports=st.integers(0, 10**9),
)
PAID = st.lists(st.integers(0, 10**10), max_size=150)
CAPS = st.integers(2 * SIGNATURE_LAMPORTS, 10**9)


@given(st.integers(1, SIMULATED_UNITS), st.integers(SIGNATURE_LAMPORTS, 10**9))
def test_the_fees_of_the_signed_transaction_stay_below_the_cap(used: int, cap: int) -> None:
    assert fee_lamports(limit_of(used), affordable(cap)) <= cap


@given(st.integers(1, SIMULATED_UNITS))
def test_a_swap_has_some_units_more_than_it_used(used: int) -> None:
    assert used <= limit_of(used) <= SIMULATED_UNITS


def test_a_cap_below_the_signature_is_refused() -> None:
    with pytest.raises(UnsafeTransaction):
        affordable(SIGNATURE_LAMPORTS - 1)


@given(FEES, PAID, st.integers(0, 30), CAPS, st.integers(1, SIMULATED_UNITS))
def test_whatever_is_paid_by_others_no_bid_passes_the_cap(
    fees: Fees, paid: list[int], expired: int, cap: int, used: int
) -> None:
    bid = chosen(fees, paid, expired=expired, cap_lamports=cap)
    price = min(bid.price, affordable(cap - bid.tip))
    assert 0 <= bid.price <= MOST_PRICE
    assert fee_lamports(limit_of(used), price) + bid.tip <= cap
    assert bid.tip <= fees.tip_lamports and bid.reason


@given(FEES, PAID, CAPS)
def test_a_bid_rises_with_what_expired_and_never_falls(fees: Fees, paid: list[int], cap: int) -> None:
    bids = [chosen(fees, paid, expired=expired, cap_lamports=cap) for expired in range(5)]
    prices = [bid.price for bid in bids]
    assert prices == sorted(prices) and len({bid.tip for bid in bids}) == 1
    if fees.strategy is Strategy.NONE:
        assert set(prices) == {0}
    elif prices[0] > 0 and prices[-1] < MOST_PRICE:
        assert prices[0] < prices[1], "an expired transaction is a reason to bid more"


@given(PAID, st.integers(1, 100))
def test_a_percentile_is_one_of_the_prices_paid(paid: list[int], percentile: int) -> None:
    bid = chosen(Fees(Strategy.PERCENTILE, price=0, percentile=percentile), paid, expired=0, cap_lamports=10**9)
    bids = [price for price in paid if price]
    if not bids:
        assert bid.price == 0
        return
    assert bid.price in (*bids, MOST_PRICE)
    assert sum(price <= bid.price for price in bids) * 100 >= percentile * len(bids) or bid.price == MOST_PRICE


def test_the_reason_says_what_was_seen() -> None:
    auto = Fees(price=5, tip_lamports=100)
    assert chosen(auto, [], expired=0, cap_lamports=1000).reason.startswith("nothing was paid lately")
    paid = [0, 10, 20, 30, 40]
    assert chosen(auto, paid, expired=0, cap_lamports=1000).reason == "50 % of 4 blocks paid 20 or less, and a tip"
    again = chosen(replace(auto, tip_lamports=0), paid, expired=1, cap_lamports=1000)
    assert (again.price, again.reason) == (60, "75 % of 4 blocks paid 30 or less, times 2 after 1 expired")


async def swap_of(stage: Stage, world: SolanaWorld, reference: str) -> Swap:
    quote = await stage.quote()
    least = (quote.amount_out * Decimal("0.99")).quantize(Decimal("0.000001"))
    return await world.router.venue(quote.venue).build(
        pair(), quote, min_out=least, slippage_bps=100, reference=reference, attempt=1, signer=stage.signer
    )


async def test_what_others_paid_for_the_pool_is_bid(stage: Stage) -> None:
    dear, follows = stage.open(fees=Fees(Strategy.FIXED, price=77_000)), stage.open()
    try:
        paid = await swap_of(stage, dear, "dear")
        assert paid.bid is not None and 77_000 <= paid.bid.price < 78_000
        await dear.chain.submit(paid)
        landed = await stage.settled(paid)
        assert landed.fill is not None
        costs = {fee.kind: fee.amount for fee in landed.fill.fees}
        assert (costs["network"] + costs["priority"]).scaleb(9) == paid.bid.lamports

        first = await swap_of(stage, follows, "asks in the background")
        assert first.bid is not None and "nothing was paid lately" in first.bid.reason
        for n in range(50):
            await asyncio.sleep(0.05)
            bid = (await swap_of(stage, follows, f"follows {n}")).bid
            assert bid is not None
            if "blocks paid" in bid.reason:
                break
        assert bid is not None and bid.price >= 77_000 and "50 %" in bid.reason, bid
    finally:
        await dear.close()
        await follows.close()


async def test_a_tip_is_paid_within_the_cap_and_told(stage: Stage) -> None:
    tipping = stage.open(fees=Fees(Strategy.NONE, tip_lamports=20_000))
    try:
        for each in TIPPED:  # They hold money on mainnet; an account may not be left with less than its rent.
            stage.node.control("give", owner=str(each), token="SOL", amount="1")
        stage.node.tick()
        swap = await swap_of(stage, tipping, "tipped")
        assert swap.bid is not None and swap.bid.tip == 20_000
        before = {str(each): stage.node.rpc("getBalance", str(each))["value"] for each in TIPPED}
        await tipping.chain.submit(swap)
        landed = await stage.settled(swap)
        assert landed.fate is Fate.LANDED and landed.fill is not None
        assert [fee.amount for fee in landed.fill.fees if fee.kind == "tip"] == [Decimal("0.00002")]
        after = {str(each): stage.node.rpc("getBalance", str(each))["value"] for each in TIPPED}
        assert sorted(after[each] - before[each] for each in after)[-2:] == [0, 20_000]
    finally:
        await tipping.close()


async def test_nobody_else_is_tipped_and_no_tip_passes_the_cap(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger, known = Keypair().pubkey(), random.choice(list(TIPPED))
    for to, lamports, said in ((stranger, 1, "moves SOL to somewhere else"), (known, 2_000_000, "allowed are")):
        extra = transfer(TransferParams(from_pubkey=stage.signer.key.pubkey(), to_pubkey=to, lamports=lamports))
        monkeypatch.setattr("routing.solana.venues.direct.tips", lambda wallet, bid, extra=extra: [extra])
        with pytest.raises(UnsafeTransaction, match=said):
            await stage.build("hostile")
    assert stage.signer.signed == []
