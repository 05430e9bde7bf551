"""What a transaction would do, read from its instructions, held against what its order asks. Pure.

Nothing is signed that does not pass here and in the simulation (`routing.solana.gate`), whoever built it: a venue's server
may be wrong, or somebody else's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from routing.solana.addresses import (
    ASSOCIATED,
    COMPUTE_BUDGET,
    MEMO,
    SIGNATURE_LAMPORTS,
    SYSTEM,
    TOKEN,
    TOKEN_PROGRAMS,
    WRAPPED_SOL,
    associated_account,
)
from routing.solana.programs import SwapProgram, SwapRead, UnknownLayout
from routing.solana.tips import TIPPED
from routing.solana.transaction import (
    CREATE_IDEMPOTENT,
    MAX_BYTES,
    MAX_UNITS,
    SET_LIMIT,
    SET_PRICE,
    SYNC_NATIVE,
    Call,
    Tables,
    calls,
)
from routing.venue import TooLarge, UnsafeTransaction

SIGNATURE_BYTES = 1 + 64
SYSTEM_TRANSFER = (2).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the order asks of its transaction. Amounts in base units."""

    wallet: Pubkey
    sold: Pubkey
    """Mint."""
    bought: Pubkey
    amount: int
    """What is sold; with `exact_out` the most."""
    least: int
    """What is accepted at least; with `exact_out` just what is bought."""
    memo: str
    max_fee_lamports: int
    exact_out: bool = False
    pools: tuple[Pubkey, ...] = ()
    """Of a split: it swaps once in each, and both together sell and accept what is asked. Empty: one swap."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the instructions say."""

    swap: SwapRead
    """Of a split the first: both sell from and pay to the same accounts."""
    units: int
    price: int
    """Micro-lamports a unit."""
    wrapped: int
    """Lamports that become wrapped SOL of the wallet's."""
    created: frozenset[Pubkey]
    """Accounts of the wallet's that are made where they are missing."""
    tip: int = 0
    """Lamports for a known receiver of tips."""

    @property
    def fee_lamports(self) -> int:
        """Network, priority and tip."""
        return fee_lamports(self.units, self.price) + self.tip


