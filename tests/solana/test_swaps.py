"""A swap on a real chain, from quote to fill: both venues, both ways, to the last base unit."""

from decimal import Decimal

import pytest

from routing.solana.addresses import TOKEN, associated_account, pubkey
from routing.values import Fate, VenueName
from routing.venue import InsufficientFunds, UnsafeTransaction
from routing.venues import METEORA, RAYDIUM
from tests.solana.stage import Key, Stage, pair

USDC = pair().token_out.mint


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
@pytest.mark.parametrize(("of", "amount"), [("SOL-USDC", "1.234567891"), ("USDC-SOL", "100.000001")])
async def test_the_chain_pays_what_was_quoted_and_the_fill_says_so(
    stage: Stage, name: VenueName, of: str, amount: str
) -> None:
    quote = await stage.quote(amount, name, of)
    before = stage.sol(), stage.tokens(USDC)
    swap = await stage.build(name=name, of=of, amount=amount)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None
    fill = status.fill
    assert (fill.amount_in, fill.amount_out) == (Decimal(amount), quote.amount_out)
    sold, bought = (
        int(Decimal(amount).scaleb(pair(of).token_in.decimals)),
        int(quote.amount_out.scaleb(pair(of).token_out.decimals)),
    )
    change = (-sold, bought) if of == "SOL-USDC" else (bought, -sold)
    of_the_chain = sum((fee.amount for fee in fill.fees if fee.kind != "venue"), Decimal(0)).scaleb(9)
    assert (stage.sol(), stage.tokens(USDC)) == (before[0] + change[0] - of_the_chain, before[1] + change[1])
    kinds = {fee.kind: fee for fee in fill.fees}
    assert kinds.keys() == {"venue", "network", "priority"}
    assert kinds["network"].amount == Decimal("0.000005")
    assert kinds["venue"].token == (pair(of).token_in.mint if name == RAYDIUM else pair(of).token_out.mint)
    told = stage.node.rpc("getTransaction", swap.signature, {"maxSupportedTransactionVersion": 1})
    assert (fill.slot, fill.units) == (told["slot"], told["meta"]["computeUnitsConsumed"])


async def test_an_account_that_is_missing_is_made_and_its_rent_is_told_apart(stage: Stage) -> None:
    fresh = Key()
    stage.node.control("give", owner=fresh.address, token="SOL", amount="2")
    stage.node.tick()
    swap = await stage.build(signer=fresh)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fill is not None
    rent = {fee.kind: fee.amount for fee in status.fill.fees}["rent"]
    each = stage.node.rpc("getMinimumBalanceForRentExemption", 165)
    assert rent.scaleb(9) == 2 * each, "of wrapped SOL and of USDC"
    assert status.fill.amount_in == 1, "what was wrapped for it is no fee"


@pytest.mark.parametrize("sent", [890_880, 10_000_000])
@pytest.mark.parametrize("of", ["SOL-USDC", "USDC-SOL"])
async def test_what_a_stranger_sent_to_an_account_s_address_before_it_is_made_stops_nothing(
    stage: Stage, of: str, sent: int
) -> None:
    fresh, tokens = Key(), pair(of)
    stage.node.control("give", owner=fresh.address, token="SOL", amount="2")
    if of == "USDC-SOL":
        stage.node.control("give", owner=fresh.address, token="USDC", amount="10")
    missing = [tokens.token_out.mint, *([tokens.token_in.mint] if of == "SOL-USDC" else [])]
    for mint in missing:
        account = associated_account(pubkey(fresh.address), pubkey(mint), TOKEN)
        stage.node.rpc("requestAirdrop", str(account), sent)
    stage.node.tick()
    quote = await stage.quote("1", of=of)
    swap = await stage.build(signer=fresh, of=of)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None, status
    assert (status.fill.amount_in, status.fill.amount_out) == (1, quote.amount_out)
    rent = {fee.kind: fee.amount for fee in status.fill.fees}.get("rent", Decimal(0))
    each = stage.node.rpc("getMinimumBalanceForRentExemption", 165)
    assert rent.scaleb(9) == len(missing) * max(0, each - sent), "what the stranger paid is no fee of ours"


async def test_a_wallet_with_too_little_is_told_before_anything_is_signed(stage: Stage) -> None:
    poor = Key()
    for give in ("0", "0.5"):
        if give != "0":
            stage.node.control("give", owner=poor.address, token="SOL", amount=give)
            stage.node.tick()
        with pytest.raises(InsufficientFunds) as caught:
            await stage.build(signer=poor)
        assert (caught.value.code, caught.value.venue) == ("INSUFFICIENT_FUNDS", RAYDIUM)
    with pytest.raises(InsufficientFunds):
        await stage.build(of="USDC-SOL", amount="1000.1")
    assert poor.signed == stage.signer.signed == []


async def test_a_cap_bounds_what_is_bid_and_refuses_what_cannot_be_paid(stage: Stage) -> None:
    with pytest.raises(UnsafeTransaction):
        await stage.build(max_fee_lamports=4_999)
    swap = await stage.build(max_fee_lamports=5_000)
    await stage.world.chain.submit(swap)
    status = await stage.settled(swap)
    assert status.fill is not None
    assert {fee.kind: fee.amount for fee in status.fill.fees if fee.kind != "venue"} == {"network": Decimal("0.000005")}


async def test_without_a_signer_nothing_is_built(stage: Stage) -> None:
    with pytest.raises(UnsafeTransaction):
        await stage.build(signer=None)


async def test_a_tick_gives_the_venue_s_own_quote(stage: Stage) -> None:
    stage.price(Decimal("147.931"), depth="1234567.890123")
    for name in (RAYDIUM, METEORA):
        for of, amount in (("SOL-USDC", "3.3"), ("USDC-SOL", "77.7")):
            venue = stage.venue(name)
            tick, asked = await venue.tick(pair(of)), await stage.quote(amount, name, of)
            priced = venue.price(pair(of), tick, Decimal(amount))
            assert priced is not None and priced.amount_out == asked.amount_out
    stage.price(Decimal(150))
