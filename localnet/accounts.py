"""The data of accounts that are made without a transaction: token accounts, pools and their configurations."""

import struct

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import TokenAccount, TokenAccountState

from localnet.addresses import TOKEN, WRAPPED_SOL
from localnet.formats import CPMM, DAMM_V2, Format

RENT_LAMPORTS = 2_039_280
"""Of a token account of 165 bytes."""
ACCOUNT_KIND = b"\x02"
"""Token-2022 says behind the classic part whether it is an account or a mint."""
CONFIG_DISCRIMINATOR = bytes.fromhex("daf42168cbcb2b6f")
CONFIG_SIZE = 236


def owned(lamports: int, data: bytes, owner: Pubkey) -> Account:
    return Account(lamports=lamports, data=data, owner=owner, executable=False)


def token_account(
    mint: Pubkey, owner: Pubkey, amount: int, program: Pubkey = TOKEN, extensions: bytes = b""
) -> Account:
    """With `amount` base units; one of wrapped SOL holds its lamports as well. `extensions`: of Token-2022, as it packs them."""
    native = mint == WRAPPED_SOL
    state = TokenAccount(
        mint, owner, amount, None, TokenAccountState.Initialized, RENT_LAMPORTS if native else None, 0, None
    )
    if extensions:
        return owned(2 * RENT_LAMPORTS, bytes(state) + ACCOUNT_KIND + extensions, program)
    return owned(RENT_LAMPORTS + (amount if native else 0), bytes(state), program)


def config_data(rate: int) -> bytes:
    """Raydium CPMM's `AmmConfig`: trade fee in millionths."""
    body = CONFIG_DISCRIMINATOR + struct.pack("<BBHQQQQ", 0, 0, 0, rate, 0, 0, 0)
    return body.ljust(CONFIG_SIZE, b"\0")


def pool_data(
    format_: Format,
    *,
    config: Pubkey,
    mints: tuple[Pubkey, Pubkey],
    vaults: tuple[Pubkey, Pubkey],
    programs: tuple[Pubkey, Pubkey],
    decimals: tuple[int, int],
    rate: int,
    opens_at: int = 0,
    lp: int = 0,
) -> bytes:
    """The pool's account; `opens_at` in Unix seconds is told to clients and not enforced by the program.

    `lp`: how many LP tokens were made for what lies in it, at Raydium; whoever burns some does not change it.
    """
    layout = format_.layout
    data = bytearray(layout.size)
    data[:8] = layout.discriminator
    for at, address in zip((*layout.mints, *layout.vaults), (*mints, *vaults), strict=True):
        data[at : at + 32] = bytes(address)
    if format_ is CPMM:
        assert layout.config is not None and layout.programs is not None and layout.bump is not None
        data[layout.config : layout.config + 32] = bytes(config)
        for at, program in zip(layout.programs, programs, strict=True):
            data[at : at + 32] = bytes(program)
        data[296:328] = bytes(observation(pool_of(format_, config, mints)))
        # Bump, status, decimals of the LP mint and of both sides; then, at 373, when it opens.
        data[layout.bump : layout.bump + 5] = struct.pack("<BBBBB", format_.authority[1], 0, 9, *decimals)
        data[136:168] = bytes(lp_mint(pool_of(format_, config, mints)))
        data[333:341] = struct.pack("<Q", lp)
        data[373:381] = struct.pack("<Q", opens_at)
    else:
        data[layout.fee : layout.fee + 8] = struct.pack("<Q", rate)
        data[472:480] = struct.pack("<Q", opens_at)
        data[480] = 1  # activation by time
        data[482:484] = bytes(int(program != TOKEN) for program in programs)
    return bytes(data)


def pool_of(format_: Format, config: Pubkey, mints: tuple[Pubkey, Pubkey]) -> Pubkey:
    return format_.pool(config, *mints)


def config_of(format_: Format) -> Pubkey:
    """The configuration that all pools of the localnet share: Raydium's index 0, big-endian."""
    seed = b"amm_config" if format_ is CPMM else b"config"
    return Pubkey.find_program_address([seed, struct.pack(">H", 0)], format_.program)[0]


def observation(pool: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([b"observation", bytes(pool)], CPMM.program)[0]


def lp_mint(pool: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([b"pool_lp_mint", bytes(pool)], CPMM.program)[0]


EVENT_AUTHORITY = Pubkey.find_program_address([b"__event_authority"], DAMM_V2.program)[0]
