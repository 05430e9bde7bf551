"""What a test or an operator may do to the chain: faults, prices, money, pools, blocks by hand."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from solders.pubkey import Pubkey

from localnet import pools
from localnet.accounts import owned
from localnet.addresses import SYSTEM
from localnet.chain import Chain
from localnet.factory import KINDS
from localnet.faults import Fault
from localnet.formats import FORMATS
from localnet.genesis import DEPTH, TOKENS, Token, give, kind_of, make_pool, make_token, token_of
from localnet.market_maker import MarketMaker
from localnet.node import Node
from localnet.trade.limits import Limits

MAX_BLOCKS = 1_000
MAX_COUNT = MAX_PER_S = 1_000_000
NEW_DEPTH = Decimal(100_000)
"""Of quote, in a pool that is made without one being named."""


class Refused(Exception):
    """A control that names something unknown, or asks for too much. Nothing has changed."""


class Control:
    def __init__(self, chain: Chain, nodes: Sequence[Node], market: MarketMaker, limits: Limits) -> None:
        self._chain, self._nodes, self._market, self._limits = chain, nodes, market, limits
        self.acts: dict[str, Callable[[dict[str, str], Any], Any]] = {
            "fault": self.fault,
            "limit": self.limit,
            "pool": self.pool,
            "market": self.market,
            "give": self.give,
            "token": self.token,
            "tick": self.tick,
            "state": self.state,
        }

    def fault(self, query: dict[str, str], body: Any) -> Any:
        """`{"fault", "count", "node"?}`: so many of the next calls, of any node or of one (1, 2, …); 0 ends it.

        `fork` acts at once and on all.
        """
        if body.get("fault") not in list(Fault):
            raise Refused(f"fault is one of {', '.join(Fault)}")
        fault, count = Fault(body["fault"]), _whole(body, "count", 1, MAX_COUNT)
        if fault is Fault.FORK:
            return {"blocks": self._chain.fork(count)}
        faults = self._chain.faults
        if "node" in body:
            faults = self._nodes[_whole(body, "node", 1, len(self._nodes)) - 1].faults
        faults.add(fault, count)
        return {"left": faults.left}

    def pool(self, query: dict[str, str], body: Any) -> Any:
        """`{"venue", "base", "quote", "price", "depth"?, "lpBurntPercent"?}`: trades the pool to a price, quote per base.

        With `depth`, and where there is none yet, makes one that holds so much of quote.
        """
        base, quote = tokens = self._tokens(body)
        if body.get("venue") not in FORMATS:
            raise Refused(f"venue is one of {', '.join(FORMATS)}")
        price = _decimal(body, "price")
        if "depth" in body or self._pool(body["venue"], tokens) is None:
            depth = _decimal(body, "depth") if "depth" in body else NEW_DEPTH
            burnt = _whole(body, "lpBurntPercent", 0, 100) if "lpBurntPercent" in body else 0
            return {"pool": str(self._make(body["venue"], tokens, price, depth, lp_burnt_percent=burnt))}
        return {"swaps": self._market.trade_to(body["venue"], tokens, _per_unit(price, tokens))}

    def market(self, query: dict[str, str], body: Any) -> Any:
        """`{"base", "quote", "price"?, "hold"?, "liquidity"?, "volume"?, "listed"?}`: moves both venues' pools together.

        Prices move by swaps that land; `liquidity` (of quote, at Raydium's; the other's in proportion) and `listed` set the
        pools' accounts. `volume`, of quote, is traded once at each venue.
        """
        tokens = self._tokens(body)
        now = self._pool("RAYDIUM", tokens) or self._pool("METEORA", tokens)
        ratio = Decimal(now.bought.reserve) / now.sold.reserve if now else None
        units = _per_unit(_decimal(body, "price"), tokens) if "price" in body else None
        listed, depth = body.get("listed"), _decimal(body, "liquidity") if "liquidity" in body else None
        if listed is False:
            return {"closed": sum(self._close(venue, tokens) for venue in FORMATS)}
        if depth is not None or (listed and now is None):
            price = ratio.scaleb(tokens[0].decimals - tokens[1].decimals) if ratio else Decimal(1)
            price = _decimal(body, "price") if now is None and "price" in body else price
            for venue in FORMATS:
                self._make(venue, tokens, price, (depth or NEW_DEPTH) * DEPTH[venue])
        elif now is None:
            raise Refused("no pool trades this pair: list it first")
        swaps = 0
        if units is not None or "hold" in body:
            known = self._market.markets.get((tokens[0].symbol, tokens[1].symbol))
            held = bool(body.get("hold", known is not None and known.held))
            swaps += self._market.move(tokens, units or float(ratio or 1), held=held)
        if "volume" in body:
            worth = tokens[1].units(_decimal(body, "volume"))
            swaps += sum(self._market.turn_over(venue, tokens, worth) for venue in FORMATS)
        return {"swaps": swaps}

    def give(self, query: dict[str, str], body: Any) -> Any:
        """`{"owner", "token", "amount"}`: out of nothing. SOL comes as lamports, wrapped SOL as token `WSOL`."""
        owner, amount = Pubkey.from_string(body["owner"]), _decimal(body, "amount")
        if body.get("token") == "SOL":
            held = self._chain.get(owner)
            lamports = (held.lamports if held else 0) + int(amount.scaleb(9))
            self._chain.put(owner, owned(lamports, b"", SYSTEM))
            return {"address": str(owner)}
        token = TOKENS["SOL"] if body.get("token") == "WSOL" else self._token(body, "token")
        return {"address": str(give(self._chain, owner, token, token.units(amount)))}

    def token(self, query: dict[str, str], body: Any) -> Any:
        """`{"mint", "symbol", "decimals", "kind"?}`: a new mint; `good`: nobody has power over it."""
        kind = str(body.get("kind", "good"))
        if kind not in KINDS:
            raise Refused(f"kind is one of {', '.join(KINDS)}")
        mint, decimals = Pubkey.from_string(body["mint"]), _whole(body, "decimals", 0, 18)
        if self._chain.get(mint) is not None:
            raise Refused("there is an account at this address")
        make_token(self._chain, Token(str(body["symbol"]), mint, decimals), kind)
        return {"mint": str(mint)}

    def tick(self, query: dict[str, str], body: Any) -> Any:
        for _ in range(_whole(body, "blocks", 1, MAX_BLOCKS)):
            self._chain.tick()
        return self.state(query, body)

    def limit(self, query: dict[str, str], body: Any) -> Any:
        """`{"apis"?, "nodes"?}`: requests a second of each; 0: any number."""
        named = {name: body[name] for name in ("apis", "nodes") if name in body}
        for name, value in named.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_PER_S:
                raise Refused(f"{name} is a number from 0 to {MAX_PER_S}")
        self._limits.limit(**named)
        return {}

    def state(self, query: dict[str, str], body: Any) -> Any:
        chain = self._chain
        return {
            "slot": chain.slot,
            "height": chain.height,
            "genesisHash": chain.genesis_hash,
            "submissions": chain.submissions,
            "queued": len(chain.queue),
            "faults": chain.faults.left,
            "faultsOfNodes": [node.faults.left for node in self._nodes],
        }

    def _pool(self, venue: str, tokens: tuple[Token, Token]) -> pools.Pool | None:
        return pools.find(self._chain.get, FORMATS[venue], tokens[0].mint, tokens[1].mint)

    def _make(
        self, venue: str, tokens: tuple[Token, Token], price: Decimal, depth: Decimal, *, lp_burnt_percent: int = 0
    ) -> Pubkey:
        base, quote = tokens
        opens_at = int(time.time()) + max(kind_of(self._chain, token.mint).opens_in_s for token in tokens)
        reserves = base.units(depth / price), quote.units(depth)
        return make_pool(self._chain, venue, tokens, reserves, opens_at=opens_at, lp_burnt_percent=lp_burnt_percent)

    def _close(self, venue: str, tokens: tuple[Token, Token]) -> bool:
        """Takes the pool's account and what it holds off the chain."""
        pool = self._pool(venue, tokens)
        if pool is None:
            return False
        for address in (pool.address, pool.sold.vault, pool.bought.vault):
            self._chain.put(address, owned(0, b"", SYSTEM))
        return True

    def _tokens(self, body: Any) -> tuple[Token, Token]:
        return self._token(body, "base"), self._token(body, "quote")

    def _token(self, body: Any, name: str) -> Token:
        text = str(body.get(name, ""))
        found = TOKENS.get(text)
        if found is None:
            with suppress(ValueError):
                found = token_of(self._chain, Pubkey.from_string(text))
        if found is None:
            raise Refused(f"{name} is no token: {text!r}")
        return found


def _per_unit(price: Decimal, tokens: tuple[Token, Token]) -> float:
    """Base units of quote for one of base."""
    return float(price.scaleb(tokens[1].decimals - tokens[0].decimals))


def _whole(body: Any, name: str, least: int, most: int) -> int:
    value = body.get(name, max(1, least))
    if not isinstance(value, int) or isinstance(value, bool) or not (least <= value <= most or value == 0):
        raise Refused(f"{name} is a whole number from {least} to {most}")
    return value


def _decimal(body: Any, name: str) -> Decimal:
    try:
        value = Decimal(str(body[name]))
    except (KeyError, InvalidOperation):
        raise Refused(f"{name} is a positive number") from None
    if not value.is_finite() or value <= 0:
        raise Refused(f"{name} is a positive number")
    return value
