"""What nodes may answer to whoever reads pools himself: accounts and answers with anything in them. Nothing unasked is signed."""

import base64
import random
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from solders.pubkey import Pubkey

from routing.solana.accounts import Account
from routing.solana.addresses import TOKEN
from routing.solana.pools import CPMM, NotQuotable, pool_of
from routing.solana.programs import Side
from routing.values import Quote, Tick, VenueName
from routing.venue import VenueError
from routing.venues import METEORA, RAYDIUM
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair
from tests.solana.test_vendor_answers import bought_as_asked, mutated
from tests.solana.vendor_server import VendorServer

READS = ("getMultipleAccounts", "getProgramAccounts")
BUILDS = ("getLatestBlockhash", "simulateTransaction", "getMultipleAccounts")
TRIES = 50


class Relay:
    """A node that passes the localnet's answers on; those of `methods` are changed by `change`."""

    def __init__(self, node: Localnet, server: VendorServer) -> None:
        self.url, self._root = server.url, node.addresses["rpcUrl"]
        # Loading certificates takes longer than a call.
        self._client = httpx.Client(verify=False, trust_env=False)  # noqa: S501
        self.methods: tuple[str, ...] = ()
        self.change: Any = lambda result: result
        server.answers["/"] = self._pass_on

    def close(self) -> None:
        self._client.close()

    def _pass_on(self, request: Any, body: bytes) -> tuple[int, Any, dict[str, str]]:
        calls = msgspec.json.decode(body)
        answers = self._client.post(self._root, content=body, headers={"content-type": "application/json"}).json()
        for call, answer in zip(
            calls if isinstance(calls, list) else [calls],
            answers if isinstance(answers, list) else [answers],
            strict=True,
        ):
            if call["method"] in self.methods and "result" in answer:
                answer["result"] = self.change(answer["result"])
        return 200, answers, {}


@pytest.fixture
async def relay(node: Localnet) -> AsyncIterator[Relay]:
    async with VendorServer() as server:
        made = Relay(node, server)
        yield made
        made.close()


@pytest.fixture
async def relayed(node: Localnet, relay: Relay) -> AsyncIterator[Stage]:
    stage = Stage(node, [relay.url], watch_vaults=False)
    yield stage
    await stage.world.close()


def garbled(result: Any, draw: random.Random) -> Any:
    """The answer with bytes of its accounts changed, cut or added, or else with anything in any place."""
    held = [each for each in _accounts(result) if each.get("data")]
    if not held or draw.random() < 0.3:
        return mutated(result, draw)
    for each in draw.sample(held, draw.randint(1, len(held))):
        data = bytearray(base64.b64decode(each["data"][0]))
        match draw.randrange(4):
            case 0:
                data = data[: draw.randrange(len(data) + 1)]
            case 1:
                data += draw.randbytes(draw.randrange(1, 50))
            case 2:
                at = draw.randrange(max(1, len(data) - 8))
                data[at : at + 8] = draw.choice([b"\0" * 8, b"\xff" * 8, draw.randbytes(8)])
            case _:
                each["owner"] = draw.choice(["", "11111111111111111111111111111111", each["owner"][::-1]])
        each["data"] = [base64.b64encode(bytes(data)).decode(), "base64"]
    return result


def _accounts(result: Any) -> list[dict[str, Any]]:
    """Of `getMultipleAccounts` and of `getProgramAccounts`."""
    listed = result.get("value") if isinstance(result, dict) else result
    if not isinstance(listed, list):
        return []
    found = [each.get("account", each) for each in listed if isinstance(each, dict)]
    return [each for each in found if isinstance(each, dict) and "owner" in each]


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
async def test_no_account_makes_a_price_that_is_none_or_an_unhandled_error(
    relay: Relay, relayed: Stage, name: VenueName
) -> None:
    draw, seen = random.Random(23), set[str]()
    venue = relayed.venue(name)
    good = await venue.quote(pair(), Decimal(1))
    relay.methods = READS
    for _ in range(TRIES):
        relay.change = lambda result: garbled(result, draw)
        relayed.world.accounts.forget()
        try:
            tick, quote = await venue.tick(pair()), await venue.quote(pair(), Decimal(1))
        except VenueError as error:
            seen.add(error.code)
            continue
        assert isinstance(tick, Tick) and tick.price.is_finite() and tick.price > 0 and tick.liquidity >= 0
        assert isinstance(quote, Quote) and quote.amount_in == 1 and quote.amount_out > 0
        seen.add("same" if quote.amount_out == good.amount_out else "other")
    assert {"same", "NO_ROUTE", "VENUE_UNAVAILABLE"} <= seen, seen


@pytest.mark.parametrize("name", [RAYDIUM, METEORA])
async def test_no_answer_of_a_node_signs_what_was_not_asked(relay: Relay, relayed: Stage, name: VenueName) -> None:
    draw, seen = random.Random(7), set[str]()
    least = ((await relayed.quote("1", name)).amount_out * Decimal("0.99")).quantize(Decimal("0.000001"))
    for _ in range(TRIES // 2):
        relay.methods = (draw.choice(BUILDS),)
        relay.change = lambda result: garbled(result, draw)
        relayed.world.accounts.forget()
        try:
            await relayed.build(name=name, min_out=str(least))
            seen.add("signed")
        except VenueError as error:
            seen.add(error.code)
    for message in relayed.signer.signed:
        bought_as_asked(message, relayed, least)
    assert {"signed", "VENUE_UNAVAILABLE"} <= seen, seen


@pytest.mark.parametrize(
    ("rate", "vaults", "said"),
    [
        (b"", (10**9, 10**9), "fee"),
        (bytes(19), (10**9, 10**9), "fee"),
        (struct.pack("<Q", 1_000_000).rjust(20, b"\0"), (10**9, 10**9), "fee"),
        (struct.pack("<Q", 2**64 - 1).rjust(20, b"\0"), (10**9, 10**9), "fee"),
        (struct.pack("<Q", 2_500).rjust(20, b"\0"), (10**9, 0), "empty"),
        (None, (10**9, 10**9), "configuration"),
    ],
)
def test_a_pool_that_says_nonsense_is_not_quoted(rate: bytes | None, vaults: tuple[int, int], said: str) -> None:
    keys = [Pubkey.new_unique() for _ in range(6)]
    layout = CPMM.layout(keys[0], bytes.fromhex("f7ede3f5d7c3de46") + bytes(629))
    layout = replace(layout, config=keys[1], sides=(Side(keys[2], keys[3], TOKEN), Side(keys[4], keys[5], TOKEN)))
    now = datetime.now(UTC)
    held = [Account(TOKEN, bytes(64) + struct.pack("<Q", amount), 0, now) for amount in vaults]
    accounts = {keys[3]: held[0], keys[5]: held[1]}
    accounts |= {} if rate is None else {keys[1]: Account(CPMM.program, rate, 0, now)}
    with pytest.raises(NotQuotable, match=said):
        pool_of(CPMM, layout, accounts, keys[2])
