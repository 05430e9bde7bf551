"""Somebody else who trades: prices wander because swaps land, drawn from a seed."""

import math
import random
from dataclasses import dataclass

from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address
from solders.transaction import VersionedTransaction

from localnet import pools
from localnet.accounts import owned
from localnet.addresses import MEMO, SYSTEM
from localnet.chain import Chain
from localnet.faults import DELAY_BLOCKS
from localnet.formats import FORMATS
from localnet.genesis import POOLS, Token, give, token_of

VOLATILITY = 0.004
"""Standard deviation of a step of the logarithm of a price."""
HOME = 0.02
"""The part of its distance from where it began that a price comes back at each step."""
WITHIN = 0.05
"""No step leads further from there than this, up or down."""
WEALTH = 10**17
LAMPORTS = 10**13
FORGET_EVERY, KEPT_SLOTS = 100, 3_000
"""Steps, and slots: its own swaps would fill the disk with some gigabytes a day. Nobody asks for them after hours."""


@dataclass
class Market:
    tokens: tuple[Token, Token]
    start: float
    """Base units of the quote token for one of the base token."""
    aim: float = 0.0
    """The logarithm of price ÷ start that is traded to."""
    held: bool = False
    """It does not wander."""


class MarketMaker:
    def __init__(self, chain: Chain, seed: int) -> None:
        self._chain = chain
        self._rng = random.Random(seed)
        self._key = Keypair.from_seed(seed.to_bytes(8, "big").rjust(32, b"m"))
        self._count = self._steps = 0
        self._wealthy: set[str] = set()
        self._sent: dict[Pubkey, str] = {}
        """Pool → the last swap that trades it to a price."""
        self.markets: dict[tuple[str, str], Market] = {}
        """By the two symbols, base first."""
        for base, quote, of_base, of_quote in POOLS:
            start = quote.units(of_quote) / base.units(of_base)
            self.markets[base.symbol, quote.symbol] = Market((base, quote), start)
        for mints, (start, held) in chain.store.notes("market").items():
            known = [token_of(chain, Pubkey.from_string(mint)) for mint in mints.split("-")]
            if known[0] and known[1]:
                self.markets[known[0].symbol, known[1].symbol] = Market((known[0], known[1]), start, held=held)
        chain.put(self._key.pubkey(), owned(LAMPORTS, b"", SYSTEM))

    def move(self, tokens: tuple[Token, Token], price: float, *, held: bool) -> int:
        """Trades both venues to a price, from which the market wanders on unless held; how many swaps were sent."""
        base, quote = tokens
        self.markets[base.symbol, quote.symbol] = Market(tokens, price, held=held)
        self._chain.store.note("market", f"{base.mint}-{quote.mint}", [price, held])
        return sum(self.trade_to(venue, tokens, price) for venue in FORMATS)

    def turn_over(self, venue: str, tokens: tuple[Token, Token], worth: int) -> int:
        """Buys base units for half as many quote units, and sells them again some blocks later; how many swaps were sent.

        Whoever looks at the pool from time to time sees what moved, not what came and went within a block.
        """
        base, quote = tokens
        there, back = (pools.find(self._chain.get, FORMATS[venue], *mints) for mints in (
            (quote.mint, base.mint), (base.mint, quote.mint)
        ))  # fmt: skip
        if there is None or back is None:
            return 0
        bought = there.pays(worth // 2)
        self._send(there, worth // 2)
        self._send(back, bought, delay_blocks=DELAY_BLOCKS)
        return 2

    def step(self) -> int:
        """Moves every market a little; how many swaps were sent."""
        self._steps += 1
        if self._steps % FORGET_EVERY == 0:
            self._chain.store.forget(str(self._key.pubkey()), self._chain.slot - KEPT_SLOTS)
        sent = 0
        for market in self.markets.values():
            if market.held:
                continue
            drawn = market.aim * (1 - HOME) + self._rng.gauss(0, VOLATILITY)
            market.aim = max(-WITHIN, min(WITHIN, drawn))
            for venue in FORMATS:
                sent += self.trade_to(venue, market.tokens, market.start * math.exp(market.aim))
        return sent

    def trade_to(self, venue: str, tokens: tuple[Token, Token], price: float) -> int:
        """Sends the swap after which the pool's price is `price` (base units of quote for one of base), fee aside.

        It takes the place of one that was sent for an earlier price and has not landed: both together would lead beyond it.
        """
        base, quote = tokens
        pool = pools.find(self._chain.get, FORMATS[venue], base.mint, quote.mint)
        if pool is None:
            return 0
        self._chain.withdraw(self._sent.pop(pool.address, ""))
        product = pool.sold.reserve * pool.bought.reserve
        wanted = math.isqrt(int(product / price)) if price > 0 else 0
        amount, way = wanted - pool.sold.reserve, pool
        if amount < 0:
            way_back = pools.find(self._chain.get, FORMATS[venue], quote.mint, base.mint)
            assert way_back is not None
            amount, way = math.isqrt(int(product * price)) - way_back.sold.reserve, way_back
        if amount <= 0 or way.pays(amount) == 0:
            return 0
        self._sent[pool.address] = self._send(way, amount)
        return 1

    def _send(self, pool: pools.Pool, amount: int, *, delay_blocks: int = 0) -> str:
        """Its signature."""
        key = self._key.pubkey()
        for side in (pool.sold, pool.bought):
            if str(side.mint) not in self._wealthy:
                token = token_of(self._chain, side.mint)
                assert token is not None
                give(self._chain, key, token, WEALTH)
                self._wealthy.add(str(side.mint))
        source, destination = (
            get_associated_token_address(key, side.mint, side.program) for side in (pool.sold, pool.bought)
        )
        self._count += 1
        memo = Instruction(MEMO, f"market/{self._count}".encode(), [])
        swap = pool.swap(amount, 0, key, source, destination)
        blockhash = next(reversed(self._chain.window))
        instructions = [set_compute_unit_price(1_000), swap, memo]
        message = MessageV0.try_compile(key, instructions, [], Hash.from_string(blockhash))
        transaction = VersionedTransaction(message, [self._key])
        self._chain.submit(transaction, delay_blocks=delay_blocks)
        return str(transaction.signatures[0])
