"""How Meteora's DLMM pools are laid out: what of their accounts this engine reads itself. Pure.

Layout of `LbPair` and `BinArray`, and the address of the latter: Meteora's `dlmm-sdk`.
"""

import struct
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from solders.pubkey import Pubkey

from routing.permits import AtVenue
from routing.solana.accounts import Account
from routing.solana.addresses import TOKEN_PROGRAMS, pubkey
from routing.solana.launches import METEORA_LB
from routing.solana.pools import AMOUNT_AT
from routing.solana.venues.signing import DIGITS
from routing.values import Pair
from routing.venue import NoRoute

ACTIVE_AT, STATUS_AT, RESERVES_AT = 76, 82, (152, 184)


@dataclass(frozen=True, slots=True)
class DlmmPool:
    """As it stands, seen in the direction of a swap."""

    address: Pubkey
    state: Any
    """The package's `PoolState`."""
    x_to_y: bool
    """The pair sells X."""
    depth: Decimal
    """What lies in it of the pair's quote token."""
    seen_at: datetime

    def price(self, pair: Pair) -> Decimal:
        """tokenOut per tokenIn in the active bin, before fee. Raises `ArithmeticError` for a bin that is none."""
        step = 1 + Decimal(self.state.bin_step) / 10_000
        units = DIGITS.power(step, self.state.active_id if self.x_to_y else -self.state.active_id)
        return units.scaleb(pair.token_in.decimals - pair.token_out.decimals, DIGITS)


def array_of(pool: Pubkey, index: int) -> Pubkey:
    """The account of the pool's bins from `70 × index` on. Raises `struct.error` for an index that is none."""
    return Pubkey.find_program_address([b"bin_array", bytes(pool), struct.pack("<q", index)], METEORA_LB.program)[0]


def side_of(data: bytes, mint: str) -> int:
    """0: the mint is the pool's X; 1: its Y."""
    at = METEORA_LB.mints_at[0]
    return 0 if data[at : at + 32] == bytes(pubkey(mint)) else 1


def of_program(account: Account | None) -> Account | None:
    return account if account is not None and account.owner == METEORA_LB.program else None


def open_pool(account: Account | None, pair: Pair) -> Account | None:
    """None for what is no pool of the pair's, or not open."""
    found = of_program(account)
    launch = None if found is None else METEORA_LB.read(found.data)
    if found is None or launch is None or found.data[STATUS_AT] or launch.opens_at > time.time():
        return None
    return found if {str(mint) for mint in launch.mints} == {pair.token_in.mint, pair.token_out.mint} else None


def may_be_used(pool: DlmmPool, permit: AtVenue) -> bool:
    try:
        permit.check_depth(pool.depth, str(pool.address))
    except NoRoute:
        return False
    return True


def base_units_in(account: Account | None) -> int:
    """Base units in a token account; none in what is no such account."""
    if account is None or account.owner not in TOKEN_PROGRAMS or len(account.data) < AMOUNT_AT + 8:
        return 0
    return int.from_bytes(account.data[AMOUNT_AT : AMOUNT_AT + 8], "little")
