"""Looks at a token before it is bought: asks the nodes, and lets each gate say what it finds."""

import asyncio
import base64
import struct
import time
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
from solders.pubkey import Pubkey

from routing.gates import Finding, Gates, Purchase, Verdict
from routing.permits import Permits
from routing.solana.accounts import Account, Accounts
from routing.solana.addresses import SYSTEM, TOKEN, associated_account, pubkey
from routing.solana.blockhash import COMMITMENT
from routing.solana.gate import TOKEN_ACCOUNT_BYTES, Simulated
from routing.solana.gates import holders, mint, pool, round_trip
from routing.solana.gates.round_trip import RoundTrip
from routing.solana.nodes import NO_ANSWER, At, Nodes
from routing.solana.pool_index import PoolIndex
from routing.solana.pools import AMOUNT_AT, Layout, NotQuotable
from routing.solana.programs import Side, SwapRead
from routing.solana.safety import Asked
from routing.solana.transaction import MAX_BYTES, unsigned
from routing.solana.venues.direct import Program
from routing.solana.venues.funding import Funding
from routing.solana.venues.signing import DIGITS, base_units
from routing.values import VenueName
from routing.venue import VenueError, VenueUnavailable

LAMPORTS_OF_PAYER = 10_000_000


class _Largest(msgspec.Struct):
    """One account of `getTokenLargestAccounts`."""

    address: str
    amount: str


class _Found(msgspec.Struct, frozen=True):
    """A pool of the pair, read without its price: a curve that is not computed here does not matter to the gates."""

    program: Program
    account: Account
    layout: Layout
    reserves: Mapping[Pubkey, int]
    """By mint, base units."""


