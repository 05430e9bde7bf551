"""The cluster is what the mode says: a node that answers with its genesis hash is used, one of another cluster never."""

from collections.abc import Callable

import pytest
from msgspec import convert

from routing.cluster import GENESIS
from routing.mock.tokens import REGISTRY
from routing.solana.nodes import NodeRefused
from routing.solana.pool_index import Found, scan
from routing.solana.pools import CPMM
from routing.solana.tokens import of_cluster
from routing.solana.world import SolanaWorld, solana_world
from tests.localnet.node import Localnet
from tests.solana.stage import Stage

Start = Callable[..., Localnet]


def opened(node: Localnet, mode: str) -> SolanaWorld:
    return solana_world(
        [node.addresses["rpcUrl"]],
        genesis_hash=GENESIS[mode],
        tokens=lambda: REGISTRY,
        deadline_ms=2_000,
        max_age_ms=1_500,
    )


async def test_a_node_is_used_by_the_mode_of_its_cluster_alone(start_localnet: Start) -> None:
    node = start_localnet(hold="", genesis=GENESIS["mainnet"])
    right, wrong = opened(node, "mainnet"), opened(node, "devnet")
    try:
        await right.verify()
        with pytest.raises(NodeRefused, match="another cluster"):
            await wrong.verify()
    finally:
        await right.close()
        await wrong.close()


async def test_named_pools_are_the_only_ones(start_localnet: Start) -> None:
    node = start_localnet(hold="")
    stage = Stage(node)
    try:
        every = {pair.name for pair in stage.world.listed_pairs()}
        assert {"SOL-USDC", "USDC-SOL", "JUP-USDC"} <= every
        found = node.rpc("getProgramAccounts", str(CPMM.program), scan(CPMM)[1][1])
        sol, usdc = (REGISTRY.tokens[n].mint for n in (1, 0))
        read = [(each["pubkey"], convert(each, Found).mints) for each in found]
        [named] = [address for address, mints in read if {*map(str, mints)} == {sol, usdc}]
        some = stage.open(pools=[named])
        assert {pair.name for pair in some.listed_pairs()} == {"SOL-USDC", "USDC-SOL"}
        await some.close()
    finally:
        await stage.world.close()


def test_a_public_cluster_has_its_own_dollars() -> None:
    mainnet, devnet = (of_cluster(mode).tokens[0] for mode in ("mainnet", "devnet"))
    assert mainnet.symbol == devnet.symbol == "USDC" and mainnet.mint != devnet.mint
