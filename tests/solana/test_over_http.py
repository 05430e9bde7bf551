"""Venues over HTTP on a localnet: the same quotes and fills as directly, to the base unit, and prices of many pairs at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from solders.pubkey import Pubkey

from routing.breaker import MAX_FAILURES
from routing.router import Router
from routing.selection import max_in
from routing.solana.pools import CPMM
from routing.solana.programs import JUPITER as ROUTER
from routing.solana.vendors.prices import PriceApi
from routing.solana.world import Access
from routing.values import Fate, Tick, VenueName
from routing.venue import ExactOutUnsupported, NoRoute, QuoteDeviates, UnsafeTransaction, VenueRateLimited
from routing.venues import METEORA, RAYDIUM
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair

Open = Callable[..., Stage]
JUPITER = VenueName("JUPITER")


def access(node: Localnet, mode: str, **more: Any) -> Access:
    modes = {"RAYDIUM": mode, "METEORA": mode} | ({"JUPITER": "http"} if more.pop("jupiter", False) else {})
    root = node.addresses["rpcUrl"]
    return Access(modes, raydium_url=f"{root}/raydium", jupiter_url=f"{root}/jupiter", **more)


@pytest.fixture
async def open_stage(node: Localnet) -> AsyncIterator[Open]:
    made: list[Stage] = []

    def start(mode: str, **more: Any) -> Stage:
        made.append(Stage(node, access=access(node, mode, **more)))
        return made[-1]

    yield start
    for each in made:
        await each.world.close()


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
@pytest.mark.parametrize(("of", "amount"), [("SOL-USDC", "1.234567891"), ("USDC-SOL", "100.000001")])
async def test_each_way_of_asking_fills_the_same_to_the_base_unit(
    open_stage: Open, name: VenueName, of: str, amount: str
) -> None:
    fills = {}
    for mode in ("direct", "http", "both"):
        stage = open_stage(mode)
        quote = await stage.quote(amount, name, of)
        swap = await stage.build(f"order-{mode}", name=name, of=of, amount=amount)
        await stage.venue(name).submit(swap)
        status = await stage.settled(swap)
        assert status.fate is Fate.LANDED and status.fill is not None, (mode, status)
        assert (status.fill.amount_in, status.fill.amount_out) == (Decimal(amount), quote.amount_out), mode
        assert len(stage.landed(f"order-{mode}/1")) == 1
        fills[mode] = status.fill.amount_out
        told = [fee.amount for fee in status.fill.fees if fee.kind == "venue"]
        # What a route's pools keep is contained in what they pay; Jupiter does not tell it apart.
        assert len(told) == (0 if (name, mode) == (METEORA, "http") else 1), (mode, told)
        assert swap.venue == name
    assert fills["direct"] == fills["http"] == fills["both"]


async def exactly(stage: Stage, wanted: str, reference: str, name: VenueName = RAYDIUM, of: str = "SOL-USDC") -> Any:
    """The quote for just that, and what became of its transaction."""
    quote = await stage.venue(name).quote(pair(of), Decimal(wanted), exact_out=True)
    swap = await stage.venue(name).build(
        pair(of),
        quote,
        min_out=quote.amount_out,
        max_in=max_in(pair(of), quote, 50),
        slippage_bps=50,
        signer=stage.signer,
        reference=reference,
        attempt=1,
    )
    await stage.venue(name).submit(swap)
    return quote, await stage.settled(swap)


@pytest.mark.parametrize(("of", "wanted"), [("SOL-USDC", "123.456789"), ("USDC-SOL", "0.700000001")])
async def test_an_exact_output_costs_the_same_whichever_way_it_is_asked_for(
    open_stage: Open, of: str, wanted: str
) -> None:
    for mode in ("direct", "http", "both"):
        stage = open_stage(mode)
        quote, status = await exactly(stage, wanted, f"exact-{mode}", of=of)
        assert status.fate is Fate.LANDED and status.fill is not None, (mode, status)
        assert (status.fill.amount_in, status.fill.amount_out) == (quote.amount_in, Decimal(wanted)), mode


async def test_jupiter_sells_nothing_for_an_exact_output(open_stage: Open) -> None:
    stage = open_stage("http", jupiter=True)
    for name in (METEORA, JUPITER):
        with pytest.raises(ExactOutUnsupported):
            await stage.venue(name).quote(pair(), Decimal(1), exact_out=True)


async def test_jupiter_is_a_third_venue_where_it_is_switched_on(open_stage: Open) -> None:
    """Its own program swaps, and calls the program of the better pool."""
    stage = open_stage("direct", jupiter=True)
    stage.node.control("pool", venue="RAYDIUM", base="SOL", quote="USDC", price="151", depth="15000000")
    stage.world.accounts.forget()
    quotes = {name: await stage.quote("5", name) for name in (RAYDIUM, METEORA, JUPITER)}
    assert quotes[JUPITER].amount_out == quotes[RAYDIUM].amount_out > quotes[METEORA].amount_out
    swap = await stage.build("order-routed", name=JUPITER, amount="5")
    await stage.venue(JUPITER).submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None
    assert (status.fill.amount_in, status.fill.amount_out) == (Decimal(5), quotes[JUPITER].amount_out)
    (landed,) = stage.landed("order-routed/1")
    invoked = [line for line in landed["meta"]["logMessages"] if "invoke" in line]
    assert f"Program {ROUTER.address} invoke [1]" in invoked and f"Program {CPMM.program} invoke [2]" in invoked


async def test_a_route_that_would_pay_too_little_reverts(open_stage: Open) -> None:
    stage = open_stage("direct", jupiter=True)
    before = stage.tokens(pair().token_out.mint)
    swap = await stage.build(name=JUPITER)
    stage.price(Decimal(147))
    await stage.venue(JUPITER).submit(swap)
    status = await stage.settled(swap)
    assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED"), status
    assert stage.tokens(pair().token_out.mint) == before and stage.landed("order-1/1") == []


async def test_the_least_output_is_written_by_us_whatever_the_vendor_wrote(open_stage: Open) -> None:
    stage = open_stage("http")
    quote = await stage.quote()
    swap = await stage.build(min_out=str(quote.amount_out))
    stage.price(Decimal("149.9"))  # Within the vendor's slippage, below ours.
    await stage.venue().submit(swap)
    status = await stage.settled(swap)
    assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED")


async def test_what_is_offered_less_than_asked_is_not_built(open_stage: Open) -> None:
    stage = open_stage("http")
    quote = await stage.quote()
    with pytest.raises(QuoteDeviates):
        await stage.build(min_out=str(quote.amount_out + Decimal("0.000001")))
    with pytest.raises(UnsafeTransaction):
        await stage.build(signer=None)
    assert stage.signer.signed == []


async def test_a_pair_without_a_pool_has_no_route_and_no_price(open_stage: Open) -> None:
    stage = open_stage("http")
    for name in (RAYDIUM, METEORA):
        with pytest.raises(NoRoute):
            await stage.quote(name=name, of="NEW-USDC")
        with pytest.raises(NoRoute):
            await stage.venue(name).tick(pair("NEW-USDC"))


async def test_one_request_prices_all_pairs_of_a_poll_both_ways(open_stage: Open) -> None:
    """A server that takes one request a second, with a whole poll of pairs: all have a price, none is refused."""
    stage = open_stage("http", jupiter_per_s=1.0, redis_url="redis://127.0.0.1:9")
    router: Router = stage.world.router
    names = ["SOL-USDC", "USDC-SOL", "JUP-USDC", "USDC-JUP", "BONK-USDC", "JUP-SOL"]
    found = await asyncio.gather(*(router.ticks(pair(name), deadline_s=5) for name in names))
    ticks = {name: answers[RAYDIUM] for name, answers in zip(names, found, strict=True)}
    assert all(isinstance(tick, Tick) for answers in found for tick in answers.values()), found
    assert isinstance(sol := ticks["SOL-USDC"], Tick) and isinstance(back := ticks["USDC-SOL"], Tick)
    assert abs(sol.price - 150) < Decimal("0.5") and abs(sol.price * back.price - 1) < Decimal("1e-20")
    assert sol.liquidity == back.liquidity > 10_000_000


async def test_refused_exact_outputs_rest_no_venue(open_stage: Open) -> None:
    router = open_stage("http").world.router
    for _ in range(2 * MAX_FAILURES):
        exact = await router.quote(pair(), Decimal(150), exact_out=True)
        assert exact.winner.venue == RAYDIUM, "Jupiter's build has no exact output"
    assert {each.venue for each in (await router.quote(pair(), Decimal(1))).quotes} == {RAYDIUM, METEORA}


async def test_prices_are_asked_for_with_what_executing_leaves_over(open_stage: Open) -> None:
    stage = open_stage("http", jupiter_per_s=10.0, redis_url="redis://127.0.0.1:9")
    [jupiter] = [api for api in stage.world.apis if api.allowance._host.endswith("/jupiter")]
    prices = PriceApi(jupiter)
    with pytest.raises(VenueRateLimited):
        for _ in range(20):
            await prices.get([str(Pubkey.new_unique())])
    await jupiter.allowance.take(urgent=True)
