"""The world of a Solana cluster: its nodes, its chain, and a venue for every pool program that is traded directly.

Localnet, devnet and mainnet differ by addresses, genesis hash and tokens only.
"""

import functools
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from solders.pubkey import Pubkey

from routing.balances import Balances
from routing.clock import Clock, utc_now
from routing.controls import Controls
from routing.gates import Finding, Purchase
from routing.http import NoAnswer, RpcError, rpc
from routing.paper import PaperStore
from routing.permits import Permits
from routing.price_hashes import PairPrices
from routing.router import Router
from routing.solana.accounts import Accounts
from routing.solana.balances import SolanaBalances
from routing.solana.blockhash import Blockhashes
from routing.solana.builder import Builder
from routing.solana.chain import SolanaChain
from routing.solana.fees import AUTO, Fees
from routing.solana.gates.look import Looker
from routing.solana.launches import ALL as ALL_POOLS
from routing.solana.launches import DIRECT as DIRECT_POOLS
from routing.solana.launches import LaunchWatch
from routing.solana.mints import read_mint
from routing.solana.nodes import At, Nodes
from routing.solana.paper import PaperBalances, PaperBuilder, PaperChain, PaperFunding
from routing.solana.pool_index import Found, Owned, PoolIndex, mints_of, scan
from routing.solana.pools import CPMM, DAMM, PoolFormat
from routing.solana.priority import Priority
from routing.solana.programs import DIRECT, KNOWN
from routing.solana.vault_watch import VaultWatch
from routing.solana.vendors.api import Api
from routing.solana.vendors.jupiter import METEORA_DEXES, Jupiter
from routing.solana.vendors.prices import PriceApi
from routing.solana.vendors.raydium import Raydium
from routing.solana.vendors.vendor import Vendor
from routing.solana.venues.direct import DirectVenue, Program
from routing.solana.venues.dlmm import DlmmPools
from routing.solana.venues.either import EitherVenue
from routing.solana.venues.funding import Funding
from routing.solana.venues.http import HttpVenue
from routing.solana.venues.meteora_damm import Damm
from routing.solana.venues.raydium_cpmm import Cpmm
from routing.solana.venues.signing import Means
from routing.solana.venues.split import SplitVenue
from routing.solana.watches import Watches
from routing.tokens import Tokens
from routing.values import Mint, Pair, Quote, VenueName
from routing.venue import Venue
from routing.venues import METEORA, RAYDIUM, register

PROGRAMS: dict[VenueName, Program] = {RAYDIUM: Cpmm(), METEORA: Damm()}
DIRECTLY, OVER_HTTP, BOTH = "direct", "http", "both"
JUPITER = "JUPITER"
MAX_FEE_LAMPORTS = 1_000_000
"""0.001 SOL: what an order pays the chain at most, where nothing else is said."""
LISTED_AGE_S = 0.5
MAX_ACCOUNTS = 100
"""Of one `getMultipleAccounts`."""


class Listed:
    """Every pair that has a pool; blocking, for any thread. One look within `LISTED_AGE_S`."""

    def __init__(
        self,
        urls: Sequence[str],
        tokens: Callable[[], Tokens],
        pools: Sequence[str] | None = None,
        permits: Callable[[], Permits] = Permits,
    ) -> None:
        self._urls, self._tokens, self._named, self._permits = urls, tokens, pools, permits
        self._looking = threading.Lock()
        self._looked_at, self._pairs = float("-inf"), list[Pair]()

    def pairs(self) -> list[Pair]:
        """The last ones while no node answers."""
        with self._looking:
            if time.monotonic() - self._looked_at > LISTED_AGE_S:
                self._look()
                self._looked_at = time.monotonic()
            return self._pairs

    def _look(self) -> None:
        for url in self._urls:
            try:
                mints = [mints for format_ in (CPMM, DAMM) for mints in self._mints(url, format_)]
            except (NoAnswer, RpcError, ValueError):
                continue
            tokens = self._tokens()
            ways = {way for a, b in mints for way in ((str(a), str(b)), (str(b), str(a)))}
            found = (tokens.pair(sold, bought) for sold, bought in sorted(ways))
            self._pairs = [pair for pair in found if pair is not None]
            return

    def _mints(self, url: str, format_: PoolFormat) -> list[tuple[Pubkey, Pubkey]]:
        """Of the pools that are named, or of all. Raises `NoAnswer`, `RpcError`."""
        if self._named is None:
            return [each.mints for each in _pools(url, *scan(format_))]
        found = list[tuple[Pubkey, Pubkey]]()
        named = [*self._named, *sorted(self._permits().pools().difference(self._named))]
        for begin in range(0, len(named), MAX_ACCOUNTS):
            asked = named[begin : begin + MAX_ACCOUNTS], {"encoding": "base64"}
            held = rpc(url, "getMultipleAccounts", *asked, timeout_s=2.0, type_=At[list[Owned | None]]).value
            found += [mints for each in held if each is not None and (mints := mints_of(each, format_)) is not None]
        return found


