"""New pools by subscription: told in their block, read as their program's sources lay them out, and never relied on."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Collection
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.factory import LATE_S
from routing.mock.tokens import REGISTRY, USDC
from routing.solana.addresses import pubkey
from routing.solana.launches import (
    ALL,
    METEORA_DAMM,
    METEORA_LB,
    RAYDIUM_AMM_V4,
    RAYDIUM_CLMM,
    RAYDIUM_CPMM,
    Shape,
)
from routing.solana.pool_index import PoolIndex
from routing.solana.pools import CPMM
from routing.solana.world import Access, SolanaWorld
from routing.tokens import Tokens
from routing.values import Pair, Token, VenueName
from routing.venues import METEORA, RAYDIUM
from tests.solana.stage import Stage, pair

LIMIT_S, LOCAL = 60, "http://127.0.0.1:9"
A, B, OTHER = (Keypair().pubkey() for _ in range(3))
OPENS = 1_790_000_000


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not met():
            await asyncio.sleep(0.01)


def packed(*fields: tuple[str, Any]) -> bytes:
    """Fields in the order of a program's source: a form of `struct`, an address, or bytes (a number of them, or the bytes)."""
    data = b""
    for form, value in fields:
        if isinstance(value, Pubkey) or form == "bytes":
            data += bytes(value)
        else:
            count = int(form[:-1] or 1)
            data += struct.pack(f"<{form}", *[value] * count)
    return data


KEY = ("key", OTHER)
FIXTURES: dict[str, tuple[Shape, bytes]] = {
    # raydium-amm, `AmmInfo`: status … orderbookToInitTime are 32 of u64, of which the 29th is when it opens.
    "Raydium AMM v4": (
        RAYDIUM_AMM_V4,
        packed(
            ("28Q", 6),
            ("Q", OPENS),
            ("3Q", 0),
            ("bytes", 16 + 16),
            ("Q", 0),
            ("bytes", 16 + 16),
            ("Q", 0),
            KEY,
            KEY,
            ("mint", A),
            ("mint", B),
            *[KEY] * 8,
            ("bytes", 752 - 464 - 8 * 32),
        ),
    ),
    # raydium-clmm, `PoolState`.
    "Raydium CLMM": (
        RAYDIUM_CLMM,
        packed(
            ("bytes", bytes.fromhex("f7ede3f5d7c3de46")),
            ("B", 254),
            KEY,
            KEY,
            ("mint", A),
            ("mint", B),
            KEY,
            KEY,
            KEY,
            ("2B", 6),
            ("H", 60),
            ("bytes", 16 + 16),
            ("i", -5),
            ("2H", 0),
            ("bytes", 16 + 16),
            ("2Q", 0),
            ("bytes", 4 * 16),
            ("B", 0),
            ("bytes", 7),
            # Three rewards: state, three times, two amounts, mint, vault, authority, growth.
            ("bytes", 3 * (1 + 3 * 8 + 16 + 2 * 8 + 3 * 32 + 16)),
            ("16Q", 0),
            ("4Q", 0),
            ("2Q", 0),
            ("Q", OPENS),
            ("Q", 1),
            ("24Q", 0),
            ("32Q", 0),
        ),
    ),
    # dlmm-sdk, `LbPair`.
    "Meteora DLMM": (
        METEORA_LB,
        packed(
            ("bytes", bytes.fromhex("210b3162b565b10d")),
            # Static parameters: four u16, two u32, two i32, a u16, padding.
            # Variable ones: two u32, an i32, padding, an i64, padding.
            ("4H", 1),
            ("2I", 1),
            ("2i", -1),
            ("H", 1),
            ("bytes", 6),
            ("2I", 1),
            ("i", 1),
            ("bytes", 4),
            ("q", 1),
            ("bytes", 8),
            ("B", 254),
            ("2B", 0),
            ("B", 0),
            ("i", 7),
            ("H", 25),
            ("2B", 0),
            ("2B", 0),
            ("B", 1),
            ("B", 0),
            ("mint", A),
            ("mint", B),
            KEY,
            KEY,
            ("2Q", 0),
            ("bytes", 32),
            ("bytes", 2 * (3 * 32 + 2 * 8 + 16 + 2 * 8)),
            KEY,
            ("16Q", 0),
            ("q", 0),
            ("bytes", 32),
            KEY,
            KEY,
            ("Q", OPENS),
            ("Q", 0),
            ("bytes", 8 + 8),
            KEY,
            ("bytes", 24),
        ),
    ),
}


