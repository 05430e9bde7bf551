"""Jupiter's swap API v2: `GET /build` quotes and answers raw instructions; the client makes the transaction.

It routes over Meteora's pools and Raydium's, as `dexes` allows; the better one is taken. The swap calls Jupiter's own program,
which calls the pool's.
"""

import base64
import time
from typing import Any

from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

from localnet.blocks_api import getLatestBlockhash
from localnet.chain import Chain
from localnet.formats import FORMATS
from localnet.genesis import USDC, token_of
from localnet.node import Node
from localnet.pools import find
from localnet.route import Ends, Step, route
from localnet.trade.swaps import NotRouted, Offer, offer

MAX_IDS = 50
PRICE = 10_000
"""Micro-lamports a unit that it advises."""


class BadRequest(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.body = {"error": message, "errorCode": code}


class Jupiter:
    def __init__(self, chain: Chain, node: Node) -> None:
        self._chain, self._node = chain, node

    def labels(self, query: dict[str, str], body: Any) -> Any:
        return {str(format_.program): format_.label for format_ in FORMATS.values()}

    def prices(self, query: dict[str, str], body: Any) -> Any:
        """`GET /price/v3`: of each mint that trades against USDC, by its deepest pool; the others are left out."""
        mints = [mint for mint in query.get("ids", "").split(",") if mint]
        if not 1 <= len(mints) <= MAX_IDS:
            raise BadRequest("INVALID_IDS", f"Query parameter ids must have 1 to {MAX_IDS} mints")
        return {mint: price for mint in mints if (price := self._price(mint)) is not None}

    def _price(self, mint: str) -> dict[str, Any] | None:
        told = {"blockId": self._chain.slot, "priceChange24h": 0.0}
        if mint == str(USDC.mint):
            return {"usdPrice": 1.0, "liquidity": 1e9, "decimals": USDC.decimals, **told}
        try:
            found = [
                pool
                for format_ in FORMATS.values()
                if (pool := find(self._chain.get, format_, Pubkey.from_string(mint), USDC.mint)) is not None
            ]
        except ValueError:
            return None
        token = token_of(self._chain, Pubkey.from_string(mint))
        pools = [pool for pool in found if pool.sold.reserve and pool.bought.reserve]
        if not pools or token is None:
            return None
        pool = max(pools, key=lambda each: each.bought.reserve)
        usd = pool.bought.reserve / 10**USDC.decimals
        price = usd / (pool.sold.reserve / 10**token.decimals)
        return {"usdPrice": price, "liquidity": 2 * usd, "decimals": token.decimals, **told}

    def build(self, query: dict[str, str], body: Any) -> Any:
        """Raises `BadRequest`."""
        amount, slippage = (query.get(name, default) for name, default in (("amount", ""), ("slippageBps", "50")))
        if not (amount.isascii() and amount.isdigit() and 0 < int(amount) < 2**64):
            raise BadRequest("INVALID_AMOUNT", "Query parameter amount must be a positive integer")
        if not (slippage.isascii() and slippage.isdigit() and int(slippage) <= 10_000):
            raise BadRequest("INVALID_SLIPPAGE", "Query parameter slippageBps must be 0 to 10000")
        taker = self._address(query, "taker")
        sold, bought = (str(self._address(query, name)) for name in ("inputMint", "outputMint"))
        if sold == bought:
            raise BadRequest("CIRCULAR_ARBITRAGE_IS_DISABLED", "Input and output mints are the same")
        found = self._best(query.get("dexes", ""), sold, bought, int(amount))
        return self._answer(found, taker, int(slippage))

    def _address(self, query: dict[str, str], name: str) -> Pubkey:
        try:
            return Pubkey.from_string(query[name])
        except (KeyError, ValueError):
            raise BadRequest("INVALID_PUBKEY", f"Query parameter {name} must be an address") from None

    def _best(self, dexes: str, sold: str, bought: str, amount: int) -> Offer:
        offers = []
        for venue, format_ in FORMATS.items():
            if dexes and format_.label not in dexes.replace("+", " ").split(","):
                continue
            try:
                offers.append(offer(self._chain, venue, sold, bought, amount))
            except NotRouted:
                continue
        paying = [each for each in offers if each.pays]
        if not paying:
            raise BadRequest("NO_ROUTES_FOUND", "No routes found")
        return max(paying, key=lambda each: each.pays)

    def _answer(self, found: Offer, taker: Pubkey, slippage: int) -> dict[str, Any]:
        least = found.least(slippage)
        create, swap = _routed(found, taker, slippage)
        latest = getLatestBlockhash(self._node, {"commitment": "confirmed"})["value"]
        sold, bought = str(found.pool.sold.mint), str(found.pool.bought.mint)
        amounts = {"inAmount": str(found.amount), "outAmount": str(found.pays)}
        step = {
            "ammKey": str(found.pool.address),
            "label": found.pool.format.label,
            "inputMint": sold,
            "outputMint": bought,
            **amounts,
        }
        now = time.time()
        return {
            "inputMint": sold,
            "outputMint": bought,
            **amounts,
            "otherAmountThreshold": str(least),
            "swapMode": "ExactIn",
            "slippageBps": slippage,
            "priceImpactPct": f"{found.impact:.12f}",
            "platformFee": None,
            "routePlan": [{"swapInfo": step, "percent": 100, "bps": 10_000}],
            "contextSlot": self._chain.slot,
            "computeBudgetInstructions": [_written(set_compute_unit_price(PRICE))],
            "setupInstructions": [_written(create)],
            "swapInstruction": _written(swap),
            "cleanupInstruction": None,
            "otherInstructions": [],
            "tipInstruction": None,
            "addressesByLookupTableAddress": None,
            "blockhashWithMetadata": {
                "blockhash": list(bytes(Hash.from_string(latest["blockhash"]))),
                "lastValidBlockHeight": latest["lastValidBlockHeight"],
                "fetchedAt": {"secs_since_epoch": int(now), "nanos_since_epoch": int(now % 1 * 1e9)},
            },
        }


def _routed(found: Offer, taker: Pubkey, slippage: int) -> tuple[Instruction, Instruction]:
    """The account that is paid into, made if it is missing, and the route of one step."""
    create, swap = found.instructions(taker, 0)
    sides = found.pool.sold, found.pool.bought
    sold, bought = (get_associated_token_address(taker, side.mint, side.program) for side in sides)
    ends = Ends(taker, (sold, bought), (sides[0].mint, sides[1].mint), (sides[0].program, sides[1].program))
    return create, route(ends, found.amount, found.pays, slippage, [Step(found.pool.format, swap)])


def _written(instruction: Instruction) -> dict[str, Any]:
    return {
        "programId": str(instruction.program_id),
        "accounts": [
            {"pubkey": str(meta.pubkey), "isSigner": meta.is_signer, "isWritable": meta.is_writable}
            for meta in instruction.accounts
        ],
        "data": base64.b64encode(bytes(instruction.data)).decode(),
    }