class Looker:
    """`pools`: where the pools of each venue's program are, and the program; `permits`: which of them a pair may use;
    `on_paper`: the buyer's wallet is not on the chain, so somebody who has the money there stands in for it in simulations."""

    def __init__(
        self,
        nodes: Nodes,
        accounts: Accounts,
        funding: Funding,
        pools: Mapping[VenueName, tuple[PoolIndex, Program]],
        permits: Callable[[], Permits] = Permits,
        *,
        on_paper: bool = False,
    ) -> None:
        self._nodes, self._accounts, self._funding = nodes, accounts, funding
        self._pools, self._permits, self._on_paper = pools, permits, on_paper

    async def look(self, purchase: Purchase) -> list[Finding]:
        """Everything as the chain has it now. Raises `VenueUnavailable`."""
        gates, address = purchase.gates, pubkey(purchase.pair.token_out.mint)
        try:
            account = (await self._accounts.get([address], max_age_s=0.0))[address]
            if account is None:
                return mint.judge(SYSTEM, b"", gates)
            found = mint.judge(account.owner, account.data, gates)
            if any(each.verdict is Verdict.FAIL for each in found):
                return found  # It is not bought anyway.
            if gates.max_top_holders_bps is not None:
                found.append(await self._holders(address, account.data, gates.max_top_holders_bps))
            if _about_pool(gates):
                found += await self._of_pool(purchase)
        except NO_ANSWER as error:
            raise VenueUnavailable(str(error)) from error
        return found

    async def _holders(self, address: Pubkey, data: bytes, most_bps: int) -> Finding:
        """Nodes may refuse the question: then nobody knows."""
        try:
            answer = await self._nodes.read(
                At[list[_Largest]], "getTokenLargestAccounts", str(address), {"commitment": COMMITMENT}
            )
            held = await self._accounts.get([pubkey(each.address) for each in answer.value], max_age_s=0.0)
            owners = {
                place: Pubkey.from_bytes(account.data[32:64])
                for place, account in held.items()
                if account is not None and len(account.data) >= TOKEN_ACCOUNT_BYTES
            }
            if len(owners) < len(held):
                return Finding(holders.GATE, Verdict.UNKNOWN, "a large account of it cannot be read")
            known = await self._accounts.get(set(owners.values()))
        except NO_ANSWER as error:
            return Finding(holders.GATE, Verdict.UNKNOWN, f"no node tells who holds it: {error}")
        largest = []
        for each in answer.value:
            owner = owners[pubkey(each.address)]
            own = known[owner]
            largest.append(holders.Holder(owner, None if own is None else own.owner, int(each.amount)))
        [supply] = struct.unpack_from("<Q", data, holders.SUPPLY_AT)
        return holders.judge(largest, supply, most_bps)

    async def _of_pool(self, purchase: Purchase) -> list[Finding]:
        gates, found = purchase.gates, await self._deepest(purchase)
        if found is None:
            named = [name for name, asked in _gates_of_pool(gates).items() if asked]
            return [Finding(name, Verdict.UNKNOWN, "it has no pool that can be read here") for name in named]
        findings = []
        if gates.min_pool_size is not None:
            quote = purchase.pair.quote_token
            depth = Decimal(found.reserves[pubkey(quote.mint)]).scaleb(-quote.decimals, DIGITS)
            findings.append(pool.size(depth, quote.label, gates.min_pool_size))
        if gates.min_pool_age is not None:
            findings.append(pool.age(found.layout.opens_at, time.time(), gates.min_pool_age))
        if gates.min_lp_burnt_bps is not None:
            findings.append(await self._lp_burnt(found, gates.min_lp_burnt_bps))
        if gates.sellable is not False:
            findings.append(await self._sellable(purchase, found))
        return findings

    async def _deepest(self, purchase: Purchase) -> _Found | None:
        """Of the venue whose offer is taken where it has one that can be read, else of any."""
        pair = purchase.pair
        sold, bought, quote = (pubkey(each.mint) for each in (pair.token_in, pair.token_out, pair.quote_token))
        own_first = sorted(self._pools.items(), key=lambda each: each[0] != purchase.venue)
        for venue, (index, program) in own_first:
            named = self._permits().at(pair, venue).pools
            addresses = await index.every(sold, bought) if named is None else [pubkey(each) for each in named]
            read = await asyncio.gather(*(self._read(each, program, {sold, bought}) for each in addresses))
            if pools := [each for each in read if each is not None]:
                return max(pools, key=lambda each: each.reserves[quote])
        return None

    async def _read(self, address: Pubkey, program: Program, mints: set[Pubkey]) -> _Found | None:
        account = (await self._accounts.get([address], max_age_s=0.0))[address]
        if account is None or account.owner != program.format.program:
            return None
        try:
            layout = program.format.layout(address, account.data)
        except NotQuotable:
            return None
        if {side.mint for side in layout.sides} != mints or layout.opens_at > time.time():
            return None
        vaults = await self._accounts.get(layout.needs)
        reserves = dict[Pubkey, int]()
        for side, owed in zip(layout.sides, layout.owed, strict=True):
            vault = vaults[side.vault]
            if vault is None or len(vault.data) < TOKEN_ACCOUNT_BYTES:
                return None
            reserves[side.mint] = struct.unpack_from("<Q", vault.data, AMOUNT_AT)[0] - owed
        return _Found(program, account, layout, reserves)

    async def _lp_burnt(self, found: _Found, least_bps: int) -> Finding:
        liquidity = pool.liquidity_of(found.account.owner, found.account.data)
        left = None
        if liquidity.lp_mint is not None:
            burnt_at = associated_account(holders.INCINERATOR, liquidity.lp_mint, TOKEN)
            held = await self._accounts.get([liquidity.lp_mint, burnt_at], max_age_s=0.0)
            if (made := held[liquidity.lp_mint]) is not None and len(made.data) >= holders.SUPPLY_AT + 8:
                [left] = struct.unpack_from("<Q", made.data, holders.SUPPLY_AT)
                if (sent := held[burnt_at]) is not None and len(sent.data) >= TOKEN_ACCOUNT_BYTES:
                    left -= struct.unpack_from("<Q", sent.data, AMOUNT_AT)[0]
        return pool.lp_burnt(liquidity, left, least_bps)

    async def _sellable(self, purchase: Purchase, found: _Found) -> Finding:
        most = purchase.gates.max_round_trip_loss_bps
        most = 10_000 if most is None else most
        try:
            trip = await self._trip(purchase, found, most)
        except (VenueError, *NO_ANSWER) as error:
            return Finding(round_trip.GATE, Verdict.UNKNOWN, str(error))
        message = None if trip is None else unsigned(trip.message())
        if trip is None or message is None or len(message) > MAX_BYTES:
            return Finding(
                round_trip.GATE, Verdict.UNKNOWN, "nothing can be simulated: no wallet, or no transaction fits"
            )
        options = {
            "encoding": "base64",
            "commitment": COMMITMENT,
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        text = base64.b64encode(message).decode()
        answer: At[Simulated] = await self._nodes.read(At[Simulated], "simulateTransaction", text, options)
        return round_trip.judge(trip, answer.value, most)

    async def _rich(self, paid: Side, units: int) -> Pubkey | None:
        """Whoever has so much of it in an account that a swap would sell from."""
        answer = await self._nodes.read(
            At[list[_Largest]], "getTokenLargestAccounts", str(paid.mint), {"commitment": COMMITMENT}
        )
        enough = [pubkey(each.address) for each in answer.value if int(each.amount) >= units]
        held = {place: account for place, account in (await self._accounts.get(enough)).items() if account is not None}
        owners = {place: Pubkey.from_bytes(account.data[32:64]) for place, account in held.items()}
        known = await self._accounts.get(set(owners.values()))
        for place, owner in owners.items():
            if place == associated_account(owner, paid.mint, paid.program) and _is_person(known[owner]):
                return owner
        return None

    async def _trip(self, purchase: Purchase, found: _Found, most_loss_bps: int) -> RoundTrip | None:
        """None without a wallet. Raises `InsufficientFunds`, `RpcError`, `NoAnswer`."""
        if purchase.wallet is None:
            return None
        pair, layout = purchase.pair, found.layout
        way = 0 if layout.sides[0].mint == pubkey(pair.token_in.mint) else 1
        paid, bought = layout.sides[way], layout.sides[1 - way]
        amount = base_units(purchase.amount, pair.token_in)
        wallet = await self._rich(paid, amount) if self._on_paper else pubkey(purchase.wallet)
        if wallet is None:
            return None
        sells = max(1, base_units(purchase.expected, pair.token_out) * (10_000 - most_loss_bps) // 10_000)
        asked = Asked(wallet, paid.mint, bought.mint, amount, sells, "", 0)
        prepared, source, destination = await self._funding.prepare(asked, paid, bought)
        address, config = layout.address, layout.config
        purchased = SwapRead(wallet, address, source, destination, (paid, bought), amount, sells, config)
        sold_again = SwapRead(wallet, address, destination, source, (bought, paid), sells, 1, config)
        swaps = [found.program.swap(layout, each) for each in (purchased, sold_again)]
        return RoundTrip(wallet, paid.mint, bought.mint, amount, sells, [*prepared, *swaps])


def _is_person(account: Account | None) -> bool:
    """It can pay for a transaction, fees included."""
    return (
        account is not None and account.owner == SYSTEM and not account.data and account.lamports >= LAMPORTS_OF_PAYER
    )


def _gates_of_pool(gates: Gates) -> Mapping[str, bool]:
    """Gate → whether it is asked for."""
    return {
        pool.SIZE: gates.min_pool_size is not None,
        pool.AGE: gates.min_pool_age is not None,
        pool.LP_BURNT: gates.min_lp_burnt_bps is not None,
        round_trip.GATE: gates.sellable is not False,
    }


def _about_pool(gates: Gates) -> bool:
    return any(_gates_of_pool(gates).values())
