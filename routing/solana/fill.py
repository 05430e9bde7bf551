"""What a landed transaction traded and cost, by the balances before and after it. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

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
from routing.solana.programs import KNOWN, METEORA_DAMM, RAYDIUM_CPMM, Side, SwapRead, UnknownLayout
from routing.solana.safety import SYSTEM_TRANSFER
from routing.solana.transaction import Call
from routing.values import SOL_DECIMALS, Fee, Fill, Part
from routing.venues import METEORA, RAYDIUM

VENUES = {RAYDIUM_CPMM.address: RAYDIUM, METEORA_DAMM.address: METEORA}
"""Whose pools they are: of programs whose swaps are made here."""


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


class Swapped(msgspec.Struct, frozen=True):
    """A swap in one pool."""

    program: Pubkey
    swap: SwapRead
    sold: Side
    bought: Side


class Traded(msgspec.Struct, frozen=True):
    """What a transaction swaps, as its bytes say it."""

    wallet: Pubkey
    keys: tuple[Pubkey, ...]
    programs: tuple[Pubkey, ...]
    """Of its instructions, in order."""
    swaps: tuple[Swapped, ...]
    """One, or one in each pool of a split; all of them sell the same for the same."""
    wrapped: int
    """Lamports that it makes wrapped SOL."""

    @property
    def sold(self) -> Pubkey:
        """Mint."""
        return self.swaps[0].sold.mint

    @property
    def bought(self) -> Pubkey:
        return self.swaps[0].bought.mint


class VenueFee(NamedTuple):
    """What the pool of one swap took."""

    of: Swapped
    mint: Pubkey
    units: int


def traded(payload: bytes, loaded: Loaded | None = None) -> Traded:
    """Raises `UnknownLayout` for bytes that this engine did not make."""
    message = VersionedTransaction.from_bytes(payload).message
    found = loaded or Loaded()
    keys = (*message.account_keys, *map(pubkey, found.writable), *map(pubkey, found.readonly))
    wallet, wrapped = keys[0], 0
    own_sol = associated_account(wallet, WRAPPED_SOL, TOKEN)
    programs = tuple(keys[each.program_id_index] for each in message.instructions)
    swaps: list[Swapped] = []
    for program, each in zip(programs, message.instructions, strict=True):
        call = Call(program, bytes(each.data), tuple(keys[n] for n in each.accounts))
        if program in KNOWN:
            swap = KNOWN[program].read(call.data, call.accounts)
            swaps.append(Swapped(program, swap, *swap.directed(wallet)))
        elif program == SYSTEM and call.data[:4] == SYSTEM_TRANSFER and call.accounts[1] == own_sol:
            wrapped += int.from_bytes(call.data[4:12], "little")
    if len({(swap.sold.mint, swap.bought.mint) for swap in swaps}) != 1:
        raise UnknownLayout(f"it swaps {len(swaps)} times, and not the same tokens")
    return Traded(wallet, keys, programs, tuple(swaps), wrapped)


def fill_of(signature: str, of: Traded, found: Landed, venue_fees: Sequence[VenueFee]) -> Fill:
    """`venue_fees`: what the pools took, as far as that is known."""
    meta, wallet = found.meta, str(of.wallet)
    before, after = own_tokens(meta.pre_token_balances, wallet), own_tokens(meta.post_token_balances, wallet)
    change = moved(before, after, meta.pre_balances, meta.post_balances)
    decimals = {
        each.mint: each.ui_token_amount.decimals for each in (*meta.pre_token_balances, *meta.post_token_balances)
    }
    sold, bought = str(of.sold), str(of.bought)
    amount_in = _amount(of.wrapped - change[sold], decimals[sold])
    amount_out = _amount(change[bought], decimals[bought])
    fees = list(_chain_fees(meta, of, rents(before, after, meta.post_balances)))
    by_token: Counter[str] = Counter()
    for each in venue_fees:
        by_token[str(each.mint)] += each.units
    fees[:0] = [Fee("venue", mint, _amount(units, decimals[mint])) for mint, units in by_token.items()]
    fee = sum(_in_bought(each, of, meta) for each in venue_fees)
    return Fill(
        signature=signature,
        amount_out=amount_out,
        executed_price=EXACT.divide(amount_out, amount_in),
        fee=_amount(fee, decimals[bought]),
        landed_at=datetime.fromtimestamp(found.block_time, UTC) if found.block_time else datetime.now(UTC),
        amount_in=amount_in,
        slot=found.slot,
        fees=tuple(fees),
        units=meta.compute_units_consumed,
        parts=tuple(_parts(of, meta, decimals[sold], decimals[bought])),
    )


def _parts(of: Traded, meta: Meta, decimals_in: int, decimals_out: int) -> Iterator[Part]:
    """Of a split: by what came into the pools' vaults and left them."""
    after = _held(of, meta.post_token_balances)
    for each in of.swaps if len(of.swaps) > 1 else ():
        before = reserves(each, of, meta)
        if before is not None:
            taken, paid = after[each.sold.vault] - before[0], before[1] - after[each.bought.vault]
            pool = str(each.swap.pool)
            yield Part(VENUES[each.program], pool, _amount(taken, decimals_in), _amount(paid, decimals_out))


def reserves(swapped: Swapped, of: Traded, meta: Meta) -> tuple[int, int] | None:
    """(of what was sold, of what was bought) in the pool's vaults before the swap."""
    held = _held(of, meta.pre_token_balances)
    sold, bought = held.get(swapped.sold.vault), held.get(swapped.bought.vault)
    return None if sold is None or bought is None else (sold, bought)


def _held(of: Traded, balances: Sequence[TokenBalance]) -> dict[Pubkey, int]:
    return {of.keys[each.account_index]: int(each.ui_token_amount.amount) for each in balances}


def _in_bought(fee: VenueFee, of: Traded, meta: Meta) -> int:
    """The pool's fee in what was bought, by its price before the swap where it was taken in what was sold."""
    if fee.mint != of.sold:
        return fee.units
    held = reserves(fee.of, of, meta)
    return fee.units * held[1] // held[0] if held and held[0] else 0


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
