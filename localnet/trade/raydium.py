"""Raydium's trade API (`transaction-v1.raydium.io`) and the part of its data API that fees and pools come from."""

import base64
import os
from typing import Any

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from localnet.blocks_api import getLatestBlockhash
from localnet.chain import Chain
from localnet.node import Node
from localnet.trade.swaps import NotRouted, Offer, offer, offer_for

UNIT_LIMIT = 120_000
MAX_BPS = 5_000


class Raydium:
    def __init__(self, chain: Chain, node: Node) -> None:
        self._chain, self._node = chain, node

    def auto_fee(self, query: dict[str, str], body: Any) -> Any:
        """Micro-lamports a unit: very high, high, medium."""
        return _ok({"default": {"vh": 25_000, "h": 15_000, "m": 10_000}})

    def quote_in(self, query: dict[str, str], body: Any) -> Any:
        return self._quote(query, exact_out=False)

    def quote_out(self, query: dict[str, str], body: Any) -> Any:
        return self._quote(query, exact_out=True)

    def _quote(self, query: dict[str, str], *, exact_out: bool) -> Any:
        for name, message in (
            ("inputMint", "REQ_INPUT_MINT_ERROR"),
            ("outputMint", "REQ_OUTPUT_MINT_ERROR"),
        ):
            if not _is_address(query.get(name, "")):
                return _failed(message)
        amount, slippage = query.get("amount", ""), query.get("slippageBps", "")
        if not amount.isascii() or not amount.isdigit() or not 0 < int(amount) < 2**64:
            return _failed("REQ_AMOUNT_ERROR")
        if not slippage.isascii() or not slippage.isdigit() or int(slippage) > MAX_BPS:
            return _failed("REQ_SLIPPAGE_BPS_ERROR")
        if query.get("txVersion") not in ("V0", "LEGACY"):
            return _failed("REQ_TX_VERSION_ERROR")
        ask = offer_for if exact_out else offer
        try:
            found = ask(self._chain, "RAYDIUM", query["inputMint"], query["outputMint"], int(amount))
        except NotRouted:
            return _failed("ROUTE_NOT_FOUND")
        if found.pays == 0:
            return _failed("AMOUNT_TOO_SMALL")
        return _ok(self._data(found, int(slippage), exact_out=exact_out))

    def _data(self, found: Offer, slippage: int, *, exact_out: bool) -> dict[str, Any]:
        threshold = found.amount * (10_000 + slippage) // 10_000 if exact_out else found.least(slippage)
        pool = found.pool
        return {
            "swapType": "BaseOut" if exact_out else "BaseIn",
            "inputMint": str(pool.sold.mint),
            "inputAmount": str(found.amount),
            "outputMint": str(pool.bought.mint),
            "outputAmount": str(found.pays),
            "otherAmountThreshold": str(threshold),
            "slippageBps": slippage,
            "priceImpactPct": round(found.impact * 100, 4),
            "referrerAmount": "0",
            "routePlan": [
                {
                    "poolId": str(pool.address),
                    "inputMint": str(pool.sold.mint),
                    "outputMint": str(pool.bought.mint),
                    "feeMint": str(pool.sold.mint),
                    "feeRate": pool.fee_bps,
                    "feeAmount": str(pool.charges(found.amount)),
                    "remainingAccounts": [],
                    "lastPoolPriceX64": str((pool.bought.reserve << 64) // pool.sold.reserve),
                }
            ],
        }

    def build(self, query: dict[str, str], body: Any) -> Any:
        """The whole quote comes back in `swapResponse`; the answer is an unsigned transaction."""
        quote = body.get("swapResponse")
        data = quote.get("data") if isinstance(quote, dict) and quote.get("success") else None
        if not isinstance(data, dict) or not _is_address(body.get("wallet", "")):
            return _failed("REQ_SWAP_RESPONSE_ERROR")
        price = str(body.get("computeUnitPriceMicroLamports", ""))
        if not price.isdigit():
            return _failed("REQ_COMPUTE_UNIT_PRICE_MICRO_LAMPORTS_ERROR")
        try:
            found = offer(self._chain, "RAYDIUM", data["inputMint"], data["outputMint"], int(data["inputAmount"]))
            exact_out = data["swapType"] == "BaseOut"
            least = int(data["outputAmount" if exact_out else "otherAmountThreshold"])
            most = int(data["otherAmountThreshold" if exact_out else "inputAmount"])
        except (NotRouted, KeyError, ValueError):
            return _failed("REQ_SWAP_RESPONSE_ERROR")
        wallet = Pubkey.from_string(body["wallet"])
        create, swap = found.instructions(wallet, least, most=most if exact_out else None)
        budget = [set_compute_unit_limit(UNIT_LIMIT), set_compute_unit_price(int(price))]
        instructions = [*budget, *([create] if not body.get("outputAccount") else []), swap]
        latest = getLatestBlockhash(self._node, {"commitment": "confirmed"})["value"]["blockhash"]
        message = MessageV0.try_compile(wallet, instructions, [], Hash.from_string(latest))
        unsigned = VersionedTransaction.populate(message, [Signature.default()])
        return _ok([{"transaction": base64.b64encode(bytes(unsigned)).decode()}])


def _is_address(text: Any) -> bool:
    try:
        Pubkey.from_string(text)
    except (ValueError, TypeError):
        return False
    return True


def _ok(data: Any) -> dict[str, Any]:
    return {"id": os.urandom(16).hex(), "success": True, "version": "V1", "data": data}


def _failed(message: str) -> dict[str, Any]:
    return {"id": os.urandom(16).hex(), "success": False, "version": "V1", "msg": message}