@pytest.mark.parametrize("name", FIXTURES)
def test_a_pool_is_read_as_its_program_lays_it_out(name: str) -> None:
    shape, data = FIXTURES[name]
    assert (shape.label, shape.size) == (name, len(data))
    launch = shape.read(data)
    assert launch is not None and (launch.mints, launch.opens_at) == ((A, B), OPENS)
    assert shape.read(data[:-1]) is None and shape.read(data + b"\0") is None
    if shape.discriminator:
        assert shape.read(b"\0" + data[1:]) is None


def test_a_pool_that_opens_by_slot_says_no_time() -> None:
    _, data = FIXTURES["Meteora DLMM"]
    launch = METEORA_LB.read(data[:86] + b"\0" + data[87:])
    assert launch is not None and launch.opens_at == 0


@given(st.binary(max_size=64), st.sampled_from([shape for shapes in ALL.values() for shape in shapes]))
def test_no_bytes_are_too_odd(noise: bytes, shape: Shape) -> None:
    shape.read(noise)
    assert shape.read((shape.discriminator + noise).ljust(shape.size, b"\xff")[: shape.size]) is not None


class Waiting:
    """Somebody waits for a token that has no pool; polled by hand, and what is told is noted."""

    def __init__(self, stage: Stage, kind: str = "good", **options: Any) -> None:
        self.stage, self.mint = stage, str(Keypair().pubkey())
        stage.node.control("token", mint=self.mint, symbol=f"L{self.mint[:6]}", decimals=6, kind=kind)
        stage.node.tick()
        token = Token("L", self.mint, 6)
        self.pair = Pair(USDC, token)
        known = Tokens([*REGISTRY.tokens, token])
        self.world: SolanaWorld = stage.open(**({"tokens": lambda: known} | options))
        assert self.world.watch is not None
        self.watch = self.world.watch.launches
        self.told: list[tuple[str, VenueName, float]] = []

    def changed(self, changed: Pair, venue: VenueName) -> None:
        self.told.append((changed.name, venue, time.time()))

    def follow(self, pairs: Collection[Pair] | None = None) -> None:
        self.watch.follow([self.pair, self.pair.reverse, pair()] if pairs is None else pairs, self.changed)

    async def subscribed(self) -> None:
        # The pools of SOL are known by then, as after a poll.
        for name in (RAYDIUM, METEORA):
            await self.world.router.venue(name).tick(pair())
        self.follow()
        subscriptions = self.watch._subscriptions
        await until(lambda: self.watch._told and all(map(subscriptions.tells, self.watch._told)))

    def launch(self, venue: VenueName = RAYDIUM, **asked: Any) -> None:
        self.stage.node.control(
            "pool", **({"venue": venue, "base": self.mint, "quote": "USDC", "price": "0.1", "depth": "100000"} | asked)
        )
        self.stage.node.tick()


@pytest.fixture
async def waiting(stage: Stage) -> AsyncIterator[Waiting]:
    made = Waiting(stage)
    yield made
    await made.world.close()


