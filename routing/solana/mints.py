"""What a mint account says of its token.

Layouts: SPL Token's `Mint`, Token-2022's extensions behind it (type, length, value), Metaplex' `Metadata`.
"""

import struct
from collections.abc import Iterator

from solders.pubkey import Pubkey

from routing.solana.accounts import Accounts
from routing.solana.addresses import TOKEN_2022, TOKEN_PROGRAMS
from routing.solana.nodes import NO_ANSWER
from routing.values import Mint, Program
from routing.venue import VenueUnavailable

MINT_BYTES, DECIMALS_AT = 82, 44
EXTENSIONS_AT = 166
"""A Token-2022 mint with extensions is padded to an account's length and one byte that says its kind."""
TRANSFER_FEE, METADATA = 1, 19
EXTENSIONS = {
    TRANSFER_FEE: "transferFeeConfig",
    3: "mintCloseAuthority",
    4: "confidentialTransferMint",
    6: "defaultAccountState",
    9: "nonTransferable",
    10: "interestBearingConfig",
    12: "permanentDelegate",
    14: "transferHook",
    16: "confidentialTransferFeeConfig",
    18: "metadataPointer",
    METADATA: "tokenMetadata",
    20: "groupPointer",
    21: "tokenGroup",
    22: "groupMemberPointer",
    23: "tokenGroupMember",
    25: "scaledUiAmountConfig",
    26: "pausableConfig",
}
METAPLEX = Pubkey.from_string("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s")
NAME_AT, NAME_AT_METAPLEX = 64, 65
"""Behind two addresses; Metaplex' account has one byte before them. Name and symbol: length (u32), text."""
MAX_TEXT = 64


def extensions(mint: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each extension of a Token-2022 mint."""
    at = EXTENSIONS_AT
    while at + 4 <= len(mint):
        kind, length = struct.unpack_from("<HH", mint, at)
        if kind == 0:
            return
        yield kind, mint[at + 4 : at + 4 + length]
        at += 4 + length


def has_transfer_fee(mint: bytes) -> bool:
    return any(kind == TRANSFER_FEE for kind, _ in extensions(mint))


async def read_mint(accounts: Accounts, address: str) -> Mint | None:
    """None where there is no such mint. Raises `VenueUnavailable` while no node answers."""
    try:
        mint = Pubkey.from_string(address)
    except ValueError:
        return None
    metadata = Pubkey.find_program_address([b"metadata", bytes(METAPLEX), bytes(mint)], METAPLEX)[0]
    try:
        found = await accounts.get([mint, metadata])
    except NO_ANSWER as error:
        raise VenueUnavailable(str(error)) from error
    account, told = found[mint], found[metadata]
    if account is None or account.owner not in TOKEN_PROGRAMS or not _is_mint(account.data):
        return None
    own = dict(extensions(account.data)) if account.owner == TOKEN_2022 else {}
    name = symbol = ""
    if METADATA in own:
        name, symbol = _texts(own[METADATA], NAME_AT)
    elif told is not None and told.owner == METAPLEX:
        name, symbol = _texts(told.data, NAME_AT_METAPLEX)
    return Mint(
        decimals=account.data[DECIMALS_AT],
        program=Program.TOKEN_2022 if account.owner == TOKEN_2022 else Program.TOKEN,
        extensions=tuple(EXTENSIONS.get(kind, f"extension{kind}") for kind in own),
        symbol=symbol,
        name=name,
    )


def _is_mint(data: bytes) -> bool:
    """Initialised; longer ones say their kind, which a token account has as well."""
    return (len(data) == MINT_BYTES or len(data) > EXTENSIONS_AT and data[EXTENSIONS_AT - 1] == 1) and data[45] == 1


def _texts(data: bytes, at: int) -> tuple[str, str]:
    """(name, symbol); empty for what cannot be read."""
    texts = []
    for _ in range(2):
        if at + 4 > len(data):
            return "", ""
        length = struct.unpack_from("<I", data, at)[0]
        raw = data[at + 4 : at + 4 + length]
        texts.append(raw.decode(errors="replace").replace("\0", "").strip()[:MAX_TEXT])
        at += 4 + length
    return texts[0], texts[1]
