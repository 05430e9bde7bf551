"""The trade APIs in their vendors' shapes, and swaps built by them as they land."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from localnet.genesis import SOL, USDC
from tests.localnet.node import Localnet, running
from tests.localnet.wallets import Wallet

ONE_SOL = 10**9


@pytest.fixture
def wallet(localnet: Localnet) -> Wallet:
    made = Wallet(localnet)
    localnet.control("give", owner=str(made.key.pubkey()), token="WSOL", amount="100")
    localnet.tick()
    return made


def raydium(node: Localnet, path: str = "in", **instead: str) -> Any:
    query = {"inputMint": str(SOL.mint), "outputMint": str(USDC.mint), "amount": str(ONE_SOL), "slippageBps": "50"}
    url = f"{node.addresses['raydiumUrl']}/compute/swap-base-{path}"
    return httpx.get(url, params=query | {"txVersion": "V0"} | instead).json()


def jupiter(node: Localnet, wallet: Pubkey, **instead: str) -> httpx.Response:
    query = {"inputMint": str(SOL.mint), "outputMint": str(USDC.mint), "amount": str(ONE_SOL), "slippageBps": "50"}
    query |= {"taker": str(wallet), "dexes": "Meteora DLMM,Meteora DAMM v2"}
    return httpx.get(f"{node.addresses['jupiterUrl']}/build", params=query | instead)


def bought(node: Localnet, wallet: Wallet, quote: Any) -> VersionedTransaction:
    """Raydium's transaction for the quote, signed by the wallet."""
    body = {
        "computeUnitPriceMicroLamports": "1000",
        "swapResponse": quote,
        "txVersion": "V0",
        "wallet": str(wallet.key.pubkey()),
        "wrapSol": False,
        "unwrapSol": False,
    }
    built = httpx.post(f"{node.addresses['raydiumUrl']}/transaction/swap-base-in", json=body).json()
    assert built["success"], built
    message = VersionedTransaction.from_bytes(base64.b64decode(built["data"][0]["transaction"])).message
    return VersionedTransaction.populate(message, [wallet.key.sign_message(to_bytes_versioned(message))])


def test_raydium_s_quote_is_what_lands(localnet: Localnet, wallet: Wallet) -> None:
    quote = raydium(localnet)
    data = quote["data"]
    assert quote["success"] and data["swapType"] == "BaseIn" and data["inputAmount"] == str(ONE_SOL)
    assert Decimal(data["outputAmount"]) * 9950 / 10000 <= int(data["otherAmountThreshold"])
    assert isinstance(data["priceImpactPct"], float) and data["routePlan"][0]["feeRate"] == 25
    transaction = bought(localnet, wallet, quote)
    wallet.send(transaction)
    localnet.tick()
    assert wallet.status(transaction)["err"] is None
    assert wallet.tokens(USDC.mint) == int(data["outputAmount"])
    assert wallet.tokens(SOL.mint) == 99 * ONE_SOL


def test_a_price_that_moved_too_far_reverts(localnet: Localnet, wallet: Wallet) -> None:
    quote = raydium(localnet)
    transaction = bought(localnet, wallet, quote)
    localnet.control("pool", venue="RAYDIUM", base="SOL", quote="USDC", price="90")
    localnet.tick()
    moved = raydium(localnet)
    assert int(moved["data"]["outputAmount"]) < int(quote["data"]["otherAmountThreshold"])
    wallet.send(transaction)
    localnet.tick()
    assert wallet.status(transaction)["err"] == {"InstructionError": [3, {"Custom": 6005}]}
    assert wallet.tokens(SOL.mint) == 100 * ONE_SOL and wallet.tokens(USDC.mint) == 0
    localnet.control("pool", venue="RAYDIUM", base="SOL", quote="USDC", price="100")
    localnet.tick()


def test_exact_out_asks_for_the_least_that_pays_it(localnet: Localnet) -> None:
    wanted = 50 * 10**6
    data = raydium(localnet, "out", amount=str(wanted))["data"]
    assert data["swapType"] == "BaseOut" and int(data["outputAmount"]) >= wanted
    less = raydium(localnet, amount=str(int(data["inputAmount"]) - 1))["data"]
    assert int(less["outputAmount"]) < wanted
    assert int(data["otherAmountThreshold"]) == int(data["inputAmount"]) * 10_050 // 10_000


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ({"inputMint": "nothing"}, "REQ_INPUT_MINT_ERROR"),
        ({"outputMint": ""}, "REQ_OUTPUT_MINT_ERROR"),
        ({"amount": "0"}, "REQ_AMOUNT_ERROR"),
        ({"amount": "1.5"}, "REQ_AMOUNT_ERROR"),
        ({"amount": "²"}, "REQ_AMOUNT_ERROR"),
        ({"slippageBps": "9999"}, "REQ_SLIPPAGE_BPS_ERROR"),
        ({"txVersion": "V9"}, "REQ_TX_VERSION_ERROR"),
        ({"outputMint": "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K"}, "ROUTE_NOT_FOUND"),
        ({"amount": "1"}, "AMOUNT_TOO_SMALL"),
    ],
)
def test_raydium_s_errors(localnet: Localnet, instead: dict[str, str], message: str) -> None:
    answer = raydium(localnet, **instead)
    assert (answer["success"], answer["msg"]) == (False, message)


