"""Transactions of a test's own, by no code of the product's."""

import base64
import struct
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from localnet.addresses import MEMO
from tests.localnet.node import Localnet


class Wallet:
    def __init__(self, node: Localnet, sol: str = "10") -> None:
        self.node, self.key = node, Keypair()
        node.control("give", owner=str(self.key.pubkey()), token="SOL", amount=sol)
        node.tick()

    def latest(self, commitment: str = "confirmed") -> dict[str, Any]:
        found: dict[str, Any] = self.node.rpc("getLatestBlockhash", {"commitment": commitment})["value"]
        return found

    def signed(self, instructions: list[Instruction], blockhash: str | None = None) -> VersionedTransaction:
        latest = blockhash or self.latest()["blockhash"]
        message = MessageV0.try_compile(self.key.pubkey(), instructions, [], Hash.from_string(latest))
        return VersionedTransaction(message, [self.key])

    def payment(self, lamports: int, blockhash: str | None = None, *, memo: str = "") -> VersionedTransaction:
        """To itself."""
        own = self.key.pubkey()
        instructions = [transfer(TransferParams(from_pubkey=own, to_pubkey=own, lamports=lamports))]
        if memo:
            instructions.append(Instruction(MEMO, memo.encode(), []))
        return self.signed(instructions, blockhash)

    def send(self, transaction: VersionedTransaction, **options: Any) -> Any:
        text = base64.b64encode(bytes(transaction)).decode()
        return self.node.rpc("sendTransaction", text, {"encoding": "base64", "skipPreflight": True, **options})

    def status(self, transaction: VersionedTransaction, *, history: bool = True) -> Any:
        signature = str(transaction.signatures[0])
        return self.node.rpc("getSignatureStatuses", [signature], {"searchTransactionHistory": history})["value"][0]

    def tokens(self, mint: Pubkey) -> int:
        """Base units in all accounts of the mint."""
        answer = self.node.rpc(
            "getTokenAccountsByOwner", str(self.key.pubkey()), {"mint": str(mint)}, {"encoding": "base64"}
        )
        held = [base64.b64decode(each["account"]["data"][0]) for each in answer["value"]]
        return sum(struct.unpack_from("<Q", data, 64)[0] for data in held)
