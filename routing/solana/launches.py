"""New pools by subscription: a node tells of a pool in the block that makes it, while somebody waits for its pair.

Polling goes on and finds what is missed. Layouts, sizes and discriminators are those of the programs' public sources: Raydium
`raydium-cp-swap`, `raydium-amm` (`AmmInfo`, which has no discriminator) and `raydium-clmm`, Meteora `damm-v2` and `dlmm-sdk`
(`LbPair`). Anchor's discriminator is the beginning of SHA-256 of `account:` and the name.
"""

import asyncio
import base64
import struct
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from routing.solana.addresses import pubkey
from routing.solana.failures import METEORA_DLMM
from routing.solana.nodes import At
from routing.solana.pool_index import PoolIndex
from routing.solana.pools import CPMM, DAMM
from routing.solana.recent import Recent
from routing.solana.subscriptions import PROGRAMS, Subscriptions
from routing.solana.vault_watch import FOLLOWED_S
from routing.values import Pair, VenueName
from routing.venues import METEORA, RAYDIUM
from routing.watch import Changed

POOL_STATE = bytes.fromhex("f7ede3f5d7c3de46")
MAX_PAIRS = 50
"""That have no pool yet and are waited for. Others beyond it are polled like before: each costs four subscriptions and more."""
MAX_AHEAD_S, OPENS_WITHIN_S = 3_600.0, 0.05
"""A pool that opens later is asked when it does, a moment after its second has begun."""
KNOWN_S = 600.0
"""For so long a pool that was told is not told again."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the account of a program's pools is told from others, and where it names its two mints."""

    label: str
    program: Pubkey
    size: int
    mints_at: tuple[int, int]
    discriminator: bytes
    opens_at: int
    """Where the Unix time stands from which it may be traded (u64)."""
    by_time: int | None = None
    """Where a byte says whether that is a time (1) or a slot; None: always a time."""

    def read(self, data: bytes) -> "Launch | None":
        """None for what is no such pool."""
        if len(data) != self.size or not data.startswith(self.discriminator):
            return None
        a, b = (Pubkey.from_bytes(data[at : at + 32]) for at in self.mints_at)
        timed = self.by_time is None or data[self.by_time] == 1
        return Launch(self, (a, b), struct.unpack_from("<Q", data, self.opens_at)[0] if timed else 0)


@dataclass(frozen=True, slots=True)
class Launch:
    """A pool as its account says it. `opens_at`: Unix time; 0: it does not say a time."""

    shape: Shape
    mints: tuple[Pubkey, Pubkey]
    opens_at: int


RAYDIUM_CPMM = Shape("Raydium CPMM", CPMM.program, CPMM.size, (168, 200), POOL_STATE, 373)
RAYDIUM_AMM_V4 = Shape(
    "Raydium AMM v4", Pubkey.from_string("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"), 752, (400, 432), b"", 224
)
RAYDIUM_CLMM = Shape(
    "Raydium CLMM",
    Pubkey.from_string("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"),
    1544,
    (73, 105),
    POOL_STATE,
    1080,
)
METEORA_DAMM = Shape(
    "Meteora DAMM v2", DAMM.program, DAMM.size, (168, 200), bytes.fromhex("f19a6d0411b16dbc"), 472, by_time=480
)
METEORA_LB = Shape("Meteora DLMM", METEORA_DLMM, 904, (88, 120), bytes.fromhex("210b3162b565b10d"), 816, by_time=86)
DIRECT: Mapping[VenueName, Sequence[Shape]] = {RAYDIUM: (RAYDIUM_CPMM,), METEORA: (METEORA_DAMM,)}
"""Of the pools that are traded here without their venue's server."""
ALL: Mapping[VenueName, Sequence[Shape]] = {
    RAYDIUM: (RAYDIUM_CPMM, RAYDIUM_AMM_V4, RAYDIUM_CLMM),
    METEORA: (METEORA_DAMM, METEORA_LB),
}
"""Of those that the venue's server trades."""


class _Account(msgspec.Struct):
    data: tuple[str, str]
    owner: str


class _Keyed(msgspec.Struct):
    pubkey: str
    account: _Account


class LaunchWatch:
    """See `MarketWatch`. `shapes`: by venue; `indexes`: of the venues whose pools are read here, where a new one is noted."""

    def __init__(
        self, urls: Sequence[str], shapes: Mapping[VenueName, Sequence[Shape]], indexes: Mapping[VenueName, PoolIndex]
    ) -> None:
        self._shapes, self._indexes = shapes, indexes
        self._subscriptions = Subscriptions(list(urls), PROGRAMS, self._notified)
        self._told: dict[str, tuple[VenueName, Shape, set[Pair]]] = {}
        self._known = Recent[tuple[frozenset[str], VenueName], bool](10_000)
        self._changed: Changed | None = None
        self._until = float("-inf")

    def follow(self, pairs: Collection[Pair], changed: Changed) -> None:
        """See `MarketWatch`. Pairs that have a pool are left to others."""
        self._changed, self._until = changed, time.monotonic() + FOLLOWED_S
        wanted: dict[str, tuple[VenueName, Shape, set[Pair]]] = {}
        both_ways: dict[Pair, set[Pair]] = {}
        for pair in pairs:
            both_ways.setdefault(pair.pool, set()).add(pair)
        waiting = [(pool, venue) for pool in both_ways for venue in self._shapes if not self._trades(pool, venue)]
        for pair, venue in waiting[: MAX_PAIRS * len(self._shapes)]:
            for shape in self._shapes[venue]:
                for at in shape.mints_at:
                    wanted[_asked(shape, at, pair.token_in.mint)] = venue, shape, both_ways[pair]
        self._told = wanted
        self._subscriptions.only(wanted)

    async def close(self) -> None:
        await self._subscriptions.close()

    def _trades(self, pair: Pair, venue: VenueName) -> bool:
        mints = frozenset((pair.token_in.mint, pair.token_out.mint))
        if self._known.get((mints, venue), False, max_age_s=KNOWN_S):
            return True
        index = self._indexes.get(venue)
        return index is not None and index.knows(pubkey(pair.token_in.mint), pubkey(pair.token_out.mint))

    def _notified(self, asked: str, result: Any) -> None:
        told = self._told.get(asked)
        if told is None or self._changed is None:
            return
        if time.monotonic() > self._until:
            return self._subscriptions.only(())
        venue, shape, pairs = told
        try:
            found = msgspec.convert(result, At[_Keyed]).value
            address, data = pubkey(found.pubkey), base64.b64decode(found.account.data[0], validate=True)
        except ValueError:
            return  # The node says something else than was asked for: the poll finds the pool.
        launch = shape.read(data) if found.account.owner == str(shape.program) else None
        if launch is None:
            return
        if (index := self._indexes.get(venue)) is not None and shape in DIRECT[venue]:
            index.add(address, launch.mints)
        mints = frozenset(map(str, launch.mints))
        for pair in pairs:
            if mints == {pair.token_in.mint, pair.token_out.mint}:
                self._known[mints, venue] = True
                self._changed(pair, venue)
                if (left := launch.opens_at - time.time()) > 0:
                    # Whoever waits then is asked again, like after any change.
                    loop = asyncio.get_running_loop()
                    loop.call_later(min(left, MAX_AHEAD_S) + OPENS_WITHIN_S, self._changed, pair, venue)


def _asked(shape: Shape, at: int, mint: str) -> str:
    """The parameters of the subscription to the pools of a shape that name the mint there."""
    filters = [{"dataSize": shape.size}, {"memcmp": {"offset": at, "bytes": mint}}]
    return msgspec.json.encode([str(shape.program), filters]).decode()
