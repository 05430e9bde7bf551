"""What both APIs do: find the pool, and write its swap as instructions of a wallet."""

import time
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

from localnet import pools
from localnet.addresses import ASSOCIATED, SYSTEM
from localnet.chain import Chain
from localnet.formats import FORMATS, amount_in

MAX_AMOUNT = 2**63
"""Base units that a swap for an output takes at most."""
CREATE_IDEMPOTENT = b"\x01"
"""The associated-token program's instruction that succeeds where the account is there already."""


class NotRouted(Exception):
    """No pool trades the two mints, or not yet."""


@dataclass(frozen=True)
class Offer:
    pool: pools.Pool
    amount: int
    pays: int

    @property
    def impact(self) -> float:
        """The part of the price that the amount itself costs, fee apart: 0 to 1."""
        return self.amount / (self.pool.sold.reserve + self.amount)

    def least(self, slippage_bps: int) -> int:
        """The threshold of the slippage, rounded up: never worse than asked."""
        return -(-self.pays * (10_000 - slippage_bps) // 10_000)

    def instructions(self, wallet: Pubkey, least: int, *, most: int | None = None) -> tuple[Instruction, Instruction]:
        """The account that is paid into, made if it is missing, and the swap; with `most` for exactly `least`."""
        sold, bought = self.pool.sold, self.pool.bought
        source = get_associated_token_address(wallet, sold.mint, sold.program)
        destination = get_associated_token_address(wallet, bought.mint, bought.program)
        create = Instruction(
            ASSOCIATED,
            CREATE_IDEMPOTENT,
            [
                AccountMeta(wallet, True, True),
                AccountMeta(destination, False, True),
                AccountMeta(wallet, False, False),
                AccountMeta(bought.mint, False, False),
                AccountMeta(SYSTEM, False, False),
                AccountMeta(bought.program, False, False),
            ],
        )
        amount = self.amount if most is None else most
        return create, self.pool.swap(amount, least, wallet, source, destination, exact_out=most is not None)


def offer(chain: Chain, venue: str, sold: str, bought: str, amount: int) -> Offer:
    """Raises `NotRouted`; `ValueError` for an address that is none."""
    pool = pools.find(chain.get, FORMATS[venue], Pubkey.from_string(sold), Pubkey.from_string(bought))
    if pool is None or pool.opens_at > time.time():
        raise NotRouted
    return Offer(pool, amount, pool.pays(amount))


def offer_for(chain: Chain, venue: str, sold: str, bought: str, wanted: int) -> Offer:
    """The least amount that pays `wanted` or more. Raises `NotRouted`, also where the pool cannot pay it."""
    pool = pools.find(chain.get, FORMATS[venue], Pubkey.from_string(sold), Pubkey.from_string(bought))
    if pool is None or pool.opens_at > time.time():
        raise NotRouted
    amount = amount_in(pool.format, wanted, pool.sold.reserve, pool.bought.reserve, pool.rate)
    if amount is None or amount > MAX_AMOUNT:
        raise NotRouted
    return Offer(pool, amount, pool.pays(amount))
