"""Prices in the block that changed them: the vaults of pools are subscribed to while somebody waits for their pairs."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from routing.solana.accounts import Account, Accounts, RawAccount, account_of
from routing.solana.addresses import pubkey
from routing.solana.nodes import NO_ANSWER, At
from routing.solana.subscriptions import ACCOUNTS, Subscriptions
from routing.values import Pair, VenueName
from routing.watch import Changed

log = logging.getLogger(__name__)
MAX_ACCOUNTS = 1_000
"""Of one socket. Pools beyond it are polled like all others."""
GATHER_S = 0.02
"""After a vault of a pool has changed, for the other one of the same slot: a price needs both."""
SILENT_S = 2.0
"""After a poll has seen a change of which the node said nothing: it has lost the subscription without saying so."""
FOLLOWED_S = 5.0
"""After the last poll: whoever polls no more is told no more."""

Vaults = tuple[Pubkey, ...]
Told = tuple[Pair, VenueName]


@dataclass(slots=True)
class _Pool:
    """What is known of a pool's vaults. `arrived`: (slot, account) that wait for the other vault's."""

    told: set[Told] = field(default_factory=set)
    arrived: dict[Pubkey, tuple[int, Account]] = field(default_factory=dict)
    seen: tuple[Account | None, ...] | None = None
    unsaid_since: float | None = None


class VaultWatch:
    """See `MarketWatch`. `vaults`: by venue, those of the pools that a pair was last priced by."""

    def __init__(
        self,
        urls: Sequence[str],
        accounts: Accounts,
        vaults: Mapping[VenueName, Callable[[Pair], Collection[Vaults]]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts, self._vaults, self._now = accounts, vaults, now
        self._subscriptions = Subscriptions(list(urls), ACCOUNTS, self._notified)
        self._pools: dict[Vaults, _Pool] = {}
        self._of: dict[str, Vaults] = {}
        self._changed: Changed | None = None
        self._until = float("-inf")
        self._reading: set[asyncio.Task[None]] = set()

    def follow(self, pairs: Collection[Pair], changed: Changed) -> None:
        """See `MarketWatch`."""
        self._changed, self._until = changed, self._now() + FOLLOWED_S
        wanted: dict[Vaults, set[Told]] = {}
        for venue, vaults_of in self._vaults.items():
            for pair in pairs:
                for vaults in vaults_of(pair):
                    wanted.setdefault(vaults, set()).add((pair, venue))
        within = list(wanted)[: MAX_ACCOUNTS // 2]
        pools = {vaults: self._pools.get(vaults) or _Pool() for vaults in within}
        for vaults, pool in pools.items():
            pool.told = wanted[vaults]
        self._pools = pools
        self._of = {str(vault): vaults for vaults in pools for vault in vaults}
        self._subscriptions.only(self._of)
        if sum(self._is_silent(vaults, pool) for vaults, pool in pools.items()):
            self._give_up()

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await self._subscriptions.close()

    def _is_silent(self, vaults: Vaults, pool: _Pool) -> bool:
        """Whether the last poll saw another pool than the one before, and nobody has said so for a while."""
        before, pool.seen = pool.seen, tuple(map(self._accounts.peek, vaults))
        if not all(self._subscriptions.tells(str(vault)) for vault in vaults):
            pool.unsaid_since = None
        elif before is not None and pool.unsaid_since is None and _data(before) != _data(pool.seen):
            pool.unsaid_since = self._now()
        return pool.unsaid_since is not None and self._now() - pool.unsaid_since > SILENT_S

    def _give_up(self) -> None:
        log.warning("a node has stopped telling of vaults without saying so: another one is subscribed to")
        for pool in self._pools.values():
            pool.unsaid_since = None
        self._subscriptions.give_up()

    def _notified(self, vault: str, result: Any) -> None:
        vaults = self._of.get(vault)
        if vaults is None:
            return
        if self._now() > self._until:
            return self._subscriptions.only(())
        try:
            told = msgspec.convert(result, At[RawAccount])
            slot, address, account = told.context.slot, pubkey(vault), account_of(told.value)
        except ValueError:
            return  # It is closed, or the node says something else than was asked for.
        known = self._accounts.peek(address)
        if known is None or (known.owner, len(known.data)) != (account.owner, len(account.data)):
            return  # The poll sees what has become of it.
        pool = self._pools[vaults]
        pool.unsaid_since = None
        if not pool.arrived:
            asyncio.get_running_loop().call_later(GATHER_S, self._read, vaults)
        pool.arrived[address] = slot, account
        if len(pool.arrived) == len(vaults) and len({slot for slot, _ in pool.arrived.values()}) == 1:
            arrived, pool.arrived = pool.arrived, {}
            self._accounts.put({address: account for address, (_, account) in arrived.items()}, slot)
            self._tell(vaults)

    def _read(self, vaults: Vaults) -> None:
        """Where one vault alone has changed, or the other one's notification is late: both as of one slot."""
        pool = self._pools.get(vaults)
        if pool is None or not pool.arrived:
            return
        pool.arrived = {}
        task = asyncio.get_running_loop().create_task(self._reread(vaults))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _reread(self, vaults: Vaults) -> None:
        try:
            await self._accounts.get(vaults, max_age_s=0.0)
        except NO_ANSWER:
            return  # The next poll sees it.
        self._tell(vaults)

    def _tell(self, vaults: Vaults) -> None:
        pool = self._pools.get(vaults)
        if pool is None or self._changed is None:
            return
        pool.seen = tuple(map(self._accounts.peek, vaults))
        for pair, venue in pool.told:
            self._changed(pair, venue)


def _data(accounts: Sequence[Account | None]) -> list[bytes | None]:
    return [None if account is None else account.data for account in accounts]
