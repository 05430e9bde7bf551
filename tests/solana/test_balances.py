"""What wallets hold, over RPC, and the faucet of test clusters."""

from decimal import Decimal

import pytest
from solders.keypair import Keypair

from routing.controls import InvalidMove
from routing.faucet import RpcFaucet
from routing.venue import VenueUnavailable
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair

PAIR = pair("SOL-USDC")
SOL, USDC = PAIR.token_in, PAIR.token_out


async def test_a_deposit_is_seen_with_the_next_block(stage: Stage) -> None:
    address = str(Keypair().pubkey())
    [before] = await stage.world.balances.all([address])
    assert (before.lamports, before.tokens) == (0, {})
    stage.node.control("give", owner=address, token="SOL", amount="2")
    stage.node.control("give", owner=address, token="WSOL", amount="1.5")
    stage.node.control("give", owner=address, token="USDC", amount="7.25")
    stage.node.tick()
    [after] = await stage.world.balances.all([address])
    assert after.lamports == 2 * 10**9
    assert after.tokens == {SOL.mint: 15 * 10**8, USDC.mint: 7_250_000}
    assert after.decimals[USDC.mint] == 6


async def test_what_is_spendable_is_as_of_one_slot(stage: Stage) -> None:
    address = stage.signer.address
    held = await stage.world.balances.spendable(address, USDC)
    assert held.tokens == {SOL.mint: 100 * 10**9, USDC.mint: 10**9} and held.lamports == 100 * 10**9
    stage.node.tick(3)
    assert (await stage.world.balances.spendable(address, USDC, at_least=held.slot + 2)).slot >= held.slot + 2
    with pytest.raises(VenueUnavailable, match="has reached slot"):
        await stage.world.balances.spendable(address, USDC, at_least=held.slot + 1_000)


def test_the_faucet_of_a_test_cluster_gives_sol_only(node: Localnet) -> None:
    address, faucet = str(Keypair().pubkey()), RpcFaucet([node.addresses["rpcUrl"]])
    faucet.give(address, "SOL", Decimal("1.5"))
    node.tick()
    assert node.rpc("getBalance", address)["value"] == 1_500_000_000
    with pytest.raises(InvalidMove, match="SOL only"):
        faucet.give(address, USDC.mint, Decimal(1))
    with pytest.raises(InvalidMove, match="no node answers"):
        RpcFaucet(["http://127.0.0.1:9"]).give(address, "SOL", Decimal(1))
