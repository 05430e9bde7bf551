"""Messages and simulations of a swap, and ways in which a hostile venue changes them. No chain is needed."""

import base64
from dataclasses import replace
from typing import Any

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey

from routing.solana.addresses import SYSTEM, TOKEN, WRAPPED_SOL, associated_account
from routing.solana.gate import Amount, Shown, Simulated, TokenBalance
from routing.solana.programs import RAYDIUM_CPMM, Side, SwapRead
from routing.solana.safety import Asked
from routing.solana.transaction import compiled, compute_limit, compute_price, create_account, memo
from tests.solana.stage import pair

KEY = Keypair()
WALLET = KEY.pubkey()
USDC = Pubkey.from_string(pair().token_out.mint)
THIEF = Keypair().pubkey()
SOURCE, DESTINATION = associated_account(WALLET, WRAPPED_SOL, TOKEN), associated_account(WALLET, USDC, TOKEN)
POOL, CONFIG, OBSERVATION, VAULTS = Pubkey.new_unique(), Pubkey.new_unique(), Pubkey.new_unique(), Pubkey.new_unique()
ASKED = Asked(WALLET, WRAPPED_SOL, USDC, 10**9, 149_000_000, "order-1/1", 100_000)
READ = SwapRead(
    WALLET,
    POOL,
    SOURCE,
    DESTINATION,
    (Side(WRAPPED_SOL, VAULTS, TOKEN), Side(USDC, Pubkey.new_unique(), TOKEN)),
    10**9,
    149_000_000,
    CONFIG,
)
BLOCKHASH = Hash.new_unique()
UNITS, PRICE = 400_000, 1_000


def swap(**changes: Any) -> Instruction:
    return RAYDIUM_CPMM.swap(replace(READ, **changes), OBSERVATION)


def parts(**changes: Any) -> list[Instruction]:
    """Of a good transaction, in order."""
    return [
        compute_limit(UNITS),
        compute_price(PRICE),
        create_account(WALLET, USDC, TOKEN),
        swap(**changes),
        memo("order-1/1"),
    ]


def message(*more: Instruction, instead: list[Instruction] | None = None) -> MessageV0:
    return compiled(WALLET, [*(instead if instead is not None else parts()), *more], BLOCKHASH)


def token(place: int, mint: Pubkey, amount: int, owner: Pubkey = WALLET) -> TokenBalance:
    return TokenBalance(place, str(mint), Amount(str(amount), 6), str(owner))


def token_data(owner: Pubkey = WALLET, *, delegate: bool = False, closer: bool = False) -> tuple[str, str]:
    data = bytearray(165)
    data[32:64] = bytes(owner)
    data[72], data[129] = delegate, closer
    return base64.b64encode(bytes(data)).decode(), "base64"


def simulated(keys: list[Pubkey], **changes: Any) -> Simulated:
    """Of the good one: 1 SOL for 149.5 USDC, an account made, the fees paid."""
    source, destination = keys.index(SOURCE), keys.index(DESTINATION)
    rent, fees = 2_039_280, 5_000 + UNITS * PRICE // 1_000_000
    pre, post = [0] * len(keys), [0] * len(keys)
    pre[0], post[0] = 10**10, 10**10 - fees - rent
    pre[source] = post[source] = 5 * 10**9
    post[destination] = rent
    values = Simulated(
        units_consumed=30_000,
        pre_balances=pre,
        post_balances=post,
        pre_token_balances=[token(source, WRAPPED_SOL, 4 * 10**9)],
        post_token_balances=[token(source, WRAPPED_SOL, 3 * 10**9), token(destination, USDC, 149_500_000)],
        accounts=[
            Shown(("", "base64"), str(SYSTEM)),
            Shown(token_data(), str(TOKEN)),
            Shown(token_data(), str(TOKEN)),
        ],
    )
    return msgspec.structs.replace(values, **changes)
