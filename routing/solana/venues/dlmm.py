"""Meteora's DLMM pools as they stand, priced and quoted from their accounts by the optional package `meteora-dlmm`: prices of the
present slot and quotes without a request to a vendor. Their swaps are proposed by Jupiter's API like any other of the venue's.
"""

import asyncio
import copy
import importlib
import struct
import time
from collections.abc import Callable, Sequence
from decimal import ROUND_UP, Decimal

import msgspec
from solders.pubkey import Pubkey

from routing.http import RpcError
from routing.permits import AtVenue
from routing.solana.accounts import Account, Accounts
from routing.solana.addresses import pubkey
from routing.solana.launches import METEORA_LB
from routing.solana.nodes import NO_ANSWER, Nodes
from routing.solana.recent import Recent
from routing.solana.venues.dlmm_pool import (
    ACTIVE_AT,
    RESERVES_AT,
    DlmmPool,
    array_of,
    base_units_in,
    may_be_used,
    of_program,
    open_pool,
    side_of,
)
from routing.solana.venues.signing import DIGITS
from routing.values import Pair, Program, Quote, Tick, VenueName
from routing.venue import VenueUnavailable

AROUND, MORE = 1, 4
"""Arrays on each side of the active bin's that are read at once; single ones that a large amount may need beyond them."""
MAX_POOLS = 8
"""Of a pair, that are read: it may have a hundred, of which few hold anything."""
POOLS_AGE_S, NONE_AGE_S = 60.0, 5.0
UNREADABLE = (ValueError, ArithmeticError, LookupError, struct.error)
"""What the package raises for bytes that are no pool, too."""


class _Found(msgspec.Struct):
    pubkey: str


