"""Programs that every cluster has, by their addresses."""

from solders.pubkey import Pubkey
from solders.token import ID as TOKEN

SYSTEM = Pubkey.default()
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
TOKEN_PROGRAMS = (TOKEN, TOKEN_2022)
MEMO_PROGRAMS = (MEMO, Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"))
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")

__all__ = ["ASSOCIATED", "MEMO", "MEMO_PROGRAMS", "SYSTEM", "TOKEN", "TOKEN_2022", "TOKEN_PROGRAMS", "WRAPPED_SOL"]
