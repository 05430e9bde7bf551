"""What all methods of a node share: its view of the chain, how it writes accounts and transactions out."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import base58
from solders.account import Account
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from localnet.chain import Chain
from localnet.faults import LAG_BLOCKS, Fault, Faults
from localnet.meta import decimals_of, is_token_account, ui_amount

MAX_TRANSACTION_BYTES = 1_232
VERSION = "3.1.0"
NEVER = 2**64 - 1
"""The rent epoch of an account that is exempt."""
Config = dict[str, Any] | None


class RpcError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Node:
    """A node's view: the chain, seen so many blocks late while the fault `lag` lasts. Nodes may disagree."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.faults = Faults()
        """Its own; those of `chain` are anybody's."""
        self._behind = 0

    def takes(self, fault: Fault) -> bool:
        """Whether the fault strikes this node now; counts down."""
        return self.faults.takes(fault) or self.chain.faults.takes(fault)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around an answer about statuses and heights: it may be a lagging node's."""
        self._behind = LAG_BLOCKS if self.takes(Fault.LAG) else 0
        try:
            yield
        finally:
            self._behind = 0

    def height(self, config: Config = None) -> int:
        return self.chain.at(option(config, "commitment")) - self._behind

    def slot(self, config: Config = None) -> int:
        height = self.height(config)
        if slot := self.chain.slots.get(height):
            return slot
        return self.chain.slot - (self.chain.height - height)

    def wrap(self, value: Any, config: Config = None) -> dict[str, Any]:
        return {"context": {"slot": self.slot(config), "apiVersion": VERSION}, "value": value}

    def account(self, address: str, config: Config, account: Account | None = None) -> dict[str, Any] | None:
        """An account as RPC writes it; None where there is none. Raises `RpcError` for an address that is none."""
        account = account or self.chain.get(pubkey(address))
        if account is None or account.lamports == 0:
            return None
        return {
            "lamports": account.lamports,
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": NEVER,
            "space": len(account.data),
            "data": self._data(account, config),
        }

    def _data(self, account: Account, config: Config) -> Any:
        data, encoding = bytes(account.data), option(config, "encoding") or "base64"
        if part := option(config, "dataSlice"):
            data = data[part["offset"] : part["offset"] + part["length"]]
        if encoding == "jsonParsed" and is_token_account(account):
            return self._parsed(account)
        if encoding == "base58":
            return [base58.b58encode(data).decode(), "base58"]
        return [base64.b64encode(data).decode(), "base64"]

    def _parsed(self, account: Account) -> dict[str, Any]:
        mint, owner = (Pubkey.from_bytes(account.data[at : at + 32]) for at in (0, 32))
        amount = int.from_bytes(account.data[64:72], "little")
        program = "spl-token" if len(account.data) == 165 else "spl-token-2022"
        info = {
            "mint": str(mint),
            "owner": str(owner),
            "state": "initialized",
            "isNative": account.data[109:113] == b"\x01\0\0\0",
            "tokenAmount": ui_amount(amount, decimals_of(mint, self.chain.get)),
        }
        return {"program": program, "space": len(account.data), "parsed": {"type": "account", "info": info}}


def option(config: Config, name: str) -> Any:
    """An option of a call; clients send null for what they do not mean."""
    return None if not isinstance(config, dict) else config.get(name)


def pubkey(text: Any) -> Pubkey:
    """Raises `RpcError`."""
    try:
        return Pubkey.from_string(text)
    except (ValueError, TypeError):
        raise RpcError(-32602, "Invalid param: WrongSize" if isinstance(text, str) else "Invalid param") from None


def decoded(text: str, encoding: str | None) -> VersionedTransaction:
    """A transaction as a client sent it. Raises `RpcError`."""
    try:
        raw = base64.b64decode(text, validate=True) if encoding == "base64" else base58.b58decode(text)
        transaction = VersionedTransaction.from_bytes(raw)
    except Exception as error:
        raise RpcError(
            -32602, f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        ) from None
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise RpcError(
            -32602, f"VersionedTransaction too large: {len(raw)} bytes (max: encoded/raw 1644/{MAX_TRANSACTION_BYTES})"
        )
    return transaction


def written(raw: bytes, encoding: str) -> Any:
    """A transaction's bytes in the encoding a client asked for."""
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [base58.b58encode(raw).decode(), "base58"]
    transaction = VersionedTransaction.from_bytes(raw)
    return {
        "signatures": [str(signature) for signature in transaction.signatures],
        "message": message_out(transaction.message),
    }


def message_out(message: Any) -> dict[str, Any]:
    header = message.header
    found: dict[str, Any] = {
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "instructions": [
            {
                "programIdIndex": each.program_id_index,
                "accounts": list(each.accounts),
                "data": base58.b58encode(bytes(each.data)).decode(),
                "stackHeight": None,
            }
            for each in message.instructions
        ],
    }
    if isinstance(message, MessageV0):
        found["addressTableLookups"] = [
            {
                "accountKey": str(each.account_key),
                "writableIndexes": list(each.writable_indexes),
                "readonlyIndexes": list(each.readonly_indexes),
            }
            for each in message.address_table_lookups
        ]
    return found
