"""Which wallet an order is executed with: public facts only, cached for the intake."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import close_old_connections
from django.db.models import QuerySet

from routing.cluster import wallets_cluster
from wallets.models import State, Wallet

CACHE_S = 2.0
"""A new default may be missed for so long. A retired wallet is refused again where funds are reserved."""
MAX_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """A wallet in use, on this process' cluster."""

    id: int
    address: str
    is_default: bool


class WalletRing:
    """Looks wallets up, one query an account in CACHE_S."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[int, tuple[float, tuple[Known, ...]]] = {}

    async def choose(self, account_id: int, named: str | None) -> str | None:
        """The address of the account's wallet of that id or address, its default where none is named; None: there is none.

        Raises `django.db.Error` while Postgres is away, `ClusterUnknown`.
        """
        entry = self._known.get(account_id)
        if entry is None or entry[0] < self._now():
            entry = await asyncio.to_thread(self._ask, account_id)
        for wallet in entry[1]:
            if wallet.is_default if named is None else named in (wallet.address, str(wallet.id)):
                return wallet.address
        return None

    def _ask(self, account_id: int) -> tuple[float, tuple[Known, ...]]:
        close_old_connections()
        try:
            rows = in_use().filter(account_id=account_id).values_list("id", "address", "is_default")
            found = tuple(Known(*row) for row in rows)
        finally:
            close_old_connections()
        if len(self._known) >= MAX_ACCOUNTS:
            self._known.clear()
        # An account without wallets is asked for again at once: it is about to get one.
        entry = self._known[account_id] = (self._now() + CACHE_S if found else 0.0, found)
        return entry


def in_use() -> QuerySet[Wallet]:
    """Wallets that sign on this process' cluster."""
    return Wallet.objects.filter(cluster=wallets_cluster(), state=State.ACTIVE)
