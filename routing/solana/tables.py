"""Address look-up tables, read from the chain: what a venue says is in one would decide which accounts are signed for."""

import struct
from collections.abc import Iterable

from solders.pubkey import Pubkey

from routing.solana.accounts import Accounts
from routing.solana.transaction import Tables

PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
HEADER_BYTES = 56
IN_USE = 2**64 - 1
"""The slot of its end, while it has none."""
MAX_AGE_S = 60.0
"""Tables only grow, and one that is being closed is refused by the simulation."""


async def read_tables(accounts: Accounts, addresses: Iterable[Pubkey]) -> Tables:
    """Those of the addresses that are look-up tables in use. Raises `RpcError`, `NoAnswer`."""
    wanted = list(dict.fromkeys(addresses))
    if not wanted:
        return {}
    held = await accounts.get(wanted, max_age_s=MAX_AGE_S)
    return {
        address: [
            Pubkey.from_bytes(account.data[at : at + 32]) for at in range(HEADER_BYTES, len(account.data) - 31, 32)
        ]
        for address, account in held.items()
        if account is not None
        and account.owner == PROGRAM
        and len(account.data) >= HEADER_BYTES
        and struct.unpack_from("<IQ", account.data, 0) == (1, IN_USE)
    }
