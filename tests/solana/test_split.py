"""A split on a real chain: two pools in one transaction, to the last base unit, or nothing at all."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from localnet.genesis import TOKENS
from routing.permits import Permit, Permits
from routing.selection import min_out
from routing.solana.venues.split import leasts
from routing.values import Fate, Quote, Selection, Swap
from routing.venue import SplitRefused, VenueUnavailable
from routing.venues import METEORA, RAYDIUM, SPLIT
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair
from tests.solana.test_over_http import access
from tests.solana.test_permits import Said

AMOUNT = Decimal(50)
"""In pools of 2,000 SOL: it moves one by some percent, and both together by half of that."""
DEPTH = "300000"
USDC = pair().token_out.mint


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def stage(node: Localnet, said: Said) -> AsyncIterator[Stage]:
    made = Stage(node, splits=True, permits=said)
    made.price(Decimal(150), depth=DEPTH)
    yield made
    made.price(Decimal(150))
    await made.world.close()


async def chosen(stage: Stage, amount: Decimal = AMOUNT, of: str = "SOL-USDC", **asked: Any) -> Selection:
    return await stage.world.router.quote(pair(of), amount, **asked)


async def built(stage: Stage, offer: Quote, of: str = "SOL-USDC", **asked: Any) -> Swap:
    values = {
        "min_out": min_out(pair(of), offer, 50),
        "slippage_bps": 50,
        "signer": stage.signer,
        "reference": "order-1",
        "attempt": 1,
    }
    return await stage.world.router.seller(offer.venue).build(pair(of), offer, **(values | asked))


def units(of: str, amount: Decimal, *, bought: bool = False) -> int:
    return int(amount.scaleb((pair(of).token_out if bought else pair(of).token_in).decimals))


@pytest.mark.parametrize(("of", "amount"), [("SOL-USDC", "50.000000001"), ("USDC-SOL", "777.777777")])
async def test_both_pools_pay_what_was_quoted_and_the_fill_says_what_went_where(
    stage: Stage, of: str, amount: str
) -> None:
    if of == "USDC-SOL":
        stage.price(Decimal(150), depth="30000")
    selection = await chosen(stage, Decimal(amount), of)
    offer, alone = selection.winner, [quote for quote in selection.quotes if not quote.parts]
    assert (offer.venue, {part.venue for part in offer.parts}, len(alone)) == (SPLIT, {RAYDIUM, METEORA}, 2)
    assert offer.amount_out - offer.added_fee > max(quote.amount_out for quote in alone)
    assert offer.impact_bps < min(quote.impact_bps for quote in alone)
    before = stage.sol(), stage.tokens(USDC)
    swap = await built(stage, offer, of)
    assert sum(part.amount_out for part in swap.parts) == swap.min_out == min_out(pair(of), offer, 50)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None, status
    fill = status.fill
    assert (fill.amount_in, fill.amount_out, fill.parts) == (Decimal(amount), offer.amount_out, offer.parts)
    change = units(of, Decimal(amount)), units(of, offer.amount_out, bought=True)
    of_the_chain = sum((fee.amount for fee in fill.fees if fee.kind != "venue"), Decimal(0)).scaleb(9)
    sol, usdc = (-change[0], change[1]) if of == "SOL-USDC" else (change[1], -change[0])
    assert (stage.sol(), stage.tokens(USDC)) == (before[0] + sol - of_the_chain, before[1] + usdc)
    fees = {(fee.kind, fee.token): fee.amount for fee in fill.fees}
    assert {kind for kind, _ in fees} == {"venue", "network", "priority"}
    taken = {part.venue: part for part in fill.parts}
    assert fees["venue", pair(of).token_in.mint] == pytest.approx(taken[RAYDIUM].amount_in * Decimal("0.0025"), abs=1)
    assert fees["venue", pair(of).token_out.mint] < fill.fee < fill.amount_out / 100
    assert len(stage.landed("order-1/1")) == 1


async def test_a_pool_that_moves_before_the_landing_reverts_both(stage: Stage) -> None:
    """Each pool is held to its own part of the least, so the order gets all of it or keeps what it has."""
    for name in (RAYDIUM, METEORA):
        stage.price(Decimal(150), depth=DEPTH)
        before = stage.sol(), stage.tokens(USDC)
        swap = await built(stage, (await chosen(stage)).winner, reference=f"moved-{name}")
        stage.node.control("pool", venue=name, base="SOL", quote="USDC", price="148", depth=DEPTH)
        await stage.world.chain.submit(swap)
        status = await stage.settled(swap)
        assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED"), status
        assert stage.landed(f"moved-{name}/1") == []
        assert stage.tokens(USDC) == before[1] and before[0] - stage.sol() < 100_000, "its fee alone is paid"


async def hardly_divided(stage: Stage) -> tuple[Selection, Quote]:
    """Of an amount that is just large enough for a second pool to bring something: a base unit or two."""
    for tenths in range(1, 100):
        selection = await chosen(stage, Decimal(tenths) / 10)
        if (split := next((quote for quote in selection.quotes if quote.parts), None)) is not None:
            return selection, split
    raise AssertionError("nothing is divided")


async def test_little_is_not_divided_for_more_than_it_brings(stage: Stage) -> None:
    """The gain grows with the square of the amount, the second swap costs the same."""
    selection, split = await hardly_divided(stage)
    assert selection.winner.venue != SPLIT and split.amount_out > selection.winner.amount_out
    assert 0 < split.amount_out - selection.winner.amount_out <= split.added_fee
    assert f"{SPLIT} pays" in selection.reason and "more in fees" in selection.reason
    assert (await chosen(stage, 2 * split.amount_in)).winner.venue == SPLIT


async def test_a_pool_that_is_no_better_at_the_margin_gets_nothing(stage: Stage) -> None:
    stage.node.control("pool", venue=METEORA, base="SOL", quote="USDC", price="100", depth=DEPTH)
    stage.world.accounts.forget()
    selection = await chosen(stage)
    assert (selection.winner.venue, [quote for quote in selection.quotes if quote.parts]) == (RAYDIUM, [])


async def test_an_amount_that_is_too_large_for_each_pool_may_be_what_both_can_take(stage: Stage) -> None:
    stage.price(Decimal(150), depth="6000")
    selection = await chosen(stage, Decimal(60))
    assert selection.winner.venue == SPLIT
    assert {refusal.code for refusal in selection.refusals} == {"INSUFFICIENT_LIQUIDITY"}


@pytest.mark.parametrize("asked", [{"split": False}, {"exact_out": True}])
async def test_who_must_not_be_divided_is_not(stage: Stage, asked: dict[str, bool]) -> None:
    selection = await chosen(stage, **asked)
    assert not any(quote.parts for quote in selection.quotes)


async def test_it_is_switched_off_unless_it_is_asked_for(stage: Stage) -> None:
    off = stage.open()
    try:
        selection = await off.router.quote(pair(), AMOUNT)
        assert {quote.venue for quote in selection.quotes} == {RAYDIUM, METEORA}
        assert off.router.seller(SPLIT).name == SPLIT, "what was sent before is settled all the same"
    finally:
        await off.close()


@pytest.mark.parametrize(("mode", "divided"), [("both", True), ("http", False)])
async def test_pools_that_are_read_here_are_divided_between_and_no_others(
    stage: Stage, mode: str, divided: bool
) -> None:
    """Beside what servers offer, too: the best of all quotes is what a split has to beat."""
    world = stage.open(access=access(stage.node, mode), splits=True)
    try:
        selection = await world.router.quote(pair(), AMOUNT)
        assert (selection.winner.venue == SPLIT) is divided
        assert {quote.venue for quote in selection.quotes} == {RAYDIUM, METEORA, *([SPLIT] if divided else [])}
    finally:
        await world.close()


async def test_a_pair_that_may_use_one_venue_alone_is_not_divided(stage: Stage, said: Said) -> None:
    offer = (await chosen(stage)).winner
    said.now = Permits([(str(TOKENS["SOL"].mint), str(TOKENS["USDC"].mint), Permit(RAYDIUM))])
    assert not any(quote.parts for quote in (await chosen(stage)).quotes)
    with pytest.raises(SplitRefused):
        await built(stage, offer)
    assert stage.signer.signed == []


async def test_a_venue_that_rests_has_no_part(stage: Stage) -> None:
    async def away() -> None:
        raise VenueUnavailable

    ticks = {name: await stage.venue(name).tick(pair()) for name in (RAYDIUM, METEORA)}
    for _ in range(8):
        with pytest.raises(VenueUnavailable):
            await stage.world.router.breakers.guard(METEORA, away)
    selection = await chosen(stage)
    assert (selection.winner.venue, [refusal.code for refusal in selection.refusals]) == (RAYDIUM, ["VENUE_RESTING"])
    by_ticks = await stage.world.router.compare(pair(), AMOUNT, ticks)
    assert {quote.venue for quote in by_ticks.quotes} == {RAYDIUM, METEORA}, (
        "its last price counts, and is not split by"
    )


async def test_what_has_too_many_bytes_is_refused_in_words(stage: Stage) -> None:
    """The best venue alone has fewer: the executor takes it instead (tests/integration/test_split.py)."""
    selection = await chosen(stage)
    with pytest.raises(SplitRefused, match="bytes do not fit a transaction, which has at most 1232"):
        await built(stage, selection.winner, reference="r" * 350)
    assert stage.signer.signed == []
    alone = next(quote for quote in selection.quotes if not quote.parts)
    assert (await built(stage, alone, reference="r" * 350)).parts == ()


async def test_what_does_not_pay_for_itself_any_more_is_refused(stage: Stage) -> None:
    _, offer = await hardly_divided(stage)
    least = offer.amount_out / 2
    with pytest.raises(SplitRefused, match="base units more by now, and cost"):
        await built(stage, offer, min_out=least.quantize(Decimal("0.000001")))
    stage.node.control("pool", venue=METEORA, base="SOL", quote="USDC", price="100", depth=DEPTH)
    stage.world.accounts.forget()
    with pytest.raises(SplitRefused, match="one pool alone pays as much"):
        await built(stage, offer, min_out=least.quantize(Decimal("0.000001")))
    assert stage.signer.signed == []


async def test_by_ticks_it_is_what_the_pools_would_pay(stage: Stage) -> None:
    ticks = {name: await stage.venue(name).tick(pair()) for name in (RAYDIUM, METEORA)}
    by_ticks, asked = (await stage.world.router.compare(pair(), AMOUNT, ticks)).winner, (await chosen(stage)).winner
    assert by_ticks.venue == SPLIT and by_ticks.cached and not asked.cached
    assert by_ticks.amount_out == asked.amount_out
    assert [(part.venue, part.amount_in) for part in by_ticks.parts] == [
        (part.venue, part.amount_in) for part in asked.parts
    ]
    assert by_ticks.parts[0].pool is None and asked.parts[0].pool is not None
    estimated = (await stage.world.router.estimate(pair(), AMOUNT, ticks)).winner
    assert estimated == by_ticks
    # A cached offer is held against the pools: it may come from where others write.
    swap = await built(stage, replace(by_ticks, amount_out=Decimal(1)), min_out=Decimal(1))
    assert swap.min_out == min_out(pair(), asked, 50)


async def test_what_it_costs_is_told_in_the_output_or_nothing_is_divided(stage: Stage) -> None:
    """A lamport's worth is read from a pool of SOL and either token; JUP and BONK have none."""
    for base, quote, price in (("JUP", "USDC", "0.5"), ("JUP", "BONK", "25000")):
        for venue in (RAYDIUM, METEORA):
            stage.node.control("pool", venue=venue, base=base, quote=quote, price=price, depth=DEPTH)
    stage.node.tick()
    by_out, by_in = await chosen(stage, Decimal(20_000), "JUP-USDC"), await chosen(stage, Decimal(10_000), "USDC-JUP")
    assert by_out.winner.venue == by_in.winner.venue == SPLIT
    # 120,000 units at 2,000 micro-lamports: 240 lamports at 150 USDC, and at twice as many JUP.
    assert (by_out.winner.added_fee, by_in.winner.added_fee) == (
        Decimal("0.000036"),
        pytest.approx(Decimal("0.000072"), abs=Decimal("0.000003")),
    )
    unpriced = await chosen(stage, Decimal(1), "JUP-BONK")
    assert unpriced.winner.venue != SPLIT
    [refusal] = unpriced.refusals
    assert (refusal.venue, refusal.code) == (SPLIT, "SPLIT_REFUSED") and "worth in BONK" in refusal.message


@pytest.mark.parametrize(
    ("least", "pays"), [(100, [60, 40]), (99, [60, 40]), (7, [1, 9]), (3, [10**9, 10**9 + 1]), (10**15, [10**15, 7])]
)
def test_the_least_is_divided_without_a_unit_lost(least: int, pays: list[int]) -> None:
    try:
        found = leasts(least, pays)
    except SplitRefused:
        assert min(least * each // sum(pays) for each in pays) == 0
        return
    assert sum(found) == least
    assert all(0 < each <= offer for each, offer in zip(found, pays, strict=True))
