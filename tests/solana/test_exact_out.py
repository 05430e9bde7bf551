"""Exact out on a real chain: to the last base unit what was asked for, for the least that the pool takes."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from routing.selection import max_in
from routing.solana.addresses import WRAPPED_SOL
from routing.values import Fate, Quote, Swap, VenueName
from routing.venue import InsufficientFunds, InsufficientLiquidity, QuoteDeviates
from routing.venues import METEORA, RAYDIUM
from tests.solana.stage import Key, Stage, pair

USDC = pair().token_out.mint


async def offered(stage: Stage, wanted: str, name: VenueName = RAYDIUM, of: str = "SOL-USDC") -> Quote:
    return await stage.venue(name).quote(pair(of), Decimal(wanted), exact_out=True)


async def built(stage: Stage, quote: Quote, name: VenueName = RAYDIUM, of: str = "SOL-USDC", **asked: Any) -> Swap:
    most = asked.pop("most", None)
    values = {
        "min_out": quote.amount_out,
        "max_in": max_in(pair(of), quote, 50) if most is None else most,
        "slippage_bps": 50,
        "signer": stage.signer,
        "reference": "order-1",
        "attempt": 1,
    }
    return await stage.venue(name).build(pair(of), quote, **(values | asked))


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
@pytest.mark.parametrize(("of", "wanted"), [("SOL-USDC", "123.456789"), ("USDC-SOL", "0.700000001")])
async def test_the_wallet_gets_just_that_and_pays_the_least_for_it(
    stage: Stage, name: VenueName, of: str, wanted: str
) -> None:
    quote = await offered(stage, wanted, name, of)
    less = quote.amount_in - Decimal(1).scaleb(-pair(of).token_in.decimals)
    assert (await stage.quote(str(less), name, of)).amount_out < Decimal(wanted)
    before = stage.sol(), stage.tokens(USDC)
    swap = await built(stage, quote, name, of)
    assert swap.max_in is not None and quote.amount_in < swap.max_in and swap.min_out == Decimal(wanted)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None, status
    fill = status.fill
    assert (fill.amount_in, fill.amount_out) == (quote.amount_in, Decimal(wanted))
    sold = int(quote.amount_in.scaleb(pair(of).token_in.decimals))
    bought = int(Decimal(wanted).scaleb(pair(of).token_out.decimals))
    change = (-sold, bought) if of == "SOL-USDC" else (bought, -sold)
    of_the_chain = sum((fee.amount for fee in fill.fees if fee.kind != "venue"), Decimal(0)).scaleb(9)
    assert (stage.sol(), stage.tokens(USDC)) == (before[0] + change[0] - of_the_chain, before[1] + change[1])
    assert {fee.kind for fee in fill.fees} == {"venue", "network", "priority"}


async def test_of_sol_that_is_wrapped_for_it_the_rest_stays_the_wallet_s(stage: Stage) -> None:
    fresh = Key()
    stage.node.control("give", owner=fresh.address, token="SOL", amount="2")
    stage.node.tick()
    quote = await offered(stage, "100")
    swap = await built(stage, quote, signer=fresh, most=Decimal("0.9"), slippage_bps=5000)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fill is not None and (status.fill.amount_in, status.fill.amount_out) == (quote.amount_in, 100)
    told = stage.node.rpc(
        "getTokenAccountsByOwner", fresh.address, {"mint": str(WRAPPED_SOL)}, {"encoding": "jsonParsed"}
    )
    [held] = [each["account"]["data"]["parsed"]["info"]["tokenAmount"]["amount"] for each in told["value"]]
    assert int(held) == int((Decimal("0.9") - quote.amount_in).scaleb(9))


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
async def test_a_pool_that_moved_is_not_paid_more(stage: Stage, name: VenueName) -> None:
    quote = await offered(stage, "100", name)
    swap = await built(stage, quote, name)
    stage.price(Decimal(148))
    before = stage.tokens(USDC)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert (status.fate, status.error) == (Fate.REVERTED, "SLIPPAGE_EXCEEDED")
    assert stage.tokens(USDC) == before
    with pytest.raises(QuoteDeviates):
        await built(stage, quote, name)
    stage.price(Decimal(150))


async def test_what_a_pool_or_a_wallet_does_not_have(stage: Stage) -> None:
    with pytest.raises(InsufficientLiquidity):
        await offered(stage, "15000000")
    quote = await offered(stage, "10", of="USDC-SOL")
    with pytest.raises(InsufficientFunds):
        await built(stage, quote, of="USDC-SOL")
    assert stage.signer.signed == []


async def test_a_cached_quote_is_held_against_the_pool(stage: Stage) -> None:
    quote = await offered(stage, "100")
    generous = replace(quote, amount_in=quote.amount_in * 2, cached=True)
    swap = await built(stage, generous, most=quote.amount_in * 2)
    assert swap.max_in == max_in(pair(), quote, 50)
    with pytest.raises(QuoteDeviates):
        await built(stage, replace(quote, cached=True), most=quote.amount_in / 2)


async def test_a_tick_gives_the_venue_s_own_quote(stage: Stage) -> None:
    for name in (RAYDIUM, METEORA):
        for of, wanted in (("SOL-USDC", "77.7"), ("USDC-SOL", "3.3")):
            tick, asked = await stage.venue(name).tick(pair(of)), await offered(stage, wanted, name, of)
            priced = stage.venue(name).price(pair(of), tick, Decimal(wanted), exact_out=True)
            assert priced is not None and priced.exact_out
            assert (priced.amount_in, priced.amount_out) == (asked.amount_in, Decimal(wanted))