def _pools(url: str, method: str, parameters: list[object]) -> list[Found]:
    found: list[Found] = rpc(url, method, *parameters, timeout_s=2.0, type_=list[Found])
    return found


@dataclass(frozen=True, slots=True)
class Access:
    """How venues are reached. `modes`: by the venue's name, `direct`, `http` or `both`; a venue that is not named trades not."""

    modes: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(PROGRAMS, DIRECTLY))
    raydium_url: str = ""
    raydium_per_s: float = 0.0
    jupiter_url: str = ""
    jupiter_per_s: float = 0.0
    jupiter_key: str = ""
    dlmm: bool = False
    """Whether Meteora's DLMM pools are quoted from their accounts, where Meteora is asked over HTTP."""
    redis_url: str = ""
    """Where all processes share what the servers allow."""


@dataclass(frozen=True, slots=True)
class SolanaWorld:
    """See `World`."""

    router: Router
    chain: SolanaChain
    nodes: Nodes
    accounts: Accounts
    listed: Listed
    balances: Balances
    looker: Looker
    controls: Controls | None = None
    apis: Sequence[Api] = ()
    watch: Watches | None = None

    async def read_mint(self, address: str) -> Mint | None:
        """See `World`."""
        return await read_mint(self.accounts, address)

    async def gates(self, purchase: Purchase) -> list[Finding]:
        """See `World`."""
        return await self.looker.look(purchase)

    def listed_pairs(self) -> list[Pair]:
        """See `World`."""
        return self.listed.pairs()

    async def verify(self) -> None:
        """Raises `NodeRefused` for a node of another cluster or without history, in one line."""
        await self.nodes.verify()

    async def close(self) -> None:
        """See `World`."""
        if self.watch is not None:
            await self.watch.close()
        await self.chain.close()
        for api in self.apis:
            await api.close()


