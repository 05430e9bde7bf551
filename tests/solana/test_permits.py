"""Pools that a pair may use, on a localnet: read directly, asked for over HTTP, and both."""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from localnet.accounts import config_of
from localnet.formats import FORMATS
from localnet.genesis import TOKENS
from routing.permits import Permit, Permits
from routing.solana.vendors.vendor import Offer
from routing.values import Fate, Pair, Tick, VenueName
from routing.venue import NoRoute, PoolTooSmall, UnsafeTransaction, VenueNotPermitted
from routing.venues import METEORA, RAYDIUM
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair
from tests.solana.test_over_http import access

Open = Callable[[str], Stage]
SOL, USDC, JUP = (TOKENS[name].mint for name in ("SOL", "USDC", "JUP"))
MODES = pytest.mark.parametrize("mode", ["direct", "http", "both"])
NAMES = pytest.mark.parametrize("name", [RAYDIUM, METEORA])


def pool(name: VenueName, base: str = "SOL") -> str:
    format_ = FORMATS[name]
    return str(format_.pool(config_of(format_), TOKENS[base].mint, USDC))


class Said:
    now = Permits()

    def __call__(self) -> Permits:
        return self.now

    def say(self, *permits: Permit) -> None:
        self.now = Permits((str(SOL), str(USDC), each) for each in permits)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def open_stage(node: Localnet, said: Said) -> AsyncIterator[Open]:
    made: list[Stage] = []

    def start(mode: str) -> Stage:
        made.append(Stage(node, access=access(node, mode), permits=said))
        return made[-1]

    yield start
    for each in made:
        await each.world.close()


@MODES
@NAMES
async def test_a_named_pool_is_traded_and_another_one_is_not(
    open_stage: Open, said: Said, mode: str, name: VenueName
) -> None:
    stage = open_stage(mode)
    said.say(Permit(name, pool(name)))
    swap = await stage.build(name=name)
    await stage.venue(name).submit(swap)
    assert (await stage.settled(swap)).fate is Fate.LANDED
    for other in (pool(name, "JUP"), pool(METEORA if name == RAYDIUM else RAYDIUM)):
        said.say(Permit(name, other))
        with pytest.raises(NoRoute):
            await stage.quote("2", name)
    said.say(Permit(METEORA if name == RAYDIUM else RAYDIUM))
    with pytest.raises(VenueNotPermitted):
        await stage.quote("3", name)


@NAMES
async def test_nobody_asks_for_a_depth_that_no_permit_names(
    open_stage: Open, said: Said, name: VenueName, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = open_stage("http")
    venue, asked = stage.venue(name), list[str]()
    told = venue._told  # type: ignore[attr-defined]

    async def counted(of: Pair) -> Tick:
        asked.append(of.name)
        tick: Tick = await told(of)
        return tick

    monkeypatch.setattr(venue, "_told", counted)
    said.say(Permit(name, pool(name)))
    await stage.quote("1", name)
    assert asked == []
    said.say(Permit(name, pool(name), Decimal(1)))
    await stage.quote("2", name)
    await stage.quote("3", name)
    assert asked == ["SOL-USDC"], "and once where one does"


@MODES
@NAMES
async def test_a_pool_that_holds_too_little_is_not_chosen_nor_built_with(
    open_stage: Open, said: Said, mode: str, name: VenueName
) -> None:
    stage = open_stage(mode)
    depth = (await stage.venue(name).tick(pair())).liquidity
    said.say(Permit(name, "", Decimal(int(depth * Decimal("0.9")))))
    quote = await stage.quote("1", name)
    said.say(Permit(name, "", depth * 2))
    for of in ("SOL-USDC", "USDC-SOL"):
        with pytest.raises(PoolTooSmall):
            await stage.venue(name).tick(pair(of))
        with pytest.raises(PoolTooSmall, match="is traded from"):
            await stage.quote("1", name, of)
    with pytest.raises(PoolTooSmall):
        await stage.venue(name).build(
            pair(), quote, min_out=Decimal(1), slippage_bps=50, signer=stage.signer, reference="late", attempt=1
        )
    assert stage.signer.signed == []


async def test_a_vendor_that_swaps_in_another_pool_than_it_offered_is_not_signed(open_stage: Open, said: Said) -> None:
    stage = open_stage("http")
    venue = stage.venue(METEORA)
    said.say(Permit(METEORA, pool(METEORA)), Permit(METEORA, pool(METEORA, "JUP")))
    quote = await stage.quote("1", METEORA)
    vendor = venue._vendor  # type: ignore[attr-defined]
    honest = vendor.offer

    async def lying(*asked: object, **more: object) -> Offer:
        offer: Offer = await honest(*asked, **more)
        return Offer(offer.pays, offer.impact, offer.fee_bps, offer.seen_at, offer.answer, [pool(METEORA, "JUP")])

    vendor.offer = lying
    venue._offers.clear()  # type: ignore[attr-defined]
    with pytest.raises(UnsafeTransaction, match="another pool than was offered"):
        await venue.build(
            pair(), replace(quote), min_out=Decimal(1), slippage_bps=50, signer=stage.signer, reference="lie", attempt=1
        )
    assert stage.signer.signed == []


async def test_named_pools_need_not_be_looked_for(node: Localnet, said: Said) -> None:
    """As on a cluster whose nodes refuse to list a program's accounts: `pools` is set, and does not name the pair's."""
    stage = Stage(node, permits=said, pools=[pool(RAYDIUM, "JUP")])
    try:
        with pytest.raises(NoRoute):
            await stage.quote()
        assert "SOL-USDC" not in {each.name for each in stage.world.listed_pairs()}
        said.say(Permit(RAYDIUM, pool(RAYDIUM)))
        assert (await stage.quote()).amount_out > 0
        stage.world.listed._looked_at = float("-inf")
        assert "SOL-USDC" in {each.name for each in stage.world.listed_pairs()}
    finally:
        await stage.world.close()
