"""The router under one deadline, against venues that answer, fail and dawdle."""

from decimal import Decimal
from pathlib import Path

import pytest

from routing import tokens
from routing.mock.world import MockWorld, mock_world
from routing.selection import NoQuote
from routing.values import VenueName

PAIR = tokens.pair_named("SOL-USDC")


@pytest.fixture
def world(tmp_path: Path) -> MockWorld:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=100, max_age_ms=1000, valid_s=30)
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    return made


async def test_both_venues_are_compared(world: MockWorld) -> None:
    assert PAIR is not None
    selection = await world.router.quote(PAIR, Decimal(1))
    assert {quote.venue for quote in selection.quotes} == set(VenueName)
    assert selection.refusals == ()
    assert selection.winner.amount_out == max(quote.amount_out for quote in selection.quotes)
    assert world.router.venue(selection.winner.venue).name is selection.winner.venue


@pytest.mark.parametrize(("health", "code"), [("error", "VENUE_UNAVAILABLE"), ("slow", "VENUE_TIMEOUT")])
async def test_a_venue_that_fails_or_is_late_is_left_out(world: MockWorld, health: str, code: str) -> None:
    assert PAIR is not None
    world.market.move("SOL-USDC", raydium=health)
    selection = await world.router.quote(PAIR, Decimal(1))
    assert selection.reason == "only METEORA answered"
    assert [(refusal.venue, refusal.code) for refusal in selection.refusals] == [(VenueName.RAYDIUM, code)]
    world.market.move("SOL-USDC", meteora=health)
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(1))
    assert (caught.value.code, caught.value.permanent) == (code, False)


@pytest.mark.parametrize(("amount", "code"), [("0.000000001", "AMOUNT_TOO_SMALL"), ("1e9", "INSUFFICIENT_LIQUIDITY")])
async def test_what_no_venue_can_ever_do_is_permanent(world: MockWorld, amount: str, code: str) -> None:
    assert PAIR is not None
    with pytest.raises(NoQuote) as caught:
        await world.router.quote(PAIR, Decimal(amount))
    assert (caught.value.code, caught.value.permanent) == (code, True)


async def test_every_answer_fails_at_a_failure_rate_of_one(tmp_path: Path) -> None:
    assert PAIR is not None
    world = mock_world(tmp_path, seed=1, latency=0, failure_rate=1, deadline_ms=100, max_age_ms=1000, valid_s=30)
    with pytest.raises(NoQuote):
        await world.router.quote(PAIR, Decimal(1))
