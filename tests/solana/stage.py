"""What tests of the real-chain code stand on: a wallet with money on a localnet, and the world that trades there."""

import base64
from decimal import Decimal
from typing import Any

from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from routing.mock.tokens import REGISTRY
from routing.solana.addresses import MEMO, WRAPPED_SOL
from routing.solana.world import SolanaWorld, solana_world
from routing.values import Pair, Quote, Swap, SwapStatus, VenueName
from routing.venue import Venue
from routing.venues import RAYDIUM
from tests.localnet.node import Localnet


class Key:
    """A signer over a key in memory."""

    def __init__(self) -> None:
        self.key = Keypair()
        self.address = str(self.key.pubkey())
        self.signed: list[bytes] = []

    async def sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return bytes(self.key.sign_message(message))


def pair(name: str = "SOL-USDC") -> Pair:
    found = REGISTRY.pair_named(name)
    assert found is not None
    return found


class Stage:
    """Pools of 15,000,000 USDC at 150 for 1 SOL, as deep at both venues; 100 SOL and 1,000 USDC in the wallet."""

    def __init__(self, node: Localnet, urls: list[str] | None = None, **options: Any) -> None:
        self.node, self.signer = node, Key()
        self.price(Decimal(150))
        node.control("give", owner=self.signer.address, token="SOL", amount="100")
        node.control("give", owner=self.signer.address, token="WSOL", amount="100")
        node.control("give", owner=self.signer.address, token="USDC", amount="1000")
        node.tick()
        self.world = self.open(urls, **options)

    def open(self, urls: list[str] | None = None, **options: Any) -> SolanaWorld:
        """Another process' world."""
        values: dict[str, Any] = {
            "genesis_hash": self.node.addresses["genesisHash"],
            "tokens": lambda: REGISTRY,
            "deadline_ms": 2_000,
            "max_age_ms": 1_500,
        }
        return solana_world(urls or [self.node.addresses["rpcUrl"]], **(values | options))

    def price(self, price: Decimal, *, base: str = "SOL", depth: str = "15000000") -> None:
        for venue in ("RAYDIUM", "METEORA"):
            self.node.control("pool", venue=venue, base=base, quote="USDC", price=str(price), depth=depth)
        if hasattr(self, "world"):
            self.world.accounts.forget()

    def venue(self, name: VenueName = RAYDIUM) -> Venue:
        return self.world.router.venue(name)

    async def quote(self, amount: str = "1", name: VenueName = RAYDIUM, of: str = "SOL-USDC") -> Quote:
        return await self.venue(name).quote(pair(of), Decimal(amount))

    async def build(
        self,
        reference: str = "order-1",
        *,
        attempt: int = 1,
        name: VenueName = RAYDIUM,
        of: str = "SOL-USDC",
        **asked: Any,
    ) -> Swap:
        """Sells 1 of tokenIn for at least 99 % of what is offered."""
        quote = await self.quote(asked.pop("amount", "1"), name, of)
        least = asked.pop("min_out", None)
        unit = Decimal(1).scaleb(-pair(of).token_out.decimals)
        values = {"slippage_bps": 50, "signer": self.signer, "reference": reference, "attempt": attempt}
        min_out = Decimal(least) if least is not None else (quote.amount_out * Decimal("0.99")).quantize(unit)
        return await self.venue(name).build(pair(of), quote, min_out=min_out, **(values | asked))

    async def settled(self, swap: Swap, blocks: int = 2) -> SwapStatus:
        """Its fate after so many blocks."""
        self.node.tick(blocks)
        return await self.world.chain.wait(swap, timeout_s=10)

    def sol(self) -> int:
        """Lamports of the wallet, wrapped ones too."""
        own = self.node.rpc("getBalance", self.signer.address)["value"]
        return int(own) + self.tokens(str(WRAPPED_SOL))

    def tokens(self, mint: str) -> int:
        """Base units that the wallet has of the mint, by the node."""
        answer = self.node.rpc(
            "getTokenAccountsByOwner", self.signer.address, {"mint": mint}, {"encoding": "jsonParsed"}
        )
        held = [each["account"]["data"]["parsed"]["info"]["tokenAmount"]["amount"] for each in answer["value"]]
        return sum(map(int, held))

    def landed(self, memo: str) -> list[dict[str, Any]]:
        """The wallet's successful transactions with the memo."""
        found = []
        for each in self.node.rpc("getSignaturesForAddress", self.signer.address):
            options = {"maxSupportedTransactionVersion": 1, "encoding": "base64"}
            told = self.node.rpc("getTransaction", each["signature"], options)
            message = VersionedTransaction.from_bytes(base64.b64decode(told["transaction"][0])).message
            memos = [
                bytes(one.data) for one in message.instructions if message.account_keys[one.program_id_index] == MEMO
            ]
            if told["meta"]["err"] is None and memo.encode() in memos:
                found.append(told)
        return found
