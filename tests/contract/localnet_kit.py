"""The local Solana as the contract suite drives it: blocks by command, one wallet a kit."""

import atexit
import base64
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from routing.solana.addresses import TOKEN, associated_account, pubkey
from routing.solana.chain import SolanaChain
from routing.solana.pools import CPMM, Layout
from routing.solana.programs import RAYDIUM_CPMM, SwapRead
from routing.solana.transaction import compiled, compute_limit, compute_price, memo
from routing.values import Swap, Validity, VenueName
from routing.venue import Venue
from routing.venues import RAYDIUM
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair


@cache
def shared() -> Localnet:
    """One chain for all kits: it starts once."""
    made = Localnet(hold="").start()
    atexit.register(shutil.rmtree, made.folder, ignore_errors=True)
    atexit.register(made.stop)
    return made


class LocalnetKit:
    """See `Kit`."""

    pays = Decimal("149.623507")
    """100,000 SOL and 15,000,000 USDC in the pool: 15e12 × 997,500,000 ÷ (1e14 + 997,500,000) base units."""

    def __init__(self) -> None:
        self.node = shared()
        self._stage = Stage(self.node)
        self.chain: SolanaChain = self._stage.world.chain
        self.signer = self._stage.signer
        self._count = 0

    def open(self) -> SolanaChain:
        return self._stage.open().chain

    def venue(self, name: VenueName) -> Venue:
        return self._stage.venue(name)

    def swap(self, reference: str = "order-1", *, attempt: int = 1, min_out: str = "149") -> Swap:
        """Signed as it is asked for: what a venue would refuse to build, the chain has to refuse."""
        latest = self.node.rpc("getLatestBlockhash", {"commitment": "processed"})["value"]
        wallet, least = self.signer.key.pubkey(), int(Decimal(min_out).scaleb(6))
        source, destination = (
            associated_account(wallet, pubkey(token.mint), TOKEN) for token in (pair().token_in, pair().token_out)
        )
        pool, layout = self._pool()
        sides = layout.sides if str(layout.sides[0].mint) == pair().token_in.mint else layout.sides[::-1]
        read = SwapRead(wallet, pool, source, destination, sides, 10**9, least, layout.config)
        self._count += 1
        ours = [compute_limit(200_000), compute_price(self._count), RAYDIUM_CPMM.swap(read, layout.observation)]
        message = compiled(wallet, [*ours, memo(f"{reference}/{attempt}")], Hash.from_string(latest["blockhash"]))
        transaction = VersionedTransaction(message, [self.signer.key])
        return Swap(
            reference=reference,
            attempt=attempt,
            venue=RAYDIUM,
            signature=str(transaction.signatures[0]),
            payload=bytes(transaction),
            min_out=Decimal(min_out),
            valid_until=datetime.now(UTC) + timedelta(minutes=1),
            validity=Validity(latest["lastValidBlockHeight"]),
            wallet=self.signer.address,
        )

    def _pool(self) -> tuple[Pubkey, Layout]:
        mints = [token.mint for token in (pair().token_in, pair().token_out)]
        filters = [{"dataSize": CPMM.size}]
        for each in self.node.rpc("getProgramAccounts", str(CPMM.program), {"encoding": "base64", "filters": filters}):
            layout = CPMM.layout(pubkey(each["pubkey"]), base64.b64decode(each["account"]["data"][0]))
            if {str(side.mint) for side in layout.sides} == set(mints):
                return pubkey(each["pubkey"]), layout
        raise AssertionError("there is no such pool")

    def price(self, price: Decimal) -> None:
        self._stage.price(price)

    def silence_venues(self) -> None:
        """The node's address is where nobody listens."""
        self._stage.world.accounts.forget()
        for state in self._stage.world.nodes.states:
            state.node.url = "http://127.0.0.1:9"

    def is_now(self, moment: datetime) -> bool:
        """Blocks know whole seconds."""
        return abs(datetime.now(UTC) - moment) < timedelta(seconds=10)

    def settle(self) -> None:
        self.node.tick(2)

    def last_moment(self, swap: Swap) -> None:
        """The next block is the last that takes it."""
        height = self.node.rpc("getBlockHeight", {"commitment": "processed"})
        self.node.tick(swap.validity - 1 - height)

    def past(self, swap: Swap) -> None:
        height = self.node.rpc("getBlockHeight", {"commitment": "processed"})
        self.node.tick(swap.validity + 2 - height)

    def landed(self, reference: str) -> int:
        return sum(len(self._stage.landed(f"{reference}/{attempt}")) for attempt in (1, 2, 3))

    def lose_next(self) -> None:
        self.node.control("fault", fault="drop", count=1)

    def leave_next_unanswered(self) -> None:
        self.node.control("fault", fault="land_then_timeout", count=1)
