"""What a mint allows its maker to do to those who hold the token. Pure.

Layouts: SPL Token's `Mint` and Token-2022's extensions (https://spl.solana.com/token-2022/extensions).
"""

import struct
from collections.abc import Callable, Mapping

from solders.pubkey import Pubkey

from routing.gates import Finding, Gates, Verdict
from routing.solana.addresses import TOKEN_2022, TOKEN_PROGRAMS
from routing.solana.mints import MINT_BYTES, extensions

MINT_AUTHORITY_AT, FREEZE_AUTHORITY_AT = 0, 46
"""Each: four bytes that say whether there is one, then its address."""
FIELDS = dict(zip(Gates.__struct_encode_fields__, Gates.__struct_fields__, strict=True))
"""A gate's name in JSON → its field."""
NOBODY = bytes(32)
FROZEN = 2
OLDER_BPS_AT, NEWER_BPS_AT = 88, 106
"""Of the fee that holds now or will hold from an epoch on, in `TransferFeeConfig`."""
HARMLESS = frozenset({3, 4, 10, 16, 18, 19, 20, 21, 22, 23, 25})
"""Closing an empty mint, confidential amounts, interest and scale for display, metadata, groups."""


def judge(owner: Pubkey, mint: bytes, gates: Gates) -> list[Finding]:
    """One finding a gate that is not switched off; those of extensions only where the mint has them. An extension that is not
    known cannot be switched off: nobody knows what it does."""
    if owner not in TOKEN_PROGRAMS or len(mint) < MINT_BYTES or not mint[45]:
        return [Finding("mint", Verdict.UNKNOWN, "there is no mint at this address")]
    found = [
        Finding("mint", Verdict.PASS, "of Token-2022" if owner == TOKEN_2022 else "of SPL Token"),
        _authority("mintAuthority", mint, MINT_AUTHORITY_AT, "can make more of it"),
        _authority("freezeAuthority", mint, FREEZE_AUTHORITY_AT, "can freeze what you hold"),
    ]
    if owner == TOKEN_2022:
        found += [_extension(kind, value) for kind, value in extensions(mint)]
    off = {name for name, field in FIELDS.items() if getattr(gates, field) is False}
    return [finding for finding in found if finding.gate not in off]


def _authority(gate: str, mint: bytes, at: int, can: str) -> Finding:
    if not any(mint[at : at + 4]):
        return Finding(gate, Verdict.PASS, "nobody")
    return Finding(gate, Verdict.FAIL, f"{Pubkey.from_bytes(mint[at + 4 : at + 36])} {can}")


def _extension(kind: int, value: bytes) -> Finding:
    if kind in HARMLESS:
        return Finding(f"extension{kind}", Verdict.PASS, "harmless")
    gate, read = EXTENSIONS.get(kind, (f"extension{kind}", None))
    if read is None:
        return Finding(gate, Verdict.UNKNOWN, "an extension that is not known here")
    try:
        bad = read(value)
    except (struct.error, IndexError):
        return Finding(gate, Verdict.UNKNOWN, "cannot be read")
    return Finding(gate, Verdict.PASS if bad is None else Verdict.FAIL, bad or "not in use")


def _transfer_fee(value: bytes) -> str | None:
    [older] = struct.unpack_from("<H", value, OLDER_BPS_AT)
    [newer] = struct.unpack_from("<H", value, NEWER_BPS_AT)
    if bps := max(older, newer):
        return f"{bps} bps of each transfer are kept"
    return None if value[:32] == NOBODY else "a fee on transfers can be set at any time"


def _delegate(value: bytes) -> str | None:
    return None if _address(value, 0) == NOBODY else "somebody can take it out of every account"


def _hook(value: bytes) -> str | None:
    unused = _address(value, 0) == NOBODY and _address(value, 32) == NOBODY
    return None if unused else "a program of somebody's decides over each transfer, or may"


def _frozen(value: bytes) -> str | None:
    return "new accounts are frozen" if value[0] == FROZEN else None


def _bound(value: bytes) -> str | None:
    return "it cannot be transferred"


def _pausable(value: bytes) -> str | None:
    return None if _address(value, 0) == NOBODY and not value[32] else "all transfers can be stopped"


def _address(value: bytes, at: int) -> bytes:
    """Raises `struct.error` for what is cut off."""
    [address] = struct.unpack_from("32s", value, at)
    return bytes(address)


EXTENSIONS: Mapping[int, tuple[str, Callable[[bytes], str | None]]] = {
    1: ("transferFee", _transfer_fee),
    6: ("defaultFrozen", _frozen),
    9: ("nonTransferable", _bound),
    12: ("permanentDelegate", _delegate),
    14: ("transferHook", _hook),
    26: ("pausable", _pausable),
}
