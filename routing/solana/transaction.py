"""Messages of transactions: made, stamped with our memo and block hash, limited, read. Pure."""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import Message, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from routing.solana.addresses import ASSOCIATED, COMPUTE_BUDGET, MEMO, SYSTEM, TOKEN, WRAPPED_SOL, associated_account

MAX_BYTES = 1_232
"""Of a transaction of version 0: what fits a packet of IPv6."""
MAX_UNITS = 1_400_000
SET_LIMIT, SET_PRICE = 2, 3
CREATE_IDEMPOTENT = b"\x01"
SYNC_NATIVE = b"\x11"
Tables = Mapping[Pubkey, Sequence[Pubkey]]
"""Look-up tables: address → the addresses in it."""


class Call(NamedTuple):
    """One instruction of a message, its accounts by address."""

    program: Pubkey
    data: bytes
    accounts: tuple[Pubkey, ...]


def compute_limit(units: int) -> Instruction:
    return Instruction(COMPUTE_BUDGET, struct.pack("<BI", SET_LIMIT, units), [])


def compute_price(micro_lamports: int) -> Instruction:
    return Instruction(COMPUTE_BUDGET, struct.pack("<BQ", SET_PRICE, micro_lamports), [])


def memo(text: str) -> Instruction:
    return Instruction(MEMO, text.encode(), [])


def create_account(owner: Pubkey, mint: Pubkey, program: Pubkey) -> Instruction:
    """The owner's associated account, if it does not exist; the owner pays its rent."""
    metas = [
        AccountMeta(owner, True, True),
        AccountMeta(associated_account(owner, mint, program), False, True),
        *(AccountMeta(key, False, False) for key in (owner, mint, SYSTEM, program)),
    ]
    return Instruction(ASSOCIATED, CREATE_IDEMPOTENT, metas)


def wrap(owner: Pubkey, lamports: int) -> list[Instruction]:
    """Moves SOL into the owner's account of wrapped SOL, where it stays."""
    account = associated_account(owner, WRAPPED_SOL, TOKEN)
    return [
        transfer(TransferParams(from_pubkey=owner, to_pubkey=account, lamports=lamports)),
        Instruction(TOKEN, SYNC_NATIVE, [AccountMeta(account, False, True)]),
    ]


def compiled(payer: Pubkey, instructions: Sequence[Instruction], blockhash: Hash) -> MessageV0:
    return MessageV0.try_compile(payer, [*instructions], [], blockhash)


def limited(message: MessageV0, units: int, price: int) -> MessageV0:
    """The same message with this compute limit and price in place of its own; it has both."""
    budget = list(message.account_keys).index(COMPUTE_BUDGET)
    packed = {SET_LIMIT: struct.pack("<BI", SET_LIMIT, units), SET_PRICE: struct.pack("<BQ", SET_PRICE, price)}
    instructions = [
        CompiledInstruction(budget, packed[each.data[0]], b"")
        if each.program_id_index == budget and each.data[:1] and each.data[0] in packed
        else each
        for each in message.instructions
    ]
    return _with(message, instructions)


def _with(message: MessageV0, instructions: Sequence[CompiledInstruction]) -> MessageV0:
    return MessageV0(
        message.header,
        message.account_keys,
        message.recent_blockhash,
        [*instructions],
        message.address_table_lookups,
    )


def stamped(foreign: Message | MessageV0, *, blockhash: Hash, text: str, units: int, price: int) -> MessageV0:
    """A venue's message with our memo, block hash, compute limit and price; whatever of the kind it had is taken out.

    The memo makes two orders' transactions differ, which else are the same bytes where all they ask for is the same, and
    lets the chain be read by order. Ours is a block hash whose last valid height is known.
    """
    lookups = list(getattr(foreign, "address_table_lookups", ()))
    keys, header = list(foreign.account_keys), foreign.header
    static = len(keys)
    for program in (COMPUTE_BUDGET, MEMO):
        if program not in keys:
            # The last of those that are only read and do not sign.
            keys.append(program)
    more = len(keys) - static
    # Accounts of look-up tables are numbered after the static ones, so a static one more moves them all.
    moved = [
        CompiledInstruction(
            each.program_id_index, each.data, bytes(n + more if n >= static else n for n in each.accounts)
        )
        for each in foreign.instructions
        if keys[each.program_id_index] not in (COMPUTE_BUDGET, MEMO)
    ]
    budget, memos = keys.index(COMPUTE_BUDGET), keys.index(MEMO)
    instructions = [
        CompiledInstruction(budget, struct.pack("<BI", SET_LIMIT, units), b""),
        CompiledInstruction(budget, struct.pack("<BQ", SET_PRICE, price), b""),
        *moved,
        CompiledInstruction(memos, text.encode(), b""),
    ]
    grown = MessageHeader(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts + more,
    )
    return MessageV0(grown, keys, blockhash, instructions, lookups)


def all_keys(message: MessageV0, tables: Tables) -> list[Pubkey]:
    """The accounts in the order in which instructions number them. Raises `KeyError`, `IndexError` for an unknown table."""
    keys, looked_up = list(message.account_keys), message.address_table_lookups
    for writable in (True, False):
        for lookup in looked_up:
            table = tables[lookup.account_key]
            keys += [table[n] for n in (lookup.writable_indexes if writable else lookup.readonly_indexes)]
    return keys


def calls(message: MessageV0, tables: Tables) -> list[Call]:
    """Raises `KeyError`, `IndexError` for an unknown table or account. A program is never one of a table."""
    keys, static = all_keys(message, tables), list(message.account_keys)
    return [
        Call(static[each.program_id_index], bytes(each.data), tuple(keys[n] for n in each.accounts))
        for each in message.instructions
    ]


def unsigned(message: MessageV0) -> bytes:
    """As it is simulated: with room for the signature."""
    return bytes(VersionedTransaction.populate(message, [Signature.default()]))
