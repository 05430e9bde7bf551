"""Jupiter's `route_v2`: a swap over pools that its program calls, byte by byte.

Facts from the program's public interface description (IDL) of 2026. What a client reads here is what it reads on mainnet, with
these differences in what the local program does: every step sells the source's token for the destination's (no token between
them), pools are those of `formats`, and shares of what is paid, another receiver and events are left out.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from localnet.formats import CPMM, DAMM_V2, Format

PROGRAM = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
EVENTS = Pubkey.find_program_address([b"__event_authority"], PROGRAM)[0]
DISCRIMINATOR = bytes.fromhex("bb64facc31c4af14")
HEAD = struct.Struct("<QQHHHI")
"""Amount in, quoted amount out, slippage, share of the platform and of what is paid beyond the quote (all three in bps), and how
many steps follow."""
STEP = struct.Struct("<BHBB")
"""The place of the step's kind in the IDL's `Swap` (none of these two has fields), its part of the amount in bps, and which of
the route's tokens it sells and buys: 0 is the source's, 1 the destination's."""
KINDS = {CPMM.name: 46, DAMM_V2.name: 77}
OWN_ACCOUNTS = 10
SOURCE, DESTINATION, RECEIVER, ITSELF = 1, 2, 7, 9
"""Places of accounts of its own. The receiver is the program itself where there is no other."""
MAX_ACCOUNTS, MAX_STEPS, WHOLE_BPS = 64, 4, 10_000


@dataclass(frozen=True)
class Error:
    """The program's own, by the names of its IDL."""

    empty_route: int = 6000
    slippage_exceeded: int = 6001
    missing_platform_fee_account: int = 6003
    invalid_slippage: int = 6004
    not_enough_percent: int = 6005
    invalid_input_index: int = 6006
    invalid_output_index: int = 6007
    not_enough_accounts: int = 6008
    invalid_route_plan: int = 6010
    swap_not_supported: int = 6016
    invalid_output_account: int = 6021
    unknown_instruction: int = 101
    """Anchor's."""


ERRORS = Error()


@dataclass(frozen=True)
class Step:
    format: Format
    swap: Instruction
    """Of the pool's program; its amounts are the route's."""
    bps: int = WHOLE_BPS


@dataclass(frozen=True)
class Ends:
    """Whose tokens are swapped: accounts, mints and token programs of what is sold and what is bought."""

    wallet: Pubkey
    accounts: tuple[Pubkey, Pubkey]
    mints: tuple[Pubkey, Pubkey]
    programs: tuple[Pubkey, Pubkey]


def route(ends: Ends, amount: int, quoted: int, slippage_bps: int, steps: Sequence[Step]) -> Instruction:
    """Sells `amount` base units for `quoted` less the slippage, or fails."""
    data = DISCRIMINATOR + HEAD.pack(amount, quoted, slippage_bps, 0, 0, len(steps))
    source, destination = ends.accounts
    metas = [
        AccountMeta(ends.wallet, True, False),
        AccountMeta(source, False, True),
        AccountMeta(destination, False, True),
        *(AccountMeta(key, False, False) for key in (*ends.mints, *ends.programs, PROGRAM, EVENTS, PROGRAM)),
    ]
    for each in steps:
        data += STEP.pack(KINDS[each.format.name], each.bps, 0, 1)
        metas += [AccountMeta(each.format.program, False, False), *each.swap.accounts]
    return Instruction(PROGRAM, data, metas)
