"""What a test or an operator may do to the chain: faults, prices, money, pools, blocks by hand."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from solders.pubkey import Pubkey
from solders.token import ID as TOKEN
from solders.token.state import Mint

from localnet.accounts import owned
from localnet.addresses import SYSTEM
from localnet.chain import Chain
from localnet.faults import Fault
from localnet.formats import FORMATS
from localnet.genesis import BY_MINT, PROGRAM_LAMPORTS, SUPPLY, TOKENS, Token, give, make_pool
from localnet.market_maker import MarketMaker

MAX_BLOCKS = 1_000
MAX_COUNT = 1_000_000


class Refused(Exception):
    """A control that names something unknown, or asks for too much. Nothing has changed."""


class Control:
    def __init__(self, chain: Chain, market: MarketMaker) -> None:
        self._chain, self._market = chain, market
        self.acts: dict[str, Callable[[dict[str, str], Any], Any]] = {
            "fault": self.fault,
            "pool": self.pool,
            "give": self.give,
            "token": self.token,
            "tick": self.tick,
            "state": self.state,
        }

    def fault(self, query: dict[str, str], body: Any) -> Any:
        """`{"fault", "count"}`: so many of the next calls; 0 ends it. `fork` acts at once."""
        if body.get("fault") not in list(Fault):
            raise Refused(f"fault is one of {', '.join(Fault)}")
        fault, count = Fault(body["fault"]), _whole(body, "count", 1, MAX_COUNT)
        if fault is Fault.FORK:
            return {"blocks": self._chain.fork(count)}
        self._chain.faults.add(fault, count)
        return {"left": self._chain.faults.left}

    def pool(self, query: dict[str, str], body: Any) -> Any:
        """`{"venue", "base", "quote", "price"}`: trades the pool to a price, quote per base; makes one of `depth` if none is."""
        base, quote = (self._token(body, name) for name in ("base", "quote"))
        if body.get("venue") not in FORMATS:
            raise Refused(f"venue is one of {', '.join(FORMATS)}")
        price = _decimal(body, "price")
        units = float(price.scaleb(quote.decimals - base.decimals))
        if "depth" in body:
            depth = _decimal(body, "depth")
            reserves = base.units(depth / price), quote.units(depth)
            return {"pool": str(make_pool(self._chain, body["venue"], (base, quote), reserves))}
        market = self._market.markets.get((base.symbol, quote.symbol))
        if market is not None and body.get("hold", True):
            market.start, market.aim = units, 0.0
        return {"swaps": self._market.trade_to(body["venue"], (base, quote), units)}

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
        """`{"mint", "symbol", "decimals"}`: a new mint, without authorities over it."""
        mint, decimals = Pubkey.from_string(body["mint"]), _whole(body, "decimals", 0, 18)
        if self._chain.get(mint) is not None:
            raise Refused("there is an account at this address")
        self._chain.put(mint, owned(PROGRAM_LAMPORTS, bytes(Mint(None, SUPPLY, decimals, True, None)), TOKEN))
        made = Token(str(body["symbol"]), mint, decimals)
        TOKENS[made.symbol] = BY_MINT[mint] = made
        return {"mint": str(mint)}

    def tick(self, query: dict[str, str], body: Any) -> Any:
        for _ in range(_whole(body, "blocks", 1, MAX_BLOCKS)):
            self._chain.tick()
        return self.state(query, body)

    def state(self, query: dict[str, str], body: Any) -> Any:
        chain = self._chain
        return {
            "slot": chain.slot,
            "height": chain.height,
            "genesisHash": chain.genesis_hash,
            "submissions": chain.submissions,
            "queued": len(chain.queue),
            "faults": chain.faults.left,
        }

    def _token(self, body: Any, name: str) -> Token:
        text = str(body.get(name, ""))
        found = TOKENS.get(text) or next((each for each in BY_MINT.values() if str(each.mint) == text), None)
        if found is None:
            raise Refused(f"{name} is no token: {text!r}")
        return found


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
