"""Tokens on a running engine: a launch of a mint that nobody knew, symbols that come and go, a limit in tokenIn."""

from contextlib import closing
from typing import Any

from tests.acceptance.test_triggers import FINAL, Trader, until
from tests.engine import MOCK_ONLY, Engine

MINT = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
SNIPER = {"tokenIn": "USDC", "tokenOut": MINT, "amount": "10", "type": "sniper", "slippageBps": 5000}
BUY = {
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "amount": "150",
    "type": "limit",
    "limitPrice": "150",
    "priceIn": "tokenIn",
}


def post(trader: Trader, path: str, **body: Any) -> Any:
    answer = trader.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(trader: Trader, path: str) -> Any:
    answer = trader.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(trader: Trader, order_id: str) -> Any:
    return until(lambda: (order := get(trader, f"/api/orders/{order_id}"))["status"] in FINAL and order, order_id)


@MOCK_ONLY  # A mint is registered before it exists here; test_localnet.py makes one on the chain.
def test_tokens() -> None:
    with Engine(MOCK_LATENCY="0.2", MOCK_SEED="3").running() as engine, closing(Trader(engine)) as trader:
        # A launch of a mint that does not exist yet.
        sniper = post(trader, "/api/orders/execute", **SNIPER)["orderId"]
        order = get(trader, f"/api/orders/{sniper}")
        assert (order["tokenOut"], order["mintOut"], order["status"]) == (MINT, MINT, "pending")
        assert post(trader, "/api/orders/test", **SNIPER)["preview"] is None
        assert trader.http.get(f"/api/quotes/USDC-{MINT}").status_code == 404
        token = post(trader, "/api/tokens", mint=MINT, symbol="WIF", name="dogwifhat", decimals=6)
        assert token["verified"] is False
        until(lambda: trader.http.get(f"/api/quotes/USDC-{MINT}").status_code == 200, "the pair is known")
        trader.move(f"{MINT}-USDC", listed=True, price="2", liquidity="100000", hold=True)
        order = ended(trader, sniper)
        assert order["status"] == "confirmed" and 4 < float(order["amountOut"]) < 5, order
        assert trader.redis.keys(f"quotes:USDC-{MINT}:BEST")
        refused = trader.http.post("/api/orders/execute", json={**SNIPER, "tokenOut": "WIF"}).json()
        assert refused["error"]["code"] == "UNKNOWN_TOKEN", "not before its symbol is verified"

        # Its symbol is verified while an order waits: the order goes along, and fires under the new name.
        limit = {"tokenIn": MINT, "tokenOut": "USDC", "amount": "5", "type": "limit", "limitPrice": "3"}
        resting = post(trader, "/api/orders/execute", **limit)["orderId"]
        until(lambda: trader.redis.exists(f"limit:{MINT}-USDC:{resting}"), "armed by its mint")
        post(trader, "/api/tokens", mint=MINT, verified=True)
        until(lambda: trader.redis.exists(f"limit:WIF-USDC:{resting}"), "armed by its symbol")
        until(lambda: not trader.redis.exists(f"limit:{MINT}-USDC:{resting}"), "not by its mint any more")
        assert get(trader, f"/api/orders/{resting}")["tokenIn"] == "WIF"
        assert [each["orderId"] for each in get(trader, "/api/orders?pair=WIF-USDC")["orders"]] == [resting]
        trader.move("WIF-USDC", price="4", hold=True)
        order = ended(trader, resting)
        assert order["status"] == "confirmed" and float(order["executedPrice"]) >= 3

        # Bought at 150 USDC or less, said both ways.
        trader.price("151")
        bought = post(trader, "/api/orders/execute", **BUY)["orderId"]
        order = get(trader, f"/api/orders/{bought}")
        assert (order["limitPrice"], order["priceIn"], order["resting"]) == ("150", "tokenIn", True)
        assert order["limitPrices"] == {"tokenOut": "0.006666666666666667", "tokenIn": "150"}
        trader.price("148")
        order = ended(trader, bought)
        assert order["status"] == "confirmed" and float(order["amountOut"]) >= 1, order
        assert get(trader, "/api/mock/chain")["ordersLandedTwice"] == 0