def solana_world(
    rpc_urls: Sequence[str],
    *,
    genesis_hash: str | None,
    tokens: Callable[[], Tokens],
    deadline_ms: int,
    max_age_ms: int,
    ws_urls: Sequence[str] | None = None,
    requests_per_s: float = 0.0,
    max_fee_lamports: int = MAX_FEE_LAMPORTS,
    fees: Fees = AUTO,
    pools: Sequence[str] | None = None,
    controls: Controls | None = None,
    access: Access | None = None,
    clock: Clock = utc_now,
    cached: Callable[[Pair], Awaitable[PairPrices | None]] | None = None,
    permits: Callable[[], Permits] = Permits,
    watch_vaults: bool = True,
    paper: PaperStore | None = None,
    splits: bool = False,
) -> SolanaWorld:
    """Opens no connection yet. The arguments that a cluster decides:

    `rpc_urls`: its nodes, the preferred one first; `ws_urls`: where signatures are subscribed to, by default the same
    addresses; `genesis_hash`: what every node has to answer; `requests_per_s` of each node, 0: any number;
    `pools`: the addresses of all pools that are traded; None looks for them among the programs' accounts.
    `max_fee_lamports`: the most that any order pays the chain, rent apart; `fees`: how the bid for a place in a block is chosen.
    `paper`: where landings are simulated, and nothing is signed or sent.
    `access`: by default all venues directly. `permits`: what pairs may use at present; pools that are named there need not be
    among `pools`. `watch_vaults`: whether nodes are asked to tell when a pool has changed; `splits`: whether an amount may be
    divided between two venues that are traded directly.
    """
    nodes = Nodes(rpc_urls, genesis_hash=genesis_hash, per_s=requests_per_s)
    accounts, blockhashes = Accounts(nodes), Blockhashes(nodes)
    sockets = [f"ws{url.removeprefix('http')}" for url in rpc_urls] if ws_urls is None else list(ws_urls)

    async def offer(venue: VenueName, pair: Pair, amount: Decimal, exact_out: bool) -> Quote:
        return await router.seller(venue).quote(pair, amount, exact_out=exact_out)

    chain = (
        SolanaChain(nodes, accounts, ws_urls=sockets)
        if paper is None
        else PaperChain(nodes, accounts, paper, offer, tokens)
    )
    builder = (Builder if paper is None else PaperBuilder)(nodes, blockhashes, KNOWN)
    funding = (Funding if paper is None else PaperFunding)(accounts)
    means = Means(
        accounts,
        builder,
        Priority(nodes, fees),
        funding,
        chain,
        max_fee_lamports,
        permits,
    )
    access = access or Access()
    apis = list[Api]()

    def api(url: str, per_s: float, key: str = "") -> Api:
        made = Api(url, per_s=per_s, redis_url=access.redis_url, key=key)
        apis.append(made)
        return made

    @functools.cache
    def jupiter() -> Api:
        return api(access.jupiter_url, access.jupiter_per_s, access.jupiter_key)

    @functools.cache
    def prices() -> PriceApi:
        return PriceApi(jupiter())

    @functools.cache
    def index(name: VenueName) -> PoolIndex:
        return PoolIndex(nodes, accounts, PROGRAMS[name].format, pools)

    vaults = dict[VenueName, Callable[[Pair], Sequence[tuple[Pubkey, ...]]]]()

    directly = dict[VenueName, DirectVenue]()

    def direct(name: VenueName) -> DirectVenue:
        made = directly[name] = DirectVenue(name, PROGRAMS[name], index=index(name), means=means)
        vaults[name] = made.vaults
        return made

    def over_http(name: VenueName) -> HttpVenue:
        vendor: Vendor
        if name == RAYDIUM:
            vendor = Raydium(api(access.raydium_url, access.raydium_per_s), accounts, DIRECT)
        else:
            vendor = Jupiter(jupiter(), KNOWN, dexes=METEORA_DEXES if name == METEORA else "")
        read = DlmmPools(nodes, accounts, pools) if access.dlmm and name == METEORA else None
        return HttpVenue(name, vendor, prices=prices(), programs=KNOWN, means=means, pools=read)

    def venue(name: VenueName, mode: str) -> Venue:
        if mode == DIRECTLY:
            return direct(name)
        return over_http(name) if mode == OVER_HTTP else EitherVenue(direct(name), over_http(name), chain)

    venues = [venue(register(name), mode) for name, mode in access.modes.items()]
    router = Router(
        venues,
        deadline_ms=deadline_ms,
        max_age_ms=max_age_ms,
        clock=clock,
        cached=cached,
        permits=permits,
        splitter=SplitVenue(list(directly.values()), means),
        splits=splits,
    )
    listed = Listed(rpc_urls, tokens, pools, permits)
    balances = SolanaBalances(nodes) if paper is None else PaperBalances(nodes, paper)
    found_in = {name: (index(name), program) for name, program in PROGRAMS.items()}
    looker = Looker(nodes, accounts, Funding(accounts), found_in, permits, on_paper=paper is not None)
    # Pools that are named are all there are; a server trades what its venue has.
    modes = {VenueName(name): mode for name, mode in access.modes.items() if name in DIRECT_POOLS}
    shapes = {
        name: ALL_POOLS[name] if mode != DIRECTLY else DIRECT_POOLS[name]
        for name, mode in modes.items()
        if mode != DIRECTLY or pools is None
    }
    indexes = {name: index(name) for name in shapes if modes[name] != OVER_HTTP}
    watch = (
        Watches(VaultWatch(sockets, accounts, vaults), LaunchWatch(sockets, shapes, indexes))
        if watch_vaults and sockets
        else None
    )
    return SolanaWorld(router, chain, nodes, accounts, listed, balances, looker, controls, tuple(apis), watch)
