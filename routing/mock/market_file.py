"""The mock market's state: one small JSON file that every process reads and few ever write.

Writers hold a lock and replace the complete file, so a reader sees the old or the new one and a killed
writer leaves no half. Readers compare the file's stat before they use what they read last.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from routing.clock import Clock
from routing.values import VenueName

_STAT_EVERY_S = 0.001
"""An order reads the market seven times, and thousands of orders a second would feel every system call."""


class Health(StrEnum):
    """How a venue answers for one pool."""

    OK = "ok"
    ERROR = "error"
    SLOW = "slow"


class Pool(msgspec.Struct, omit_defaults=True):
    """What `move` set for one pool, in its own direction (`Tokens.pool_pair`); None = not set."""

    price: Decimal | None = None
    natural: Decimal | None = None
    """What the price would have been without `move` when it was set: it wanders on from there."""
    hold: bool = False
    liquidity: Decimal | None = None
    volume: Decimal | None = None
    listed: bool | None = None
    health: dict[VenueName, Health] = {}


class MarketState(msgspec.Struct):
    seed: int
    epoch: datetime
    """Second zero of the wandering."""
    pools: dict[str, Pool] = {}


class MarketFile:
    """`market.json` in the directory, made at first use.

    With a `seed` that differs from the file's the market starts anew; without one it is kept, or drawn.
    """

    def __init__(self, directory: Path, *, seed: int | None, clock: Clock) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "market.json"
        self._lock_path = directory / "market.lock"
        self._stat_at = 0.0
        self._seen: tuple[tuple[int, int], MarketState] | None = None
        with self._locked():
            if not self._path.exists() or (seed is not None and self._load().seed != seed):
                self._replace(MarketState(seed=secrets.randbits(32) if seed is None else seed, epoch=clock()))

    def read(self) -> MarketState:
        """The state as of at most a millisecond ago; not to be changed."""
        seen = self._seen
        if seen is not None and time.monotonic() < self._stat_at:
            return seen[1]
        self._stat_at = time.monotonic() + _STAT_EVERY_S
        stat = os.stat(self._path)
        key = (stat.st_mtime_ns, stat.st_ino)
        if seen is None or seen[0] != key:
            # A replacement between the two calls is noticed at the next read: the key is the older one.
            seen = (key, self._load())
            self._seen = seen
        return seen[1]

    @contextmanager
    def change(self) -> Iterator[MarketState]:
        """The state to change in place; written when the block ends without an error."""
        with self._locked():
            state = self._load()
            yield state
            self._replace(state)
            self._seen = None

    def _load(self) -> MarketState:
        return msgspec.json.decode(self._path.read_bytes(), type=MarketState)

    def _replace(self, state: MarketState) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(state))
        if self._path.exists():
            # A file system's clock is coarse and inodes are used again: only a growing time shows readers a change.
            earlier, now = os.stat(self._path).st_mtime_ns, os.stat(draft).st_mtime_ns
            os.utime(draft, ns=(now, max(now, earlier + 1_000)))
        os.replace(draft, self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._lock_path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
