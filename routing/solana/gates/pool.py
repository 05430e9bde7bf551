"""How large and old a token's pool is, and whether its liquidity can be taken out. Pure.

What is not reached yet may be reached in a moment: such a gate is unknown, not failed, so that a sniper waits for it.
"""

import struct
from datetime import timedelta
from decimal import Decimal

import msgspec
from solders.pubkey import Pubkey

from routing.gates import Finding, Verdict
from routing.solana.pools import CPMM, DAMM

SIZE, AGE, LP_BURNT = "poolSize", "poolAge", "lpBurnt"
LP_MINT_AT, LP_MADE_AT = 136, 333
"""Of Raydium's `PoolState`: the LP mint; how many LP tokens were made for what lies in the pool, whoever burns some."""
LIQUIDITY_AT, LOCKED_AT = 360, 552
"""Of Meteora's `Pool`: all liquidity (u128), and what is locked for good."""


class Liquidity(msgspec.Struct, frozen=True):
    """Who may take a pool's liquidity out again. One of the two is set where the pool's type has it."""

    lp_mint: Pubkey | None = None
    """LP tokens: whoever has them may. What is burnt is missing in the mint's supply."""
    made: int = 0
    """LP tokens, or units of liquidity."""
    locked: int | None = None
    """Units of liquidity that nobody may take out."""


def liquidity_of(program: Pubkey, pool: bytes) -> Liquidity:
    """Nothing is told of a pool whose type is not known here."""
    if program == CPMM.program and len(pool) == CPMM.size:
        lp_mint = Pubkey.from_bytes(pool[LP_MINT_AT : LP_MINT_AT + 32])
        return Liquidity(lp_mint=lp_mint, made=struct.unpack_from("<Q", pool, LP_MADE_AT)[0])
    if program == DAMM.program and len(pool) == DAMM.size:
        made, locked = (int.from_bytes(pool[at : at + 16], "little") for at in (LIQUIDITY_AT, LOCKED_AT))
        return Liquidity(made=made, locked=locked)
    return Liquidity()


def size(depth: Decimal, label: str, least: Decimal) -> Finding:
    """`depth`: what the pool holds of its quote token, `label`."""
    said = f"the pool holds {depth.normalize():f} {label}"
    if depth >= least:
        return Finding(SIZE, Verdict.PASS, said)
    return Finding(SIZE, Verdict.UNKNOWN, f"{said} and not {least.normalize():f} yet")


def age(opened_at: int, now: float, least: timedelta) -> Finding:
    """`opened_at`, `now`: Unix time in seconds; 0: the pool does not say."""
    if opened_at <= 0:
        return Finding(AGE, Verdict.UNKNOWN, "the pool does not say when it opened")
    open_for = timedelta(seconds=max(0, int(now - opened_at)))
    said = f"the pool is open for {open_for}"
    if open_for >= least:
        return Finding(AGE, Verdict.PASS, said)
    return Finding(AGE, Verdict.UNKNOWN, f"{said} and not {least} yet")


def lp_burnt(liquidity: Liquidity, left: int | None, least_bps: int) -> Finding:
    """`left`: LP tokens that somebody still has; None where nobody knows."""
    if liquidity.made <= 0 or (liquidity.locked is None and left is None):
        return Finding(LP_BURNT, Verdict.UNKNOWN, "nothing tells who may take the pool's liquidity out")
    gone = liquidity.made - (left or 0) if liquidity.locked is None else liquidity.locked
    share = max(0, gone) * 10_000 // liquidity.made
    said = f"{share / 100:g} % of the pool's liquidity is there for good"
    if share >= least_bps:
        return Finding(LP_BURNT, Verdict.PASS, said)
    return Finding(LP_BURNT, Verdict.UNKNOWN, f"{said} and not {least_bps / 100:g} % yet")