def test_half_of_a_quote_builds_nothing(localnet: Localnet, wallet: Wallet) -> None:
    """The whole answer has to come back, as at Raydium."""
    body = {"computeUnitPriceMicroLamports": "1000", "txVersion": "V0", "wallet": str(wallet.key.pubkey())}
    for half in (raydium(localnet)["data"], {}, None, raydium(localnet, amount="0")):
        url = f"{localnet.addresses['raydiumUrl']}/transaction/swap-base-in"
        answer = httpx.post(url, json=body | {"swapResponse": half}).json()
        assert answer["msg"] == "REQ_SWAP_RESPONSE_ERROR"


def test_jupiter_s_instructions_are_what_lands(localnet: Localnet, wallet: Wallet) -> None:
    answer = jupiter(localnet, wallet.key.pubkey()).json()
    assert answer["routePlan"][0]["swapInfo"]["label"] == "Meteora DAMM v2"
    instructions = [
        read(each)
        for each in (*answer["computeBudgetInstructions"], *answer["setupInstructions"], answer["swapInstruction"])
    ]
    transaction = wallet.signed(instructions)
    wallet.send(transaction)
    localnet.tick()
    assert wallet.status(transaction)["err"] is None
    assert wallet.tokens(USDC.mint) == int(answer["outAmount"])


def read(raw: Any) -> Instruction:
    metas = [
        AccountMeta(Pubkey.from_string(each["pubkey"]), each["isSigner"], each["isWritable"])
        for each in raw["accounts"]
    ]
    return Instruction(Pubkey.from_string(raw["programId"]), base64.b64decode(raw["data"]), metas)


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        ({"amount": "-1"}, "INVALID_AMOUNT"),
        ({"slippageBps": "10001"}, "INVALID_SLIPPAGE"),
        ({"taker": "me"}, "INVALID_PUBKEY"),
        ({"outputMint": str(SOL.mint)}, "CIRCULAR_ARBITRAGE_IS_DISABLED"),
        ({"dexes": "Whirlpool"}, "NO_ROUTES_FOUND"),
        ({"amount": "1"}, "NO_ROUTES_FOUND"),
    ],
)
def test_jupiter_s_errors(localnet: Localnet, wallet: Wallet, instead: dict[str, str], code: str) -> None:
    answer = jupiter(localnet, wallet.key.pubkey(), **instead)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, code)


def test_the_better_of_both_venues_is_taken_where_both_are_asked_for(localnet: Localnet, wallet: Wallet) -> None:
    both = jupiter(localnet, wallet.key.pubkey(), dexes="Meteora DAMM v2,Raydium CP").json()
    only = jupiter(localnet, wallet.key.pubkey()).json()
    direct = raydium(localnet)["data"]
    assert int(both["outAmount"]) == max(int(only["outAmount"]), int(direct["outputAmount"]))


def test_rate_limits_refuse_and_say_when(start_localnet: Callable[..., Localnet]) -> None:
    node = start_localnet(hold="", requests_per_s="1")
    url = f"{node.addresses['raydiumUrl']}/main/auto-fee"
    with ThreadPoolExecutor(8) as pool:  # Side by side: a slow machine earns a request a second, too.
        answers = {answer.status_code: answer for answer in pool.map(httpx.get, [url] * 8)}
    assert set(answers) == {200, 429}
    assert int(answers[429].headers["retry-after"]) >= 1 and "x-ratelimit-remaining" in answers[200].headers


@pytest.fixture(scope="module")
def wandering() -> Iterator[Localnet]:
    with running(slot_ms=50, seed="3") as made:
        yield made


def test_prices_wander_by_swaps_that_land(wandering: Localnet) -> None:
    from tests.waiting import until

    seen: set[str] = set()

    def moved() -> bool:
        seen.add(raydium(wandering)["data"]["outputAmount"])
        return len(seen) >= 4

    until(moved, 60)
    assert all(Decimal(94) < Decimal(amount) / 10**6 < Decimal(106) for amount in seen)


def test_a_price_that_is_asked_for_twice_in_a_block_is_reached_once(localnet: Localnet) -> None:
    for price in ("130", "120", "140"):
        localnet.control("market", base="SOL", quote="USDC", price=price, hold=True)
    localnet.tick()
    # Less its fee of 0.25 %.
    assert abs(Decimal(raydium(localnet)["data"]["outputAmount"]) / 10**6 - Decimal("139.65")) < Decimal("0.2")
    localnet.control("market", base="SOL", quote="USDC", price="100", hold=True)
    localnet.tick()


def test_a_pool_can_be_made_and_moved(localnet: Localnet) -> None:
    new = "BvfLMhjxiFGmQ5PKaykzpSMLdgKWZmQYh88JX33gqB8K"
    localnet.control("pool", venue="RAYDIUM", base="NEW", quote="USDC", price="0.5", depth="100000")
    localnet.tick()
    data = raydium(localnet, inputMint=new, amount=str(10**6))["data"]
    assert Decimal("0.498") < Decimal(data["outputAmount"]) / 10**6 < Decimal("0.5")
    localnet.control("pool", venue="RAYDIUM", base="NEW", quote="USDC", price="0.7")
    localnet.tick(2)
    data = raydium(localnet, inputMint=new, amount=str(10**6))["data"]
    assert Decimal("0.697") < Decimal(data["outputAmount"]) / 10**6 < Decimal("0.7")