class DlmmPools:
    """`named`: all pools there are to this engine; None looks for them."""

    def __init__(
        self,
        nodes: Nodes,
        accounts: Accounts,
        named: Sequence[str] | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._nodes, self._accounts, self._now = nodes, accounts, now
        self._named = None if named is None else [pubkey(each) for each in named]
        self._package = importlib.import_module("meteora_dlmm")
        self._fees = importlib.import_module("meteora_dlmm.fees")
        self._addresses = Recent[frozenset[str], Sequence[Pubkey]](10_000)

    async def tick(self, pair: Pair, permit: AtVenue, name: VenueName) -> Tick | None:
        """By the deepest pool that the pair may use; None where there is none. Raises `VenueUnavailable`."""
        pools = await self._pools(pair, permit)
        if not pools:
            return None
        pool = max(pools, key=lambda each: each.depth)
        return Tick(
            pair=pair.name,
            venue=name,
            price=pool.price(pair),
            fee_bps=self._fee_bps(pool),
            liquidity=pool.depth,
            volume=Decimal(0),
            observed_at=pool.seen_at,
        )

    async def quote(self, pair: Pair, amount: Decimal, units: int, permit: AtVenue, name: VenueName) -> Quote | None:
        """The best one of a single pool for `units`, which is `amount` in base units of tokenIn; None where none can pay for all
        of it. Raises `VenueUnavailable`."""
        pools = await self._pools(pair, permit)
        paid = await asyncio.gather(*(self._pays(pool, units) for pool in pools))
        found = [(out, pool) for out, pool in zip(paid, pools, strict=True) if out]
        if not found:
            return None
        out, pool = max(found, key=lambda each: each[0])
        price, fee_bps = pool.price(pair), self._fee_bps(pool)
        received = Decimal(out).scaleb(-pair.token_out.decimals, DIGITS)
        undisturbed = DIGITS.multiply(amount, price) * (10_000 - fee_bps) / 10_000
        impact = max(Decimal(0), 1 - DIGITS.divide(received, undisturbed)) * 10_000
        return Quote(
            pair=pair.name,
            venue=name,
            amount_in=amount,
            amount_out=received,
            price=price,
            fee_bps=fee_bps,
            impact_bps=impact.quantize(Decimal("0.01"), ROUND_UP),
            observed_at=pool.seen_at,
            # Who swaps was not asked: what he offers is compared with it when the transaction is built.
            cached=True,
        )

    async def _pools(self, pair: Pair, permit: AtVenue) -> list[DlmmPool]:
        """Those that can be read, are open, and may be used. Tokens that may keep a part of a transfer are left to the vendor."""
        permit.check_venue()
        if Program.TOKEN_2022 in (pair.token_in.program, pair.token_out.program):
            return []
        try:
            addresses = await self._of(pair, permit.pools)
            held = await self._accounts.get(addresses)
            open_ = [(each, found) for each in addresses if (found := open_pool(held[each], pair)) is not None]
            read = await asyncio.gather(*(self._read(pair, address, account) for address, account in open_[:MAX_POOLS]))
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error)) from error
        return [pool for pool in read if pool is not None and may_be_used(pool, permit)]

    async def _of(self, pair: Pair, permitted: Sequence[str] | None) -> Sequence[Pubkey]:
        if permitted is not None:
            return [pubkey(each) for each in permitted]
        if self._named is not None:
            return self._named
        mints = pair.token_in.mint, pair.token_out.mint
        key = frozenset(mints)
        known = self._addresses.get(key, None, max_age_s=POOLS_AGE_S)
        if known or self._addresses.get(key, None, max_age_s=NONE_AGE_S) is not None:
            return known or ()
        try:
            both = await asyncio.gather(*(self._search(*way) for way in (mints, mints[::-1])))
        except RpcError:
            both = []  # A node that lists no accounts of a program: the vendor is asked.
        found = self._addresses[key] = await self._deepest(
            pair, [pubkey(each.pubkey) for part in both for each in part]
        )
        return found

    async def _deepest(self, pair: Pair, addresses: Sequence[Pubkey]) -> Sequence[Pubkey]:
        """Those that hold the most of the pair's quote token: most of a pair's pools hold next to nothing."""
        pools = await self._accounts.get(addresses)
        reserves = dict[Pubkey, Pubkey]()
        for address, account in pools.items():
            if (found := open_pool(account, pair)) is not None:
                at = RESERVES_AT[side_of(found.data, pair.quote_token.mint)]
                reserves[Pubkey.from_bytes(found.data[at : at + 32])] = address
        held = await self._accounts.get(reserves)
        most = sorted(reserves, key=lambda each: base_units_in(held[each]), reverse=True)
        return [reserves[each] for each in most[:MAX_POOLS]]

    async def _search(self, x: str, y: str) -> list[_Found]:
        named = [
            {"memcmp": {"offset": at, "bytes": mint}} for at, mint in zip(METEORA_LB.mints_at, (x, y), strict=True)
        ]
        options = {
            "encoding": "base64",
            "filters": [{"dataSize": METEORA_LB.size}, *named],
            "dataSlice": {"offset": 0, "length": 0},
        }
        found: list[_Found] = await self._nodes.read(
            list[_Found], "getProgramAccounts", str(METEORA_LB.program), options
        )
        return found

    async def _read(self, pair: Pair, address: Pubkey, account: Account) -> DlmmPool | None:
        """None where it says nonsense."""
        data = account.data
        x_to_y = side_of(data, pair.token_in.mint) == 0
        x, y = (pair.token_in, pair.token_out) if x_to_y else (pair.token_out, pair.token_in)
        active = self._package.array_index_of(struct.unpack_from("<i", data, ACTIVE_AT)[0])
        reserves = [Pubkey.from_bytes(data[at : at + 32]) for at in RESERVES_AT]
        try:
            arrays = [array_of(address, active + n) for n in range(-AROUND, AROUND + 1)]
            held = await self._accounts.get([*reserves, *arrays])
            known = [found.data for each in arrays if (found := of_program(held[each])) is not None]
            state = self._package.PoolState.from_accounts(
                data, known, x.decimals, y.decimals, lb_pair_key=bytes(address)
            )
            depth = base_units_in(held[reserves[side_of(data, pair.quote_token.mint)]])
            made = DlmmPool(
                address,
                state,
                x_to_y,
                Decimal(depth).scaleb(-pair.quote_token.decimals, DIGITS),
                min(account.seen_at, *(each.seen_at for each in held.values() if each is not None)),
            )
            return made if depth and made.price(pair) > 0 and self._fee_bps(made) < 10_000 else None
        except UNREADABLE:
            return None

    async def _pays(self, pool: DlmmPool, units: int) -> int | None:
        """Base units for all of `units`; None where the pool cannot, or nobody can tell."""
        state, package, now = pool.state, self._package, self._now()
        try:
            for _ in range(1 + MORE):
                try:
                    found = package.quote(state, units, pool.x_to_y, timestamp=now)
                    return int(found.amount_out) if found.complete and not found.remaining_in else None
                except package.InsufficientBinArrays as error:
                    array = array_of(pool.address, package.array_index_of(error.bin_id))
                    held = of_program((await self._accounts.get([array]))[array])
                    if held is None:
                        return None
                    bins, loaded = package.decode.decode_bin_arrays([held.data])
                    state.bins |= bins
                    state.loaded_arrays |= loaded
        except UNREADABLE:
            pass
        return None

    def _fee_bps(self, pool: DlmmPool) -> int:
        """What a swap in the active bin pays at present, rounded up: it rises with the bins that were crossed lately."""
        state = pool.state
        variable = copy.copy(state.variable_params)
        self._fees.update_reference(state.active_id, variable, state.static_params, self._now())
        self._fees.update_va(state.active_id, variable, state.static_params)
        rate = self._fees.total_fee(state.bin_step, state.static_params, variable)
        return -(-int(rate) * 10_000 // 1_000_000_000)
