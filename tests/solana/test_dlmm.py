"""Meteora's DLMM pools by their accounts: a captured pool of SOL and USDC, with what its program paid."""

import base64
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from importlib import resources
from typing import Any

import httpx
import msgspec
import pytest
from solders.account import Account
from solders.pubkey import Pubkey

from localnet.accounts import token_account
from routing.permits import Permit, Permits
from routing.solana.launches import METEORA_LB
from routing.solana.venues.dlmm import DlmmPools
from routing.solana.venues.dlmm_pool import array_of
from routing.solana.world import Access
from routing.values import Fate
from routing.venue import QuoteDeviates, VenueError, VenueNotPermitted, VenueUnavailable
from routing.venues import METEORA
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair
from tests.solana.test_over_http import access
from tests.solana.vendor_server import VendorServer

CAPTURED: Any = json.loads(resources.files("meteora_dlmm").joinpath("_reference.json").read_text())
POOL = Pubkey.from_string(CAPTURED["pool"])
DATA = base64.b64decode(CAPTURED["lbPairB64"])
RESERVES = [Pubkey.from_bytes(DATA[at : at + 32]) for at in (152, 184)]
HELD = 40_000 * 10**9, 3_000_000 * 10**6


def accounts() -> dict[str, tuple[bytes, Pubkey]]:
    """Address → (data, owner) of the pool and what belongs to it."""
    found = {CAPTURED["pool"]: (DATA, METEORA_LB.program)}
    found |= {each["pubkey"]: (base64.b64decode(each["data"]), METEORA_LB.program) for each in CAPTURED["binArraysB64"]}
    for address, token, amount in zip(RESERVES, (pair().token_in, pair().token_out), HELD, strict=True):
        made: Account = token_account(Pubkey.from_string(token.mint), POOL, amount)
        found[str(address)] = bytes(made.data), made.owner
    return found


class WithPool:
    """A node that knows the captured pool, and passes everything else on to the localnet."""

    def __init__(self, node: Localnet, server: VendorServer) -> None:
        self.url, self._root, self.held = server.url, node.addresses["rpcUrl"], accounts()
        self.lists = True
        # More than are read, and the deepest one last.
        self.named = [*(str(Pubkey.new_unique()) for _ in range(20)), CAPTURED["pool"]]
        # Loading certificates takes longer than a call.
        self._client = httpx.Client(verify=False, trust_env=False)  # noqa: S501
        server.answers["/"] = self._answer

    def close(self) -> None:
        self._client.close()

    def _answer(self, request: Any, body: bytes) -> tuple[int, Any, dict[str, str]]:
        calls = msgspec.json.decode(body)
        answers = self._client.post(self._root, content=body, headers={"content-type": "application/json"}).json()
        listed = (calls, answers) if isinstance(calls, list) else ([calls], [answers])
        for call, answer in zip(*listed, strict=True):
            if call["method"] == "getMultipleAccounts":
                for place, address in enumerate(call["params"][0]):
                    if address in self.held:
                        data, owner = self.held[address]
                        raw = {"data": [base64.b64encode(data).decode(), "base64"], "owner": str(owner), "lamports": 1}
                        answer["result"]["value"][place] = raw
            elif call["method"] == "getProgramAccounts" and not self.lists:
                answer.pop("result")
                answer["error"] = {"code": -32010, "message": "excluded from account secondary indexes"}
            elif call["method"] == "getProgramAccounts" and call["params"][0] == str(METEORA_LB.program):
                at, mint = call["params"][1]["filters"][1]["memcmp"].values()
                mine = DATA[at : at + 32] == bytes(Pubkey.from_string(mint))
                answer["result"] = [{"pubkey": each, "account": {}} for each in self.named if mine]
        return 200, answers, {}


@pytest.fixture
async def knowing(node: Localnet) -> AsyncIterator[WithPool]:
    async with VendorServer() as server:
        made = WithPool(node, server)
        yield made
        made.close()


@pytest.fixture
async def stage(node: Localnet, knowing: WithPool) -> AsyncIterator[Stage]:
    """Everything over HTTP, with the pools read."""
    from_vendors: Access = access(node, "http", dlmm=True)
    made = Stage(node, [knowing.url], access=from_vendors, watch_vaults=False)
    yield made
    await made.world.close()


@pytest.fixture
def pools(stage: Stage) -> DlmmPools:
    """At the moment of the capture."""
    return DlmmPools(stage.world.nodes, stage.world.accounts, now=lambda: CAPTURED["clockTs"])


EVERYTHING = Permits()


async def quoted(pools: DlmmPools, units: int, permits: Permits = EVERYTHING) -> Any:
    amount = Decimal(units).scaleb(-9)
    return await pools.quote(pair(), amount, units, permits.at(pair(), METEORA), METEORA)


def test_an_array_is_where_the_program_keeps_it() -> None:
    package_s = {each["pubkey"] for each in CAPTURED["binArraysB64"]}
    indexes = [
        int.from_bytes(base64.b64decode(each["data"])[8:16], "little", signed=True) for each in CAPTURED["binArraysB64"]
    ]
    assert {str(array_of(POOL, index)) for index in indexes} == package_s