def fee_lamports(units: int, price: int) -> int:
    return SIGNATURE_LAMPORTS + -(-units * price // 1_000_000)


def only(transactions: Sequence[bytes]) -> bytes:
    """The transaction of a venue that answers with a list. Several are several landings of one order: they are refused."""
    if len(transactions) != 1:
        raise UnsafeTransaction(f"the venue gave {len(transactions)} transactions for one swap")
    return transactions[0]


def inspect(message: MessageV0, asked: Asked, programs: Mapping[Pubkey, SwapProgram], tables: Tables) -> Inspected:
    """Raises `UnsafeTransaction` unless the message is one swap as asked and what belongs to it.

    `programs`: those whose swaps may be called; `tables`: the look-up tables that the message names.
    """
    header = message.header
    if header.num_required_signatures != 1 or message.account_keys[0] != asked.wallet:
        raise UnsafeTransaction("somebody else pays or signs")
    size = SIGNATURE_BYTES + len(to_bytes_versioned(message))
    if size > MAX_BYTES:
        raise TooLarge(f"its {size} bytes do not fit a transaction, which has at most {MAX_BYTES}")
    try:
        found = calls(message, tables)
    except (KeyError, IndexError):
        raise UnsafeTransaction("it names an account that is not known") from None
    units, price = _budget([call for call in found if call.program == COMPUTE_BUDGET])
    _memo([call for call in found if call.program == MEMO], asked)
    swaps, wrapped, created, tip = list[SwapRead](), 0, set[Pubkey](), 0
    for call in found:
        if call.program in (COMPUTE_BUDGET, MEMO):
            continue
        if call.program in programs:
            swaps.append(_swap(programs[call.program], call, asked))
        elif call.program == ASSOCIATED:
            created.add(_created(call, asked))
        elif call.program == SYSTEM and call.accounts[1:] and call.accounts[1] in TIPPED:
            tip += _tip(call, asked)
        elif call.program == SYSTEM:
            wrapped += _wrapped(call, asked)
        elif call.program in TOKEN_PROGRAMS and call.data == SYNC_NATIVE:
            continue
        else:
            raise UnsafeTransaction(f"it calls {call.program} in a way that no swap needs")
    _together(swaps, asked)
    inspected = Inspected(swaps[0], units, price, wrapped, frozenset(created), tip)
    if inspected.fee_lamports > asked.max_fee_lamports:
        raise UnsafeTransaction(
            f"its fees may reach {inspected.fee_lamports} lamports, allowed are {asked.max_fee_lamports}"
        )
    return inspected


def _budget(budget: Sequence[Call]) -> tuple[int, int]:
    """(limit, price); each named once, so that what is simulated is what is charged."""
    named = {call.data[0]: int.from_bytes(call.data[1:], "little") for call in budget if call.data}
    if len(budget) != 2 or named.keys() != {SET_LIMIT, SET_PRICE} or named[SET_LIMIT] > MAX_UNITS:
        raise UnsafeTransaction("its compute limit and price are not those of one swap")
    return named[SET_LIMIT], named[SET_PRICE]


def _memo(memos: Sequence[Call], asked: Asked) -> None:
    if [(call.data, call.accounts) for call in memos] != [(asked.memo.encode(), ())]:
        raise UnsafeTransaction("it does not carry its order's memo, and only that")


def _swap(program: SwapProgram, call: Call, asked: Asked) -> SwapRead:
    try:
        swap = program.read(call.data, call.accounts)
        sold, bought = swap.directed(asked.wallet)
    except UnknownLayout as error:
        raise UnsafeTransaction(str(error)) from None
    if swap.payer != asked.wallet or (sold.mint, bought.mint) != (asked.sold, asked.bought):
        raise UnsafeTransaction("it is a swap of other tokens, or of another wallet")
    if swap.exact_out != asked.exact_out:
        raise UnsafeTransaction("it is exact in what it sells, or in what it buys, and the other was asked for")
    return swap


def _together(swaps: Sequence[SwapRead], asked: Asked) -> None:
    """One swap, or once in each pool of a split; what they sell and accept in sum is what the order asks."""
    if len(swaps) != (len(asked.pools) or 1):
        raise UnsafeTransaction(f"it swaps {len(swaps)} times")
    if asked.pools and sorted(map(bytes, asked.pools)) != sorted(bytes(swap.pool) for swap in swaps):
        raise UnsafeTransaction("it swaps in another pool than was asked")
    amount, least = sum(swap.amount for swap in swaps), sum(swap.least for swap in swaps)
    if amount > asked.amount:
        raise UnsafeTransaction(f"it sells {amount} base units of {asked.amount}")
    if least < asked.least:
        raise UnsafeTransaction(f"it accepts {least} base units, asked are {asked.least} at least")


def _created(call: Call, asked: Asked) -> Pubkey:
    """An account for one of the two tokens, paid by the wallet and owned by it."""
    own = len(call.accounts) == 6 and call.data == CREATE_IDEMPOTENT and call.accounts[5] in TOKEN_PROGRAMS
    if own:
        payer, account, owner, mint, _, program = call.accounts
        own = payer == owner == asked.wallet and mint in (asked.sold, asked.bought)
        own = own and account == associated_account(asked.wallet, mint, program)
    if not own:
        raise UnsafeTransaction("it makes an account that is not the wallet's own")
    return call.accounts[1]


def _tip(call: Call, asked: Asked) -> int:
    """Lamports of the wallet's for a known receiver; they count as a fee, so the cap bounds them."""
    if call.data[:4] != SYSTEM_TRANSFER or len(call.data) != 12 or len(call.accounts) != 2:
        raise UnsafeTransaction("it tips in a way that is not known")
    if call.accounts[0] != asked.wallet:
        raise UnsafeTransaction("somebody else tips")
    return int.from_bytes(call.data[4:], "little")


def _wrapped(call: Call, asked: Asked) -> int:
    """Lamports that go into the wallet's own wrapped SOL, where that is what is sold."""
    own = (asked.wallet, associated_account(asked.wallet, WRAPPED_SOL, TOKEN))
    if call.data[:4] != SYSTEM_TRANSFER or len(call.data) != 12 or call.accounts != own or asked.sold != WRAPPED_SOL:
        raise UnsafeTransaction("it moves SOL to somewhere else")
    lamports = int.from_bytes(call.data[4:], "little")
    if lamports > asked.amount:
        raise UnsafeTransaction(f"it wraps {lamports} lamports, {asked.amount} are sold")
    return lamports
