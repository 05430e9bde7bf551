"""What a pair may use: by rule, and by a router whose venues are asked or not."""

from decimal import Decimal
from pathlib import Path

import pytest

from routing.mock.tokens import REGISTRY
from routing.mock.world import MockWorld, mock_world
from routing.permits import Permit, Permits
from routing.poller import Poller
from routing.selection import NoQuote
from routing.values import Pair
from routing.venue import PoolTooSmall, VenueNotPermitted
from routing.venues import METEORA, RAYDIUM

FOUND = REGISTRY.pair_named("SOL-USDC")
assert FOUND is not None
PAIR: Pair = FOUND
A, B = "A" * 43, "B" * 43
BOTH_WAYS = pytest.mark.parametrize("pair", [PAIR, PAIR.reverse], ids=lambda pair: pair.name)


def permits(*each: Permit, pair: Pair = PAIR) -> Permits:
    return Permits((pair.token_in.mint, pair.token_out.mint, one) for one in each)


@BOTH_WAYS
def test_a_pair_of_which_nothing_is_said_uses_everything(pair: Pair) -> None:
    jup = REGISTRY.pair_named("JUP-USDC")
    assert jup is not None
    at = permits(Permit(RAYDIUM), pair=jup).at(pair, METEORA)
    at.check_depth(Decimal(0), A)
    at.check_pools([])
    assert at.pools is None


@BOTH_WAYS
def test_a_venue_without_a_permit_is_not_used(pair: Pair) -> None:
    said = permits(Permit(RAYDIUM))
    said.at(pair, RAYDIUM).check_depth(Decimal(0), A)
    for check in (
        lambda at: at.check_venue(),
        lambda at: at.check_depth(Decimal(10**9), A),
        lambda at: at.check_pools([A]),
    ):
        with pytest.raises(VenueNotPermitted):
            check(said.at(pair, METEORA))


def test_a_named_pool_is_the_only_one() -> None:
    at = permits(Permit(RAYDIUM, A, Decimal(5))).at(PAIR, RAYDIUM)
    assert at.pools == (A,)
    at.check_pools([A])
    at.check_depth(Decimal(5), A)
    for route in ([B], [A, B], []):
        with pytest.raises(VenueNotPermitted):
            at.check_pools(route)
    with pytest.raises(VenueNotPermitted):
        at.check_depth(Decimal(10**9), B)


def test_a_pool_holds_at_least_what_is_asked_for() -> None:
    at = permits(Permit(RAYDIUM, "", Decimal(1_000)), Permit(RAYDIUM, A, Decimal(10))).at(PAIR, RAYDIUM)
    assert at.pools is None, "every pool of the venue may be used"
    at.check_depth(Decimal(1_000), B)
    at.check_depth(Decimal(10), A)
    with pytest.raises(PoolTooSmall, match="the pool holds 999.5 USDC, and SOL-USDC is traded from 1000 USDC"):
        at.check_depth(Decimal("999.50"), B)
    with pytest.raises(PoolTooSmall):
        at.check_depth(Decimal("9.99"), A)


class Said:
    """Permits that change."""

    now = Permits()

    def __call__(self) -> Permits:
        return self.now


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def world(tmp_path: Path, said: Said) -> MockWorld:
    made = mock_world(
        tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=500, max_age_ms=10_000, valid_s=30, permits=said
    )
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    return made


@BOTH_WAYS
async def test_the_router_asks_permitted_venues_only_and_says_why_the_other_is_out(
    world: MockWorld, said: Said, pair: Pair
) -> None:
    ticks = await world.router.ticks(pair, deadline_s=1)
    said.now = permits(Permit(METEORA))
    for selection in (
        await world.router.quote(pair, Decimal(1)),
        await world.router.compare(pair, Decimal(1), ticks),  # type: ignore[arg-type]
        await world.router.estimate(pair, Decimal(1), ticks),  # type: ignore[arg-type]
    ):
        assert {quote.venue for quote in selection.quotes} == {METEORA}
        assert [(each.venue, each.code) for each in selection.refusals] == [(RAYDIUM, "VENUE_NOT_PERMITTED")]
        assert "may not be traded at RAYDIUM" in selection.refusals[0].message


async def test_a_pool_below_the_minimum_is_not_chosen_asked_or_cached(world: MockWorld, said: Said) -> None:
    ticks = await world.router.ticks(PAIR, deadline_s=1)
    depth = ticks[RAYDIUM].liquidity  # type: ignore[union-attr]
    said.now = permits(Permit(RAYDIUM, "", depth + 1), Permit(METEORA))
    for selection in (
        await world.router.quote(PAIR, Decimal(1)),
        await world.router.compare(PAIR, Decimal(1), ticks),  # type: ignore[arg-type]
    ):
        assert {quote.venue for quote in selection.quotes} == {METEORA}
        assert [(each.venue, each.code) for each in selection.refusals] == [(RAYDIUM, "POOL_TOO_SMALL")]


async def test_a_pair_that_may_use_nothing_that_is_there_has_no_quote_and_no_price(
    world: MockWorld, said: Said
) -> None:
    poller = Poller(world.router, deadline_ms=500)
    before = (await poller.poll([PAIR]))[0]
    assert before.best is not None and before.listed
    said.now = permits(Permit(RAYDIUM, "", Decimal(10**15)), Permit(METEORA, "", Decimal(10**15)))
    after = (await poller.poll([PAIR]))[0]
    assert (after.best, after.listed, dict(after.ticks)) == (None, False, {})
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(1))
    assert (caught.value.code, caught.value.permanent) == ("POOL_TOO_SMALL", False)


async def test_what_the_permitted_venue_says_is_what_the_order_fails_with(world: MockWorld, said: Said) -> None:
    said.now = permits(Permit(METEORA))
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal("0.000000001"))
    assert (caught.value.code, caught.value.permanent) == ("AMOUNT_TOO_SMALL", True)
