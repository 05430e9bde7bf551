"""What every venue promises."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from routing.mock import tokens
from routing.selection import max_in, min_out
from routing.values import Fate, Quote, Swap
from routing.venue import (
    AmountTooSmall,
    InsufficientLiquidity,
    NoRoute,
    QuoteDeviates,
    SubmitUnknown,
    Venue,
    VenueUnavailable,
)
from tests.contract.kits import Kit, sol_usdc

Stage = tuple[Kit, Venue]


async def built(stage: Stage, *, min_out: str = "148", attempt: int = 1) -> Swap:
    _, venue = stage
    return await build(stage, await venue.quote(sol_usdc(), Decimal(1)), Decimal(min_out), attempt)


async def build(stage: Stage, offer: Quote, min_out: Decimal, attempt: int = 1, most: Decimal | None = None) -> Swap:
    kit, venue = stage
    return await venue.build(
        sol_usdc(),
        offer,
        min_out=min_out,
        max_in=most,
        slippage_bps=50,
        reference="order-1",
        attempt=attempt,
        signer=kit.signer,
    )


async def test_a_quote_follows_from_the_market(stage: Stage) -> None:
    kit, venue = stage
    tick = await venue.tick(sol_usdc())
    quote = await venue.quote(sol_usdc(), Decimal(2))
    assert tick.venue is quote.venue is venue.name
    assert tick.price == quote.price == 150
    assert tick.observed_at == quote.observed_at and kit.is_now(tick.observed_at)
    assert (quote.pair, quote.amount_in, quote.fee_bps) == ("SOL-USDC", Decimal(2), tick.fee_bps)
    assert Decimal("0.9999") < quote.net_price / tick.net_price <= 1


async def test_a_tick_seen_before_is_priced_as_the_venue_would_or_not_at_all(stage: Stage) -> None:
    """And without a question: the venue does not answer any more."""
    kit, venue = stage
    tick, asked = await venue.tick(sol_usdc()), await venue.quote(sol_usdc(), Decimal(2))
    kit.silence_venues()
    priced = venue.price(sol_usdc(), tick, Decimal(2))
    assert priced is None or priced == msgspec.structs.replace(asked, cached=True)
    if priced is not None:
        with pytest.raises(InsufficientLiquidity):
            venue.price(sol_usdc(), tick, Decimal("1e12"))


async def test_validity_alone_decides_and_comes_back_from_where_it_was_stored(stage: Stage) -> None:
    """The time for people to read plays no part."""
    kit, venue = stage
    swap = await built(stage)
    stored = msgspec.structs.replace(swap, valid_until=datetime.fromtimestamp(0, UTC))
    kit.last_moment(swap)
    assert [status.fate for status in await venue.status([stored])] == [Fate.PENDING]
    kit.past(swap)
    assert [status.fate for status in await venue.status([stored])] == [Fate.EXPIRED]


async def test_a_quote_that_cannot_be_given_says_why(stage: Stage) -> None:
    kit, venue = stage
    unlisted = tokens.REGISTRY.pair("USDC", "NEW")
    assert unlisted is not None
    with pytest.raises(NoRoute):
        await venue.quote(unlisted, Decimal(1))
    with pytest.raises(AmountTooSmall):
        await venue.quote(sol_usdc(), Decimal("0.000000001"))
    with pytest.raises(InsufficientLiquidity):
        await venue.quote(sol_usdc(), Decimal("1e12"))
    kit.silence_venues()
    with pytest.raises(VenueUnavailable):
        await venue.quote(sol_usdc(), Decimal(1))


async def test_a_swap_carries_what_was_asked_and_nothing_is_sent(stage: Stage) -> None:
    kit, venue = stage
    swap = await built(stage, min_out="148", attempt=3)
    assert (swap.reference, swap.attempt, swap.venue) == ("order-1", 3, venue.name)
    assert swap.min_out == 148 and (kit.signer is None or swap.wallet == kit.signer.address)
    assert [status.fate for status in await venue.status([swap])] == [Fate.PENDING]
    assert kit.landed("order-1") == 0


@pytest.mark.parametrize("quoted", ["0.01", "149"])
async def test_a_cached_quote_that_pays_less_than_the_venue_does_not_lower_min_out(stage: Stage, quoted: str) -> None:
    """Where it was cached others may write. The slippage counts from what the venue itself pays now."""
    kit, venue = stage
    offer = await venue.quote(sol_usdc(), Decimal(1))
    forged = msgspec.structs.replace(offer, amount_out=Decimal(quoted), price=Decimal(quoted), cached=True)
    least = min_out(sol_usdc(), forged, 50)
    swap = await build(stage, forged, least)
    assert swap.min_out == min_out(sol_usdc(), offer, 50) > least
    await venue.submit(swap)
    kit.settle()
    status = await venue.wait(swap, timeout_s=10)
    assert status.fill is not None and status.fill.amount_out >= swap.min_out


async def test_a_cached_quote_never_lowers_what_the_order_asks_beside_it(stage: Stage) -> None:
    _, venue = stage
    offer = await venue.quote(sol_usdc(), Decimal(1))
    cached = msgspec.structs.replace(offer, cached=True)
    asked = Decimal("149.5")
    assert min_out(sol_usdc(), offer, 50) < asked < offer.amount_out
    swap = await build(stage, cached, asked)
    assert swap.min_out == asked


async def test_a_cached_quote_above_what_the_venue_pays_is_refused_for_now(stage: Stage) -> None:
    _, venue = stage
    offer = await venue.quote(sol_usdc(), Decimal(1))
    forged = msgspec.structs.replace(offer, amount_out=Decimal(200), price=Decimal(200), cached=True)
    with pytest.raises(QuoteDeviates) as caught:
        await build(stage, forged, Decimal(199))
    assert (caught.value.code, caught.value.permanent, caught.value.venue) == ("QUOTE_DEVIATES", False, venue.name)


async def test_two_swaps_of_one_order_differ(stage: Stage) -> None:
    _, venue = stage
    one, two = await built(stage, attempt=1), await built(stage, attempt=2)
    assert one.signature != two.signature and one.payload != two.payload


async def test_a_swap_lands_once_at_no_worse_than_asked(stage: Stage) -> None:
    kit, venue = stage
    swap = await built(stage, min_out="149")
    for _ in range(3):
        await venue.submit(swap)
    kit.settle()
    status = await venue.wait(swap, timeout_s=10)
    assert status.fate is Fate.LANDED and status.fill is not None
    assert status.fill.amount_out >= swap.min_out
    assert kit.landed("order-1") == 1


async def test_a_market_that_moved_away_reverts_the_swap(stage: Stage) -> None:
    kit, venue = stage
    swap = await built(stage, min_out="149")
    kit.price(Decimal(148))
    await venue.submit(swap)
    kit.settle()
    status = await venue.wait(swap, timeout_s=10)
    assert (status.fate, status.error, status.fill) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED", None)


async def test_an_open_outcome_is_never_a_refusal(stage: Stage) -> None:
    kit, venue = stage
    swap = await built(stage)
    kit.leave_next_unanswered()
    with pytest.raises(SubmitUnknown):
        await venue.submit(swap)
    kit.settle()
    assert (await venue.wait(swap, timeout_s=10)).fate is Fate.LANDED


async def test_errors_name_the_venue(stage: Stage) -> None:
    kit, venue = stage
    kit.silence_venues()
    with pytest.raises(VenueUnavailable) as caught:
        await venue.tick(sol_usdc())
    assert caught.value.venue is venue.name


async def test_an_exact_output_costs_the_least_that_gives_it(stage: Stage) -> None:
    kit, venue = stage
    unit = Decimal("0.000000001")
    offer = await venue.quote(sol_usdc(), Decimal("299.5"), exact_out=True)
    assert offer.exact_out and offer.amount_out == Decimal("299.5")
    assert (await venue.quote(sol_usdc(), offer.amount_in)).amount_out >= offer.amount_out
    assert (await venue.quote(sol_usdc(), offer.amount_in - unit)).amount_out < offer.amount_out
    swap = await build(stage, offer, offer.amount_out, most=max_in(sol_usdc(), offer, 50))
    await venue.submit(swap)
    kit.settle()
    status = await venue.wait(swap, timeout_s=10)
    assert status.fate is Fate.LANDED and status.fill is not None, status
    assert status.fill.amount_out == offer.amount_out and status.fill.amount_in == offer.amount_in


async def test_an_exact_output_is_not_paid_for_by_more_than_its_most(stage: Stage) -> None:
    kit, venue = stage
    offer = await venue.quote(sol_usdc(), Decimal("299.5"), exact_out=True)
    swap = await build(stage, offer, offer.amount_out, most=max_in(sol_usdc(), offer, 50))
    kit.price(Decimal(148))
    await venue.submit(swap)
    kit.settle()
    status = await venue.wait(swap, timeout_s=10)
    assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED")
