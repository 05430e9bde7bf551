"""The wallet's token accounts of a swap: they are made where they are missing, and SOL that is sold is wrapped there.

Wrapped SOL stays wrapped: unwrapping it after a swap would close the account under the wallet's next order.
"""

import struct
from collections.abc import Iterable

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.solana.accounts import Account, Accounts
from routing.solana.addresses import TOKEN_2022, TOKEN_PROGRAMS, WRAPPED_SOL, associated_account
from routing.solana.mints import has_transfer_fee
from routing.solana.pools import AMOUNT_AT
from routing.solana.programs import Side
from routing.solana.safety import Asked
from routing.solana.transaction import create_account, wrap
from routing.venue import InsufficientFunds

KNOWN_AGE_S = 300.0
"""An account that exists is hardly ever closed; a transaction that relies on one that was fails in its simulation."""
MINT_AGE_S = 3_600.0
RENT_LAMPORTS = 6_000_000
"""Left for the rent of the wallet and of two token accounts; falling rents make it more than enough."""


class Funding:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def prepare(self, asked: Asked, sold: Side, bought: Side) -> tuple[list[Instruction], Pubkey, Pubkey]:
        """(what comes before the swap, the account that is sold from, the one that is paid into).

        Raises `InsufficientFunds`, `RpcError`, `NoAnswer`.
        """
        wallet = asked.wallet
        source = associated_account(wallet, sold.mint, sold.program)
        destination = associated_account(wallet, bought.mint, bought.program)
        instructions: list[Instruction] = []
        if await self._known(destination) is None:
            instructions.append(create_account(wallet, bought.mint, bought.program))
        if sold.mint == WRAPPED_SOL:
            instructions += await self._wrapped(asked, source, sold)
        elif await self._known(source) is None:
            raise InsufficientFunds(f"the wallet has no account of {sold.mint}")
        return instructions, source, destination

    async def takes_fees(self, sides: Iterable[Side]) -> bool:
        """Whether a side's token takes a fee of its own on transfers: what arrives is then less than a pool's formula says."""
        mints = [side.mint for side in sides if side.program == TOKEN_2022]
        if not mints:
            return False
        held = await self._accounts.get(mints, max_age_s=MINT_AGE_S)
        return any(account is None or has_transfer_fee(account.data) for account in held.values())

    async def _known(self, address: Pubkey) -> Account | None:
        """One that was seen lately; that there is none is asked for again."""
        account = made((await self._accounts.get([address], max_age_s=KNOWN_AGE_S))[address])
        return account if account is not None else made((await self._accounts.get([address]))[address])

    async def _wrapped(self, asked: Asked, source: Pubkey, sold: Side) -> list[Instruction]:
        """Wraps all that is sold where the wallet's SOL is enough, otherwise what the account of wrapped SOL lacks.

        Orders of one wallet are built side by side: if each relied on the wrapped SOL that is there, the first one in a block
        would take it from under the others.
        """
        found = await self._accounts.get([source, asked.wallet])
        account, own = made(found[source]), found[asked.wallet]
        held = 0 if account is None else struct.unpack_from("<Q", account.data, AMOUNT_AT)[0]
        free = (0 if own is None else own.lamports) - asked.max_fee_lamports - RENT_LAMPORTS
        lacking = asked.amount if free >= asked.amount else asked.amount - held
        making = [create_account(asked.wallet, sold.mint, sold.program)] if account is None else []
        return [*making, *(wrap(asked.wallet, lacking) if lacking > 0 else [])]


def made(account: Account | None) -> Account | None:
    """A token account; None for an address that has lamports alone: anybody may send some there before the account is made."""
    token = account is not None and account.owner in TOKEN_PROGRAMS and len(account.data) >= AMOUNT_AT + 8
    return account if token else None
