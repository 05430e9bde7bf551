"""Mints that their makers keep power over, for programs that look before they buy."""

import struct
from collections.abc import Callable, Mapping

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


KINDS: Mapping[str, tuple[Pubkey, Callable[[int], bytes]]] = {
    "good": (TOKEN, classic),
    "mintable": (TOKEN, lambda decimals: classic(decimals, mint=MAKER)),
    "freezable": (TOKEN, lambda decimals: classic(decimals, freeze=MAKER)),
    "taxed": (TOKEN_2022, lambda decimals: extended(decimals, 1, _fee(1_000))),
    "taxable": (TOKEN_2022, lambda decimals: extended(decimals, 1, _fee(0))),
    "frozen": (TOKEN_2022, lambda decimals: extended(decimals, 6, b"\x02", freeze=MAKER)),
    "bound": (TOKEN_2022, lambda decimals: extended(decimals, 9, b"")),
    "delegated": (TOKEN_2022, lambda decimals: extended(decimals, 12, bytes(MAKER))),
    "hooked": (TOKEN_2022, lambda decimals: extended(decimals, 14, bytes(MAKER) * 2)),
    "pausable": (TOKEN_2022, lambda decimals: extended(decimals, 26, bytes(MAKER) + b"\0")),
    "unheard-of": (TOKEN_2022, lambda decimals: extended(decimals, 999, b"?")),
    "harmless": (TOKEN_2022, lambda decimals: extended(decimals, 18, bytes(64))),
}
"""Kind → (program, decimals → account data)."""
