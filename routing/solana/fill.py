"""What a landed transaction traded and cost, by the balances before and after it. Pure."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from routing.selection import EXACT
from routing.solana.addresses import (
    SIGNATURE_LAMPORTS,
    SYSTEM,
    TOKEN,
    WRAPPED_SOL,
    associated_account,
    pubkey,
)
from routing.solana.gate import TokenBalance, moved, own_tokens, rents
from routing.solana.programs import KNOWN, Side, SwapRead, UnknownLayout
from routing.solana.safety import SYSTEM_TRANSFER
from routing.solana.transaction import Call
from routing.values import SOL_DECIMALS, Fee, Fill


class Loaded(msgspec.Struct):
    writable: list[str] = msgspec.field(default_factory=list)
    readonly: list[str] = msgspec.field(default_factory=list)


class Meta(msgspec.Struct, rename="camel"):
    fee: int
    pre_balances: list[int]
    post_balances: list[int]
    err: Any = None
    pre_token_balances: list[TokenBalance] = msgspec.field(default_factory=list)
    post_token_balances: list[TokenBalance] = msgspec.field(default_factory=list)
    log_messages: list[str] | None = None
    loaded_addresses: Loaded | None = None
    compute_units_consumed: int | None = None


class Landed(msgspec.Struct, rename="camel"):
    """The answer of `getTransaction`."""

    slot: int
    meta: Meta
    block_time: int | None = None


class Traded(msgspec.Struct, frozen=True):
    """The swap of a transaction, as its bytes say it."""

    wallet: Pubkey
    keys: tuple[Pubkey, ...]
    programs: tuple[Pubkey, ...]
    """Of its instructions, in order."""
    swap: SwapRead
    program: Pubkey
    sold: Side
    bought: Side
    wrapped: int
    """Lamports that it makes wrapped SOL."""


def traded(payload: bytes, loaded: Loaded | None = None) -> Traded:
    """Raises `UnknownLayout` for bytes that this engine did not make."""
    message = VersionedTransaction.from_bytes(payload).message
    found = loaded or Loaded()
    keys = (*message.account_keys, *map(pubkey, found.writable), *map(pubkey, found.readonly))
    wallet, wrapped = keys[0], 0
    own_sol = associated_account(wallet, WRAPPED_SOL, TOKEN)
    programs = tuple(keys[each.program_id_index] for each in message.instructions)
    swaps: list[tuple[Pubkey, SwapRead]] = []
    for program, each in zip(programs, message.instructions, strict=True):
        call = Call(program, bytes(each.data), tuple(keys[n] for n in each.accounts))
        if program in KNOWN:
            swaps.append((program, KNOWN[program].read(call.data, call.accounts)))
        elif program == SYSTEM and call.data[:4] == SYSTEM_TRANSFER and call.accounts[1] == own_sol:
            wrapped += int.from_bytes(call.data[4:12], "little")
    if len(swaps) != 1:
        raise UnknownLayout(f"it swaps {len(swaps)} times")
    [(program, swap)] = swaps
    sold, bought = swap.directed(wallet)
    return Traded(wallet, keys, programs, swap, program, sold, bought, wrapped)


def fill_of(signature: str, of: Traded, found: Landed, venue_fee: tuple[Pubkey, int] | None) -> Fill:
    """`venue_fee`: (mint, base units) that the pool took, where that is known."""
    meta, wallet = found.meta, str(of.wallet)
    before, after = own_tokens(meta.pre_token_balances, wallet), own_tokens(meta.post_token_balances, wallet)
    change = moved(before, after, meta.pre_balances, meta.post_balances)
    decimals = {
        each.mint: each.ui_token_amount.decimals for each in (*meta.pre_token_balances, *meta.post_token_balances)
    }
    sold, bought = str(of.sold.mint), str(of.bought.mint)
    amount_in = _amount(of.wrapped - change[sold], decimals[sold])
    amount_out = _amount(change[bought], decimals[bought])
    fees = list(_chain_fees(meta, of, rents(before, after, meta.post_balances)))
    fee = Decimal(0)
    if venue_fee is not None:
        mint, units = venue_fee
        fees.insert(0, Fee("venue", str(mint), _amount(units, decimals[str(mint)])))
        fee = _in_bought(of, meta, mint, units, decimals[bought])
    return Fill(
        signature=signature,
        amount_out=amount_out,
        executed_price=EXACT.divide(amount_out, amount_in),
        fee=fee,
        landed_at=datetime.fromtimestamp(found.block_time, UTC) if found.block_time else datetime.now(UTC),
        amount_in=amount_in,
        slot=found.slot,
        fees=tuple(fees),
        units=meta.compute_units_consumed,
    )


def reserves(of: Traded, meta: Meta) -> tuple[int, int] | None:
    """(of what was sold, of what was bought) in the pool's vaults before the swap."""
    held = {of.keys[each.account_index]: int(each.ui_token_amount.amount) for each in meta.pre_token_balances}
    sold, bought = held.get(of.sold.vault), held.get(of.bought.vault)
    return None if sold is None or bought is None else (sold, bought)


def _in_bought(of: Traded, meta: Meta, mint: Pubkey, units: int, decimals: int) -> Decimal:
    """The pool's fee in what was bought, by its price before the swap where it was taken in what was sold."""
    held = reserves(of, meta)
    if mint == of.sold.mint:
        units = units * held[1] // held[0] if held and held[0] else 0
    return _amount(units, decimals)


def _chain_fees(meta: Meta, of: Traded, made: dict[int, int]) -> list[Fee]:
    """Network, priority, rent of accounts that were made, and whatever else the wallet paid in SOL: a tip."""
    rent = sum(max(0, held - meta.pre_balances[place]) for place, held in made.items())
    network = min(meta.fee, SIGNATURE_LAMPORTS)
    paid = meta.pre_balances[0] - meta.post_balances[0]
    lamports = {
        "network": network,
        "priority": meta.fee - network,
        "tip": paid - meta.fee - rent - of.wrapped,
        "rent": rent,
    }
    sol = str(WRAPPED_SOL)
    return [Fee(kind, sol, _amount(amount, SOL_DECIMALS)) for kind, amount in lamports.items() if amount > 0]  # type: ignore[arg-type]


def _amount(units: int, decimals: int) -> Decimal:
    return Decimal(units).scaleb(-decimals, EXACT)
