"""Whether a few hold most of a token. Pure."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from solders.pubkey import Pubkey

from routing.gates import Finding, Verdict
from routing.solana.addresses import SYSTEM
from routing.solana.launches import METEORA_LB, RAYDIUM_CLMM
from routing.solana.pools import CPMM, DAMM
from routing.solana.programs import METEORA_DAMM, RAYDIUM_CPMM

GATE = "topHolders"
COUNTED = 10
"""Of the twenty accounts that `getTokenLargestAccounts` tells."""
SUPPLY_AT = 36
"""Of a mint: base units (u64)."""
INCINERATOR = Pubkey.from_string("1nc1nerator11111111111111111111111111111111")
"""Whatever is sent there nobody has any more."""
POOL_AUTHORITIES = frozenset(
    {
        RAYDIUM_CPMM.authority,
        METEORA_DAMM.authority,
        # Raydium's AMM v4, https://docs.raydium.io/raydium/protocol/developers/addresses.
        Pubkey.from_string("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"),
    }
)
"""Addresses that own the vaults of all pools of a program."""
POOL_PROGRAMS = frozenset(
    {
        CPMM.program,
        DAMM.program,
        RAYDIUM_CLMM.program,
        METEORA_LB.program,
    }
)
"""Programs whose pools own their vaults themselves: Raydium CLMM, Meteora DLMM."""


class Holder(msgspec.Struct, frozen=True):
    owner: Pubkey
    program: Pubkey | None
    """Of the owner's account; None where there is none."""
    units: int


def judge(holders: Iterable[Holder], supply: int, most_bps: int) -> Finding:
    """`holders`: of the largest accounts of the mint."""
    if supply <= 0:
        return Finding(GATE, Verdict.UNKNOWN, "there is nothing of it")
    held: Counter[Pubkey] = Counter()
    for each in holders:
        pool = each.owner in POOL_AUTHORITIES or each.program in POOL_PROGRAMS
        if not pool and each.owner not in (INCINERATOR, SYSTEM):
            held[each.owner] += each.units
    share = sum(units for _, units in held.most_common(COUNTED)) * 10_000 // supply
    said = f"the {COUNTED} largest holders have {share / 100:g} % of it"
    if share > most_bps:
        return Finding(GATE, Verdict.FAIL, f"{said}, allowed are {most_bps / 100:g} %")
    return Finding(GATE, Verdict.PASS, said)
