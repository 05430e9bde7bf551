"""Tokens that are not what they seem, for programs that look before they buy."""

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from solders.pubkey import Pubkey
from solders.token.state import Mint

from localnet.addresses import TOKEN, TOKEN_2022

ACCOUNT_BYTES, MINT_KIND = 165, b"\x01"
"""A mint with extensions is padded to an account's length; the next byte says what it is."""
SUPPLY = 10**15
MAKER = Pubkey.from_bytes(b"maker of tokens".ljust(32, b"."))
EPOCH, MAX_FEE = 0, 2**63


def classic(decimals: int, *, mint: Pubkey | None = None, freeze: Pubkey | None = None) -> bytes:
    return bytes(Mint(mint, SUPPLY, decimals, True, freeze))


def extended(decimals: int, kind: int, value: bytes, *, freeze: Pubkey | None = None) -> bytes:
    padded = classic(decimals, freeze=freeze).ljust(ACCOUNT_BYTES, b"\0") + MINT_KIND
    return padded + struct.pack("<HH", kind, len(value)) + value


def _fee(bps: int) -> bytes:
    fee = struct.pack("<QQH", EPOCH, MAX_FEE, bps)
    return bytes(MAKER) * 2 + struct.pack("<Q", 0) + fee * 2


def _extension(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


class Kind(NamedTuple):
    program: Pubkey
    mint: Callable[[int], bytes]
    """Decimals → the data of its account."""
    held: bytes = b""
    """Extensions that each of its token accounts has, as Token-2022 asks for the mint's."""
    vault: bytes = b""
    """Those that the vaults of its pools have besides."""
    opens_in_s: int = 0
    """Its pools open so many seconds after they were made."""
    hoarded: int = 0
    """Base units that its maker has."""


LATE_S = 6
NO_MEMO_NO_TOKENS = _extension(8, b"\x01")
"""An account that takes nothing without a memo before it, which no pool program writes: what is bought cannot be sold again."""
POINTER = bytes(64)
"""Metadata that nobody keeps: an extension that hurts nobody."""
KINDS: Mapping[str, Kind] = {
    "good": Kind(TOKEN, classic),
    "mintable": Kind(TOKEN, lambda decimals: classic(decimals, mint=MAKER)),
    "freezable": Kind(TOKEN, lambda decimals: classic(decimals, freeze=MAKER)),
    "taxed": Kind(TOKEN_2022, lambda decimals: extended(decimals, 1, _fee(1_000)), held=_extension(2, bytes(8))),
    "taxable": Kind(TOKEN_2022, lambda decimals: extended(decimals, 1, _fee(0)), held=_extension(2, bytes(8))),
    "frozen": Kind(TOKEN_2022, lambda decimals: extended(decimals, 6, b"\x02", freeze=MAKER)),
    "bound": Kind(TOKEN_2022, lambda decimals: extended(decimals, 9, b""), held=_extension(13, b"")),
    "delegated": Kind(TOKEN_2022, lambda decimals: extended(decimals, 12, bytes(MAKER))),
    "hooked": Kind(TOKEN_2022, lambda decimals: extended(decimals, 14, bytes(MAKER) * 2), held=_extension(15, b"\0")),
    "pausable": Kind(
        TOKEN_2022, lambda decimals: extended(decimals, 26, bytes(MAKER) + b"\0"), held=_extension(27, b"")
    ),
    "unheard-of": Kind(TOKEN_2022, lambda decimals: extended(decimals, 999, b"?")),
    "harmless": Kind(TOKEN_2022, lambda decimals: extended(decimals, 18, POINTER)),
    "unsellable": Kind(TOKEN_2022, lambda decimals: extended(decimals, 18, POINTER), vault=NO_MEMO_NO_TOKENS),
    "late": Kind(TOKEN, classic, opens_in_s=LATE_S),
    "hoarded": Kind(TOKEN, classic, hoarded=SUPPLY * 6 // 10),
}
