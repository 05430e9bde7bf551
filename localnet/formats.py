"""The wire formats of the two pool programs: what a swap instruction and a pool account look like, byte by byte.

Facts from the programs' public interface descriptions (IDL): Raydium `raydium_cp_swap`, Meteora `cp_amm` 0.2.5. What a
client builds and reads here is what it builds and reads on mainnet, with these differences in what the programs compute:
both price by x·y=k over their vaults' balances (DAMM v2's liquidity is one position over the whole range), fees stay in
the pool, and creator, protocol and partner shares, rewards and the price oracle are left out.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

EXACT_IN, EXACT_OUT = 0, 2
"""DAMM v2's swap modes that the local program knows."""


@dataclass(frozen=True)
class Layout:
    """Offsets of what the program reads, in the pool's account and in the one that holds its fee."""

    size: int
    discriminator: bytes
    mints: tuple[int, int]
    vaults: tuple[int, int]
    closed: tuple[int, int]
    """A byte and the bits in it of which any closes the pool for swaps."""
    fee: int
    """Of a u64 rate, in the pool or in its configuration."""
    config: int | None = None
    """Where the pool names its configuration account; None: it has its fee itself."""
    programs: tuple[int, int] | None = None
    """Where the pool names the token programs of its sides; None: the accounts' owners say so."""
    bump: int | None = None
    """Where the authority's bump seed stands; None: it is the program's constant."""


@dataclass(frozen=True)
class Format:
    """A pool program's outside."""

    name: str
    label: str
    """As Jupiter's `program-id-to-label` spells it."""
    program: Pubkey
    accounts: tuple[str, ...]
    """The swap instruction's accounts in order, by role."""
    writable: frozenset[str]
    data_size: int
    """Discriminator, amount in (u64), least amount out (u64), and what follows."""
    discriminator: bytes
    discriminator_out: bytes | None
    """Of the instruction for an exact output: most amount in, amount out. None: it is a mode, `EXACT_OUT`, and the two change
    places."""
    layout: Layout
    fee_denominator: int
    fee_on_output: bool
    authority_seed: bytes
    by_side: bool
    """Vaults, mints and token programs come in the pool's order (a, b), not in the swap's (in, out)."""
    slippage: int
    """The program's error when less than asked for would be paid."""
    bad_accounts: int
    bad_input: int
    nothing: int
    """Its error when the swap would pay nothing."""
    overflow: int
    pool_seeds: Callable[[Pubkey, Pubkey, Pubkey], list[bytes]]
    """Of the pool's address, from its configuration and two mints."""
    vault_seed: bytes

    @property
    def authority(self) -> tuple[Pubkey, int]:
        """Owner of every vault, and its bump seed."""
        return Pubkey.find_program_address([self.authority_seed], self.program)

    def pool(self, config: Pubkey, a: Pubkey, b: Pubkey) -> Pubkey:
        return Pubkey.find_program_address(self.pool_seeds(config, a, b), self.program)[0]

    def vault(self, pool: Pubkey, mint: Pubkey) -> Pubkey:
        pair = (pool, mint) if self.name == "CPMM" else (mint, pool)
        return Pubkey.find_program_address([self.vault_seed, *map(bytes, pair)], self.program)[0]

    def swap(self, amount: int, least: int, accounts: dict[str, Pubkey], *, exact_out: bool = False) -> Instruction:
        """A swap of exactly `amount` base units that pays `least` or fails; with `exact_out` one that pays exactly `least` and
        takes `amount` at most. `accounts` by role; the payer signs."""
        mode = EXACT_OUT if exact_out else EXACT_IN
        if exact_out and self.discriminator_out is not None:
            data = self.discriminator_out + struct.pack("<QQ", amount, least)
        else:
            data = self.discriminator + struct.pack("<QQ", *((least, amount) if exact_out else (amount, least)))
        metas = [AccountMeta(accounts[role], role == "payer", role in self.writable) for role in self.accounts]
        return Instruction(self.program, data.ljust(self.data_size, bytes([mode])), metas)


