"""What a node tells of a transaction: accounts with those of look-up tables, balances before and after, the meta."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import base58
from solders.account import Account
from solders.address_lookup_table_account import ID as LOOKUP_TABLES
from solders.pubkey import Pubkey

from localnet.addresses import TOKEN_PROGRAMS

GetAccount = Callable[[Pubkey], Account | None]
TABLE_HEADER = 56
"""Bytes before a look-up table's addresses."""
TOKEN_ACCOUNT_SIZE, ACCOUNT_TYPE_TOKEN = 165, 2
"""Token-2022 puts the account's type behind the classic 165 bytes."""


class Keys:
    """The accounts of a message of any version, in the order instructions number them."""

    def __init__(self, message: Any, get: GetAccount) -> None:
        static = list(message.account_keys)
        header = message.header
        signed = header.num_required_signatures
        writable = {
            key
            for place, key in enumerate(static)
            if place < signed - header.num_readonly_signed_accounts
            or signed <= place < len(static) - header.num_readonly_unsigned_accounts
        }
        self.written: list[Pubkey] = []
        self.read: list[Pubkey] = []
        for lookup in getattr(message, "address_table_lookups", ()):
            table = get(lookup.account_key)
            if table is None or table.owner != LOOKUP_TABLES:
                continue
            self.written += _picked(table.data, lookup.writable_indexes)
            self.read += _picked(table.data, lookup.readonly_indexes)
        self.all = static + self.written + self.read
        self.writable = writable | set(self.written)

    @property
    def loaded(self) -> dict[str, list[str]]:
        return {"writable": [str(key) for key in self.written], "readonly": [str(key) for key in self.read]}


def _picked(table: bytes, indexes: bytes) -> list[Pubkey]:
    places = (TABLE_HEADER + 32 * index for index in indexes)
    return [Pubkey.from_bytes(table[place : place + 32]) for place in places]


def is_token_account(account: Account | None) -> bool:
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return False
    size = len(account.data)
    return size == TOKEN_ACCOUNT_SIZE or size > TOKEN_ACCOUNT_SIZE and account.data[165] == ACCOUNT_TYPE_TOKEN


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """A token amount as RPC answers it."""
    text = f"{Decimal(amount).scaleb(-decimals):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(text), "uiAmountString": text}


def decimals_of(mint: Pubkey, get: GetAccount) -> int:
    account = get(mint)
    return account.data[44] if account else 0


def token_balances(keys: Sequence[Pubkey], get: GetAccount) -> list[dict[str, Any]]:
    """`preTokenBalances` or `postTokenBalances` of the accounts as they stand."""
    found = []
    for place, key in enumerate(keys):
        account = get(key)
        if account is None or not is_token_account(account):
            continue
        mint, owner = (Pubkey.from_bytes(account.data[at : at + 32]) for at in (0, 32))
        amount = int.from_bytes(account.data[64:72], "little")
        found.append(
            {
                "accountIndex": place,
                "mint": str(mint),
                "owner": str(owner),
                "programId": str(account.owner),
                "uiTokenAmount": ui_amount(amount, decimals_of(mint, get)),
            }
        )
    return found


def lamports(keys: Sequence[Pubkey], get: GetAccount) -> list[int]:
    return [account.lamports if (account := get(key)) else 0 for key in keys]


def after(get: GetAccount, changed: Mapping[Pubkey, Account]) -> GetAccount:
    """The accounts as a simulation left them."""
    return lambda key: changed[key] if key in changed else get(key)


def meta(
    keys: Keys, before: tuple[list[int], list[dict[str, Any]]], get: GetAccount, err: Any, done: Any
) -> dict[str, Any]:
    """`meta` of `getTransaction`; `done` is the virtual machine's word."""
    return {
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "fee": done.fee(),
        "preBalances": before[0],
        "postBalances": lamports(keys.all, get),
        "preTokenBalances": before[1],
        "postTokenBalances": token_balances(keys.all, get),
        "innerInstructions": [
            {"index": index, "instructions": [_instruction(each) for each in group]}
            for index, group in enumerate(done.inner_instructions())
            if group
        ],
        "logMessages": done.logs(),
        "loadedAddresses": keys.loaded,
        "rewards": [],
        "computeUnitsConsumed": done.compute_units_consumed(),
    }


def _instruction(inner: Any) -> dict[str, Any]:
    instruction = inner.instruction()
    return {
        "programIdIndex": instruction.program_id_index,
        "accounts": list(instruction.accounts),
        "data": base58.b58encode(bytes(instruction.data)).decode(),
        "stackHeight": inner.stack_height(),
    }
