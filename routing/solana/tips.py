"""Who may be tipped: the accounts that Jito publishes (`getTipAccounts`). A transaction that pays anybody else is not signed.

Jupiter's are left out: its tips count only for what is sent through Jupiter, and this engine sends to nodes.
"""

import random

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from routing.values import Bid

ACCOUNTS = [
    Pubkey.from_string(each)
    for each in (
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
        "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
        "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
        "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    )
]
TIPPED = frozenset(ACCOUNTS)


def tips(wallet: Pubkey, bid: Bid) -> list[Instruction]:
    """To one of them by chance: a single one would be written by everybody."""
    if not bid.tip:
        return []
    return [transfer(TransferParams(from_pubkey=wallet, to_pubkey=random.choice(ACCOUNTS), lamports=bid.tip))]