async def test_a_quote_is_what_the_program_paid_to_the_base_unit(pools: DlmmPools) -> None:
    told = 0
    for each in CAPTURED["results"][:3]:
        quote = await quoted(pools, int(each["inAmount"]))
        assert quote is not None and quote.amount_out == Decimal(each["outAmount"]).scaleb(-6), each
        assert quote.cached and quote.venue == METEORA
        told += quote.impact_bps > 0
    assert told, "a larger amount pays worse"
    assert await quoted(pools, 10**17) is None, "more than lies in the bins that are known"


async def test_a_tick_is_the_active_bin_s_price(pools: DlmmPools) -> None:
    tick = await pools.tick(pair(), EVERYTHING.at(pair(), METEORA), METEORA)
    assert tick is not None and abs(tick.price - Decimal("79.1")) < Decimal("0.1")
    assert tick.liquidity == 3_000_000 and 0 < tick.fee_bps < 20
    back = await pools.tick(pair("USDC-SOL"), EVERYTHING.at(pair("USDC-SOL"), METEORA), METEORA)
    assert back is not None and abs(back.price * tick.price - 1) < Decimal("1e-20") and back.liquidity == tick.liquidity
    assert await pools.tick(pair("JUP-USDC"), EVERYTHING.at(pair("JUP-USDC"), METEORA), METEORA) is None


async def test_a_closed_pool_and_one_that_is_not_permitted_are_not_quoted(pools: DlmmPools, knowing: WithPool) -> None:
    mints = pair().token_in.mint, pair().token_out.mint

    def only(pool: str = "", least: str = "0") -> Permits:
        return Permits([(*mints, Permit(METEORA, pool, Decimal(least)))])

    assert await quoted(pools, 10**9, only(CAPTURED["pool"])) is not None
    assert await quoted(pools, 10**9, only(str(Pubkey.new_unique()))) is None
    assert await quoted(pools, 10**9, only(least="3000001")) is None
    with pytest.raises(VenueNotPermitted):
        await quoted(pools, 10**9, Permits([(*mints, Permit("RAYDIUM"))]))
    closed = bytearray(DATA)
    closed[82] = 1
    knowing.held[CAPTURED["pool"]] = bytes(closed), METEORA_LB.program
    pools._accounts.forget()
    assert await quoted(pools, 10**9) is None


async def test_bytes_that_are_no_pool_are_no_unhandled_error(pools: DlmmPools, knowing: WithPool) -> None:
    draw, good, seen = random.Random(23), accounts(), set[str]()
    for _ in range(60):
        knowing.held = dict(good)
        for address in draw.sample(list(good), 2):
            data, owner = good[address]
            changed = bytearray(data[: draw.choice([len(data), len(data), draw.randrange(len(data))])])
            if changed:
                at = draw.randrange(min(200, len(changed)))
                changed[at : at + 8] = draw.choice([bytes(8), b"\xff" * 8, draw.randbytes(8)])
            knowing.held[address] = bytes(changed), owner
        pools._accounts.forget()
        try:
            quote = await quoted(pools, 10**9)
            tick = await pools.tick(pair(), EVERYTHING.at(pair(), METEORA), METEORA)
        except VenueError as error:
            seen.add(error.code)
            continue
        assert quote is None or quote.amount_out > 0
        assert tick is None or tick.price > 0
        seen.add("none" if quote is None else "quoted")
    assert {"none", "quoted"} <= seen, seen


async def test_a_quote_needs_no_vendor(node: Localnet, knowing: WithPool) -> None:
    nobody = replace(access(node, "http", dlmm=True), jupiter_url="http://127.0.0.1:9")
    stage = Stage(node, [knowing.url], access=nobody, watch_vaults=False)
    quote, tick = await stage.quote("1", METEORA), await stage.venue(METEORA).tick(pair())
    assert abs(quote.amount_out - tick.net_price) < Decimal("0.1")
    with pytest.raises(VenueUnavailable):
        await stage.build(name=METEORA)
    await stage.world.close()


async def test_its_swap_is_the_vendor_s_and_bounded_by_what_he_offers_then(stage: Stage) -> None:
    quote = await stage.quote("1", METEORA)
    assert abs(quote.amount_out - Decimal("79.1")) < Decimal("0.2")
    swap = await stage.build("order-dlmm", name=METEORA)
    assert swap.min_out > 148, "the localnet's own pool pays 149.7"
    await stage.venue(METEORA).submit(swap)
    status = await stage.settled(swap)
    assert status.fate is Fate.LANDED and status.fill is not None and status.fill.amount_out > 149
    stage.price(Decimal(50))
    stage.venue(METEORA)._offers.clear()  # type: ignore[attr-defined]
    with pytest.raises(QuoteDeviates):
        await stage.build("order-deviates", name=METEORA)


async def test_where_a_node_lists_no_pools_the_vendor_is_asked(stage: Stage, knowing: WithPool) -> None:
    knowing.lists = False
    assert (await stage.quote("1", METEORA)).amount_out > 149
    assert (await stage.venue(METEORA).tick(pair())).price > 149
