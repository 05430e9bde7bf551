"""What a cluster's nodes tell between two polls: that a pool has changed, and that there is a new one."""

from collections.abc import Collection
from dataclasses import dataclass

from routing.solana.launches import LaunchWatch
from routing.solana.vault_watch import VaultWatch
from routing.values import Pair
from routing.watch import Changed


@dataclass(frozen=True, slots=True)
class Watches:
    """See `MarketWatch`."""

    vaults: VaultWatch
    launches: LaunchWatch

    def follow(self, pairs: Collection[Pair], changed: Changed) -> None:
        """See `MarketWatch`."""
        self.vaults.follow(pairs, changed)
        self.launches.follow(pairs, changed)

    async def close(self) -> None:
        await self.vaults.close()
        await self.launches.close()