@pytest.mark.parametrize("venue", [RAYDIUM, METEORA])
async def test_a_new_pool_is_told_in_its_block_and_found_without_a_look_at_all(
    waiting: Waiting, venue: VenueName, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting.subscribed()
    asked: list[str] = []
    read = waiting.world.nodes.read

    async def counted(type_: Any, method: str, *params: Any) -> Any:
        asked.append(method)
        return await read(type_, method, *params)

    monkeypatch.setattr(waiting.world.nodes, "read", counted)
    waiting.launch(venue)
    await until(lambda: len(waiting.told) >= 2)
    assert {told[:2] for told in waiting.told} == {(waiting.pair.name, venue), (waiting.pair.reverse.name, venue)}
    tick = await waiting.world.router.venue(venue).tick(waiting.pair.reverse)
    assert tick.price == Decimal("0.1") and "getProgramAccounts" not in asked


async def test_only_what_has_no_pool_is_subscribed_to_and_nothing_without_one(waiting: Waiting) -> None:
    await waiting.subscribed()
    assert len(waiting.watch._told) == 4, "two mints' places at two programs, and nothing of SOL"
    assert all(waiting.mint in each for each in waiting.watch._told)
    waiting.launch()
    await until(lambda: waiting.told)
    waiting.follow()
    assert len(waiting.watch._told) == 2, "at the other venue it is still waited for"
    waiting.follow([])
    await until(lambda: not waiting.watch._subscriptions.connected)


async def test_a_pool_that_opens_later_is_told_again_when_it_opens(stage: Stage) -> None:
    waiting = Waiting(stage, "late")
    try:
        await waiting.subscribed()
        waiting.launch()
        await until(lambda: waiting.told)
        first = waiting.told[-1][2]
        while len(waiting.told) < 4:
            waiting.follow()
            await asyncio.sleep(0.05)
            assert time.time() < first + LATE_S + LIMIT_S
        assert waiting.told[-1][2] > first + LATE_S - 2
        assert (await waiting.world.router.venue(RAYDIUM).tick(waiting.pair)).price > 0
    finally:
        await waiting.world.close()


async def test_a_pool_of_other_tokens_is_not_told(waiting: Waiting) -> None:
    await waiting.subscribed()
    other = str(Keypair().pubkey())
    waiting.stage.node.control("token", mint=other, symbol=f"O{other[:6]}", decimals=6)
    waiting.launch(base=other)
    waiting.launch(quote="SOL", price="0.001", depth="100")
    await asyncio.sleep(0.3)
    assert waiting.told == []


async def test_what_is_no_account_or_another_program_s_is_not_told(waiting: Waiting) -> None:
    await waiting.subscribed()
    [asked, *_] = waiting.watch._told
    context = {"slot": 1}
    foreign = {"pubkey": str(OTHER), "account": {"owner": str(OTHER), "data": ["", "base64"]}}
    for said in (None, {}, {"context": context, "value": None}, {"context": context, "value": foreign}):
        waiting.watch._notified(asked, said)
    broken = {"pubkey": "?", "account": {"owner": str(RAYDIUM_CPMM.program), "data": ["%", "base64"]}}
    waiting.watch._notified(asked, {"context": context, "value": broken})
    waiting.watch._notified("nothing that was asked", {})
    assert waiting.told == []


async def test_named_pools_are_all_there_are_and_a_server_has_more(stage: Stage) -> None:
    named = Waiting(stage, pools=[str(OTHER)])
    served = Waiting(
        stage, access=Access(modes={RAYDIUM: "http", METEORA: "direct"}, raydium_url=LOCAL, jupiter_url=LOCAL)
    )
    try:
        named.follow()
        assert not named.watch._told
        served.follow([served.pair])
        labels = {(venue, shape.label) for venue, shape, _ in served.watch._told.values()}
        assert labels == {*((RAYDIUM, shape.label) for shape in ALL[RAYDIUM]), (METEORA, METEORA_DAMM.label)}
    finally:
        await named.world.close()
        await served.world.close()


async def test_whoever_polls_no_more_is_told_no_more(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    await waiting.subscribed()
    monkeypatch.setattr(waiting.watch, "_until", time.monotonic() - 1)
    waiting.launch()
    await until(lambda: not waiting.watch._subscriptions.connected)
    assert waiting.told == []


async def test_a_new_pool_is_none_of_the_named_ones(stage: Stage) -> None:
    mints, new = (pubkey(USDC.mint), OTHER), Keypair().pubkey()
    for named, known in (([str(OTHER)], False), (None, True)):
        index = PoolIndex(stage.world.nodes, stage.world.accounts, CPMM, named)
        index.add(new, mints)
        assert index.knows(*mints) is known
