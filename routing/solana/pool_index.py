"""Which pools trade which tokens: from a list of addresses, or by a look at all accounts of the pool programs."""

import asyncio
import base64
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from solders.pubkey import Pubkey

from routing.solana.accounts import Accounts
from routing.solana.nodes import Nodes
from routing.solana.pools import MINTS_AT, PoolFormat

MISSING_AGE_S = 0.4
"""After a look that found no pool of a pair; a new pool is seen within a poll of the prices."""
KNOWN_AGE_S = 10.0
"""After a look that found one: another one may have been made since."""


class _Slice(msgspec.Struct):
    data: tuple[str, str]


class Found(msgspec.Struct):
    """One account of `getProgramAccounts`, cut to its two mints."""

    pubkey: str
    account: _Slice

    @property
    def mints(self) -> tuple[Pubkey, Pubkey]:
        data = base64.b64decode(self.account.data[0])
        return Pubkey.from_bytes(data[:32]), Pubkey.from_bytes(data[32:64])


class Owned(msgspec.Struct):
    """An account of `getMultipleAccounts`."""

    data: tuple[str, str]
    owner: str


def mints_of(account: Owned, format_: PoolFormat) -> tuple[Pubkey, Pubkey] | None:
    """None for what is no pool of the program."""
    data = base64.b64decode(account.data[0])
    if account.owner != str(format_.program) or len(data) != format_.size:
        return None
    return _key(data, 0), _key(data, 1)


def scan(format_: PoolFormat) -> tuple[str, list[object]]:
    """(method, parameters) of the look at all pools of a program."""
    options = {
        "encoding": "base64",
        "filters": [{"dataSize": format_.size}],
        "dataSlice": {"offset": MINTS_AT, "length": 64},
    }
    return "getProgramAccounts", [str(format_.program), options]


def search(format_: PoolFormat, a: Pubkey, b: Pubkey) -> tuple[str, list[object]]:
    """(method, parameters) of the look at a program's pools of two mints, in this order."""
    _, [program, options] = scan(format_)
    assert isinstance(options, dict)
    named = [{"memcmp": {"offset": MINTS_AT + 32 * n, "bytes": str(mint)}} for n, mint in enumerate((a, b))]
    return "getProgramAccounts", [program, options | {"filters": [*options["filters"], *named]}]


class PoolIndex:
    """`addresses`: all pools there are to this engine; None looks for them, which a public node of a large cluster refuses."""

    def __init__(
        self, nodes: Nodes, accounts: Accounts, format_: PoolFormat, addresses: Iterable[str] | None = None
    ) -> None:
        self._nodes, self._accounts, self._format = nodes, accounts, format_
        self._addresses = None if addresses is None else [Pubkey.from_string(each) for each in addresses]
        self._pools: Mapping[frozenset[Pubkey], Sequence[Pubkey]] = {}
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def of(self, a: Pubkey, b: Pubkey) -> Sequence[Pubkey]:
        """The pools of two mints. Raises `RpcError`, `NoAnswer` where none is known and nobody can be asked."""
        key = frozenset((a, b))
        age = time.monotonic() - self._looked_at
        found = self._pools.get(key)
        if not found and age > MISSING_AGE_S:
            await asyncio.shield(self._look())
        elif found and age > KNOWN_AGE_S:
            self._look()  # Nobody waits for it.
        return self._pools.get(key, ())

    async def every(self, a: Pubkey, b: Pubkey) -> Sequence[Pubkey]:
        """The pools of two mints, named or not: for whoever looks at a token and trades nothing there.

        Raises what `of` raises.
        """
        found = await self.of(a, b)
        if found or self._addresses is None:
            return found
        ways = (search(self._format, *way) for way in ((a, b), (b, a)))
        both = await asyncio.gather(*(self._nodes.read(list[Found], method, *asked) for method, asked in ways))
        return [Pubkey.from_string(each.pubkey) for part in both for each in part]

    def knows(self, a: Pubkey, b: Pubkey) -> bool:
        """Whether the last look has found a pool of the two. Asks nobody."""
        return bool(self._pools.get(frozenset((a, b))))

    def add(self, address: Pubkey, mints: tuple[Pubkey, Pubkey]) -> None:
        """Notes a pool that is new, until the next look; nothing where pools are named."""
        if self._addresses is not None:
            return
        key = frozenset(mints)
        if address not in (known := self._pools.get(key, ())):
            self._pools = {**self._pools, key: [*known, address]}

    def _look(self) -> "asyncio.Task[None]":
        loop = asyncio.get_running_loop()
        if self._looking is None or self._looking.done() or self._looking.get_loop() is not loop:
            self._looking = loop.create_task(self._refresh())
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._looking

    async def _refresh(self) -> None:
        pools: dict[frozenset[Pubkey], list[Pubkey]] = {}
        for address, mints in await self._all():
            pools.setdefault(frozenset(mints), []).append(address)
        self._pools, self._looked_at = pools, time.monotonic()

    async def _all(self) -> list[tuple[Pubkey, tuple[Pubkey, Pubkey]]]:
        if self._addresses is None:
            method, parameters = scan(self._format)
            found = await self._nodes.read(list[Found], method, *parameters)
            return [(Pubkey.from_string(each.pubkey), each.mints) for each in found]
        held = await self._accounts.get(self._addresses, max_age_s=KNOWN_AGE_S)
        size = self._format.size
        return [
            (address, (_key(account.data, 0), _key(account.data, 1)))
            for address, account in held.items()
            if account is not None and len(account.data) == size
        ]


def _key(data: bytes, side: int) -> Pubkey:
    at = MINTS_AT + 32 * side
    return Pubkey.from_bytes(data[at : at + 32])
