"""What wallets hold, as the chain says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from routing.values import Token


@dataclass(frozen=True, slots=True)
class Holding:
    """Of one wallet, all as of one slot; in base units."""

    slot: int
    lamports: int
    tokens: Mapping[str, int] = field(default_factory=dict)
    """By mint; wrapped SOL is the mint of SOL, apart from `lamports`."""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """By mint, where the chain was asked for all of them."""


class Balances(Protocol):
    async def spendable(self, wallet: str, token: Token, *, at_least: int = 0) -> Holding:
        """Lamports, and in the wallet's associated accounts, from which swaps sell, wrapped SOL and the token.

        Final, and as of slot `at_least` or later. Raises `VenueUnavailable`.
        """
        ...

    async def all(self, wallets: Sequence[str]) -> list[Holding]:
        """Everything that each holds as of the newest confirmed block. Raises `VenueUnavailable`."""
        ...
