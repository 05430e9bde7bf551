"""Programs that every cluster has, and what is derived from their addresses."""

from functools import lru_cache

from solders.pubkey import Pubkey

SYSTEM = Pubkey.default()
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS = frozenset({TOKEN, TOKEN_2022})
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
SIGNATURE_LAMPORTS = 5_000
"""What the network takes for one signature."""


@lru_cache(maxsize=65_536)
def associated_account(owner: Pubkey, mint: Pubkey, program: Pubkey) -> Pubkey:
    """The owner's token account of the mint. The derivation costs 30 µs, so it is kept."""
    seeds = [bytes(owner), bytes(program), bytes(mint)]
    return Pubkey.find_program_address(seeds, ASSOCIATED)[0]


@lru_cache(maxsize=65_536)
def pubkey(text: str) -> Pubkey:
    """Raises `ValueError` for what is no address."""
    return Pubkey.from_string(text)