CPMM = Format(
    name="CPMM",
    label="Raydium CP",
    program=Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"),
    accounts=(
        "payer",
        "authority",
        "config",
        "pool",
        "source",
        "destination",
        "vault_in",
        "vault_out",
        "program_in",
        "program_out",
        "mint_in",
        "mint_out",
        "observation",
    ),
    writable=frozenset({"pool", "source", "destination", "vault_in", "vault_out", "observation"}),
    data_size=24,
    discriminator=bytes.fromhex("8fbe5adac41e33de"),  # swap_base_input
    discriminator_out=bytes.fromhex("37d96256a34ab4ad"),  # swap_base_output
    layout=Layout(
        size=637,
        discriminator=bytes.fromhex("f7ede3f5d7c3de46"),
        config=8,
        vaults=(72, 104),
        mints=(168, 200),
        programs=(232, 264),
        bump=328,
        closed=(329, 4),
        fee=12,
    ),
    fee_denominator=1_000_000,
    fee_on_output=False,
    authority_seed=b"vault_and_lp_mint_auth_seed",
    by_side=False,
    slippage=6005,
    bad_accounts=6000,
    bad_input=6003,
    nothing=6006,
    overflow=6011,
    pool_seeds=lambda config, a, b: [b"pool", bytes(config), *sorted((bytes(a), bytes(b)))],
    vault_seed=b"pool_vault",
)

DAMM_V2 = Format(
    name="DAMM_V2",
    label="Meteora DAMM v2",
    program=Pubkey.from_string("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG"),
    accounts=(
        "authority",
        "pool",
        "source",
        "destination",
        "vault_a",
        "vault_b",
        "mint_a",
        "mint_b",
        "payer",
        "program_a",
        "program_b",
        "referral",
        "event_authority",
        "program",
    ),
    writable=frozenset({"pool", "source", "destination", "vault_a", "vault_b"}),
    data_size=25,
    discriminator=bytes.fromhex("414b3f4ceb5b5b88"),  # swap2
    discriminator_out=None,
    layout=Layout(
        size=1112,
        discriminator=bytes.fromhex("f19a6d0411b16dbc"),
        mints=(168, 200),
        vaults=(232, 264),
        closed=(481, 0xFF),
        fee=8,
    ),
    fee_denominator=1_000_000_000,
    fee_on_output=True,
    authority_seed=b"pool_authority",
    by_side=True,
    slippage=6002,
    bad_accounts=6003,
    bad_input=6006,
    nothing=6006,
    overflow=6000,
    pool_seeds=lambda config, a, b: [b"pool", bytes(config), *sorted((bytes(a), bytes(b)), reverse=True)],
    vault_seed=b"token_vault",
)
FORMATS = {"RAYDIUM": CPMM, "METEORA": DAMM_V2}
"""By the name of the venue that is served with it."""


def fee(amount: int, rate: int, denominator: int) -> int:
    """Rounded up, in base units."""
    return -(-amount * rate // denominator)


def amount_out(format_: Format, amount: int, reserve_in: int, reserve_out: int, rate: int) -> int:
    """What the program pays for `amount`, in base units: the same arithmetic, held to it on random cases by a test."""
    if format_.fee_on_output:
        gross = reserve_out * amount // (reserve_in + amount)
        return gross - fee(gross, rate, format_.fee_denominator)
    paid = amount - fee(amount, rate, format_.fee_denominator)
    return reserve_out * paid // (reserve_in + paid)


def amount_in(format_: Format, wanted: int, reserve_in: int, reserve_out: int, rate: int) -> int | None:
    """What the program takes for exactly `wanted`; None: the pool cannot pay it."""
    gross = before_fee(format_, wanted, rate) if format_.fee_on_output else wanted
    if gross >= reserve_out:
        return None
    paid = -(-reserve_in * gross // (reserve_out - gross))
    return paid if format_.fee_on_output else before_fee(format_, paid, rate)


def before_fee(format_: Format, amount: int, rate: int) -> int:
    """The least of which `amount` is left after the fee."""
    return -(-amount * format_.fee_denominator // (format_.fee_denominator - rate))
