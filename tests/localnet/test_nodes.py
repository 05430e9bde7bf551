"""Several nodes of one chain that disagree, and what the controls leave behind when the process is killed."""

import contextlib
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from localnet.store import Block, Landed, Store
from tests.localnet.node import Localnet
from tests.localnet.test_trade import raydium
from tests.localnet.wallets import Wallet

NEW = "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K"


def asked(url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=body, timeout=30).json()["result"]


def test_nodes_disagree_about_one_transaction(start_localnet: Callable[..., Localnet]) -> None:
    localnet = start_localnet(hold="", nodes="2")
    first, second = localnet.addresses["rpcUrls"]
    wallet = Wallet(localnet)
    payment = wallet.payment(1)
    wallet.send(payment)
    localnet.tick(2)
    status = "getSignatureStatuses", [str(payment.signatures[0])], {"searchTransactionHistory": True}
    localnet.control("fault", fault="lag", count=1, node=2)
    behind, ahead = asked(second, *status), asked(first, *status)
    assert behind["value"] == [None] and ahead["value"][0]["confirmationStatus"] == "finalized"
    assert behind["context"]["slot"] < ahead["context"]["slot"], "by which a client knows that the answer is old"
    assert asked(second, *status)["value"] == ahead["value"], "the fault was for one answer"


def test_a_node_that_is_none_is_refused(localnet: Localnet) -> None:
    for node in (2, "1", True):
        answer = httpx.post(f"{localnet.addresses['controlUrl']}/fault", json={"fault": "lag", "node": node})
        assert answer.status_code == 400 and "node" in answer.json()["error"]


def price_of_new(localnet: Localnet) -> Decimal:
    data = raydium(localnet, inputMint=NEW, amount=str(10**6))["data"]
    return Decimal(data["outputAmount"]) / 10**6


def test_pools_tokens_held_prices_and_history_survive_kill_9(
    start_localnet: Callable[..., Localnet], tmp_path: Path
) -> None:
    localnet = start_localnet(tmp_path, slot_ms=20)
    wallet = Wallet(localnet)
    mint = str(wallet.key.pubkey().find_program_address([b"mint"], wallet.key.pubkey())[0])
    localnet.control("token", mint=mint, symbol="MINE", decimals=3)
    for venue in ("RAYDIUM", "METEORA"):
        localnet.control("pool", venue=venue, base="NEW", quote="USDC", price="0.5")
    localnet.control("pool", venue="RAYDIUM", base="MINE", quote="USDC", price="7", depth="1000")
    localnet.control("market", base="NEW", quote="USDC", price="0.25", hold=True)
    payment = wallet.payment(1)
    wallet.send(payment)
    localnet.tick(2)
    signature = str(payment.signatures[0])
    before = localnet.rpc("getTransaction", signature, "json")
    localnet.stop(signal.SIGKILL)

    again = start_localnet(tmp_path, slot_ms=20)
    again.tick(60)
    assert again.rpc("getTransaction", signature, "json") == before
    assert Decimal("0.2485") < price_of_new(again) < Decimal("0.25"), "held, whatever the seed says"
    assert again.control("pool", venue="RAYDIUM", base="MINE", quote="USDC", price="8") == {"swaps": 1}


@pytest.fixture
def listed(localnet: Localnet) -> Localnet:
    localnet.control("market", base="NEW", quote="USDC", price="0.5", listed=True)
    localnet.tick()
    return localnet


def test_a_market_is_moved_by_swaps(listed: Localnet) -> None:
    assert listed.control("market", base="NEW", quote="USDC", price="0.7")["swaps"] == 2
    assert price_of_new(listed) < Decimal("0.5"), "nothing moves before a block"
    listed.tick()
    assert Decimal("0.69") < price_of_new(listed) < Decimal("0.7")


def test_its_depth_changes_and_its_price_stays(listed: Localnet) -> None:
    before = price_of_new(listed)
    listed.control("market", base="NEW", quote="USDC", liquidity="900000")
    listed.tick()
    assert abs(price_of_new(listed) - before) < Decimal("0.0001")
    thousand = raydium(listed, inputMint=NEW, amount=str(1000 * 10**6))["data"]
    assert Decimal(thousand["priceImpactPct"]) < Decimal("0.1")


def test_what_is_traded_comes_back(listed: Localnet) -> None:
    before = price_of_new(listed)
    assert listed.control("market", base="NEW", quote="USDC", volume="1000")["swaps"] == 4
    listed.tick()
    assert price_of_new(listed) > before + Decimal("0.0003")
    listed.tick(6)
    assert abs(price_of_new(listed) - before) < Decimal("0.001")


def test_a_market_that_is_taken_away_trades_no_more(listed: Localnet) -> None:
    assert listed.control("market", base="NEW", quote="USDC", listed=False) == {"closed": 2}
    listed.tick()
    assert raydium(listed, inputMint=NEW, amount="1000000")["msg"] == "ROUTE_NOT_FOUND"
    answer = httpx.post(f"{listed.addresses['controlUrl']}/market", json={"base": "NEW", "quote": "USDC", "price": "1"})
    assert answer.status_code == 400 and "list it first" in answer.json()["error"]


def test_a_history_forgets_one_address_s_older_transactions(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path)) as store:
        for slot in (1, 2, 3):
            block = Block(slot, slot, f"hash {slot}", 0)
            landed = [
                Landed(f"{who} {slot}", slot, slot, place, None, b"", {}, (who, "program"))
                for place, who in enumerate(("maker", "trader"))
            ]
            store.write(block, landed, [])
        store.forget("maker", 3)
        assert [row[0] for row in store.signatures("program", before=(9, 0), limit=9)] == [
            "trader 3", "maker 3", "trader 2", "trader 1",
        ]  # fmt: skip
        assert store.status("maker 2") is None and store.status("trader 1") is not None
        assert [row[0] for row in store.signatures("maker", before=(9, 0), limit=9)] == ["maker 3"]


def test_an_explorer_s_page_reads_the_node_and_no_page_moves_the_chain(localnet: Localnet) -> None:
    url, page = localnet.addresses["rpcUrl"], {"Origin": "https://explorer.solana.com"}
    asks = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert httpx.options(url, headers=asks).headers["access-control-allow-origin"] == "*"
    call = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
    assert httpx.post(url, json=call, headers=page).headers["access-control-allow-origin"] == "*"
    control = f"{localnet.addresses['controlUrl']}/tick"
    assert "access-control-allow-origin" not in httpx.options(control, headers=asks).headers
    simple = httpx.post(control, content='{"blocks": 1}', headers={**page, "Content-Type": "text/plain"})
    assert simple.status_code == 415, "what a page may send without asking"
