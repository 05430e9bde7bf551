"""Vaults of pools by subscription: told in the block that changed them, alike to what a poll reads, and never relied on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest
from aiohttp import ClientSession, WSMsgType, web

from routing.mock.tokens import REGISTRY
from routing.solana import vault_watch
from routing.solana.accounts import MAX_ADDRESSES, parts
from routing.solana.addresses import pubkey
from routing.solana.subscriptions import ACCOUNTS, Subscriptions
from routing.solana.vault_watch import VaultWatch
from routing.values import Pair, Tick, VenueName
from routing.venues import METEORA, RAYDIUM
from tests.localnet.node import Localnet
from tests.solana.stage import Stage, pair

LIMIT_S = 60
BOTH = [pair("SOL-USDC"), pair("USDC-SOL")]


async def until(met: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not met():
            await asyncio.sleep(0.01)


class Follower:
    """Polls by hand and notes what it is told."""

    def __init__(self, stage: Stage, watch: VaultWatch | None = None) -> None:
        self.stage, self.told = stage, list[tuple[str, VenueName]]()
        assert stage.world.watch is not None
        self.watch = watch or stage.world.watch.vaults

    def changed(self, changed: Pair, venue: VenueName) -> None:
        self.told.append((changed.name, venue))

    async def poll(self, pairs: Collection[Pair] = BOTH, names: Collection[VenueName] = (RAYDIUM, METEORA)) -> None:
        for each in pairs:
            for name in names:
                await self.stage.venue(name).tick(each)
        self.watch.follow(pairs, self.changed)

    async def subscribed(self, pairs: Collection[Pair] = BOTH) -> None:
        await self.poll(pairs)
        subscriptions = self.watch._subscriptions
        await until(lambda: self.watch._of and all(map(subscriptions.tells, self.watch._of)))

    def move(self, price: str, base: str = "SOL", venue: str = "RAYDIUM") -> None:
        """By a swap, in one block."""
        self.stage.node.control("pool", venue=venue, base=base, quote="USDC", price=price)
        self.stage.node.tick()


@pytest.fixture
async def follower(stage: Stage) -> AsyncIterator[Follower]:
    made = Follower(stage)
    yield made
    stage.price(Decimal(150))
    stage.node.tick()


async def reread(stage: Stage, of: str, name: VenueName) -> Tick:
    """As a poll of another process sees it."""
    world = stage.open()
    try:
        return await world.router.venue(name).tick(pair(of))
    finally:
        await world.close()


async def test_a_pool_is_told_in_its_block_and_its_price_needs_no_request(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follower.subscribed()
    stage, before = follower.stage, await follower.stage.venue(RAYDIUM).tick(pair())
    asked: list[str] = []
    read = stage.world.nodes.read

    async def counted(type_: Any, method: str, *params: Any) -> Any:
        asked.append(method)
        return await read(type_, method, *params)

    follower.move("151")
    await until(lambda: follower.told)
    monkeypatch.setattr(stage.world.nodes, "read", counted)
    # Both directions of the pool, at its venue alone.
    assert set(follower.told) == {("SOL-USDC", RAYDIUM), ("USDC-SOL", RAYDIUM)}
    now = {name: await stage.venue(RAYDIUM).tick(pair(name)) for name in ("SOL-USDC", "USDC-SOL")}
    assert asked in ([], ["getMultipleAccounts"]), "nothing but the pool's own account, which is read every two seconds"
    assert now["SOL-USDC"].price > before.price
    for name, tick in now.items():
        polled = await reread(stage, name, RAYDIUM)
        assert (tick.price, tick.fee_bps, tick.liquidity) == (polled.price, polled.fee_bps, polled.liquidity)


async def test_only_followed_pairs_are_subscribed_to_and_nothing_is_open_without_one(follower: Follower) -> None:
    await follower.subscribed([pair("SOL-USDC")])
    subscriptions = follower.watch._subscriptions
    assert len(follower.watch._of) == 4 and subscriptions.connected, "two vaults at two venues"
    follower.move("0.9", "JUP")
    follower.move("152")
    await until(lambda: follower.told)
    assert {name for name, _ in follower.told} == {"SOL-USDC"}
    await follower.poll([])
    await until(lambda: not subscriptions.connected)
    follower.told.clear()
    follower.move("153")
    await asyncio.sleep(0.2)
    assert follower.told == []
    await follower.subscribed()
    follower.move("154")
    await until(lambda: follower.told)


async def test_another_pair_is_unsubscribed_from_while_one_stays(follower: Follower) -> None:
    await follower.subscribed([pair("SOL-USDC"), pair("JUP-USDC")])
    subscriptions = follower.watch._subscriptions
    gone = set(follower.watch._of)
    await follower.poll([pair("SOL-USDC")])
    gone -= set(follower.watch._of)
    assert len(gone) == 4
    await until(lambda: not gone & subscriptions._known.keys())
    assert len(subscriptions._numbers) == 4


async def test_who_has_stopped_polling_is_told_no_more(stage: Stage) -> None:
    clock = [0.0]
    watch = VaultWatch(
        [stage.node.addresses["wsUrl"]],
        stage.world.accounts,
        {RAYDIUM: stage.venue(RAYDIUM).vaults},  # type: ignore[attr-defined]
        now=lambda: clock[0],
    )
    follower = Follower(stage, watch)
    try:
        await follower.subscribed()
        clock[0] = vault_watch.FOLLOWED_S + 0.1
        follower.move("155")
        await until(lambda: not watch._subscriptions.connected)
        assert follower.told == []
    finally:
        await watch.close()
        stage.price(Decimal(150))
        stage.node.tick()


async def test_one_vault_alone_makes_no_price(follower: Follower) -> None:
    """A gift to one vault, and a notification that overtakes the other one: both are read as of one slot."""
    await follower.subscribed()
    stage, watch = follower.stage, follower.watch
    (vaults, *_) = [each for each, pool in watch._pools.items() if (pair(), RAYDIUM) in pool.told]
    known = [stage.world.accounts.peek(vault) for vault in vaults]
    account = known[0]
    assert account is not None
    slot = stage.node.rpc("getSlot", {"commitment": "processed"})
    wrong = account.data[:64] + (1).to_bytes(8, "little") + account.data[72:]
    watch._notified(str(vaults[0]), told(account, wrong, slot))
    assert [stage.world.accounts.peek(vault) for vault in vaults] == known, "the other one is of an older slot"
    await until(lambda: follower.told)
    tick = await stage.venue(RAYDIUM).tick(pair())
    assert tick.price == (await reread(stage, "SOL-USDC", RAYDIUM)).price


def told(account: Any, data: bytes, slot: int) -> Any:
    import base64

    value = {"data": [base64.b64encode(data).decode(), "base64"], "owner": str(account.owner), "lamports": 1}
    return {"context": {"slot": slot}, "value": value}


@pytest.mark.parametrize(
    "said",
    [
        None,
        7,
        {"context": {"slot": "x"}, "value": None},
        {"context": {"slot": 1}, "value": None},
        {"context": {"slot": 1}, "value": {"data": [], "owner": "", "lamports": 0}},
        {"context": {"slot": 1}, "value": {"data": ["", "base64"], "owner": "nobody", "lamports": 0}},
        {"context": {"slot": 1}, "value": {"data": ["%%%", "base64"], "owner": "1" * 32, "lamports": 0}},
        {"context": {"slot": 1}, "value": {"data": ["AAA", "base64"], "owner": "1" * 32, "lamports": 0}},
    ],
)
async def test_nonsense_of_a_node_changes_nothing(follower: Follower, said: Any) -> None:
    await follower.subscribed()
    watch, accounts = follower.watch, follower.stage.world.accounts
    known = {vault: accounts.peek(pubkey(vault)) for vault in watch._of}
    slot = follower.stage.node.rpc("getSlot", {"commitment": "processed"})
    for vault in known:
        watch._notified(vault, said)
        if isinstance(said, dict):
            watch._notified(vault, said | {"context": {"slot": slot}})
    watch._notified("somebody else's", said)
    for vault, account in known.items():
        now = accounts.peek(pubkey(vault))
        assert account is not None and now is not None and now.data == account.data
    assert (await follower.stage.venue(RAYDIUM).tick(pair())).price > 0


async def test_a_slot_that_is_far_ahead_is_none(follower: Follower) -> None:
    """What is kept under it would outlive every later answer of the nodes."""
    await follower.subscribed()
    watch, stage = follower.watch, follower.stage
    (vaults, *_) = [each for each, pool in watch._pools.items() if (pair(), RAYDIUM) in pool.told]
    for vault in vaults:
        account = stage.world.accounts.peek(vault)
        assert account is not None
        watch._notified(str(vault), told(account, account.data[:64] + bytes([1] * 8) + account.data[72:], 10**9))
    tick = await stage.venue(RAYDIUM).tick(pair())
    assert tick.price == (await reread(stage, "SOL-USDC", RAYDIUM)).price


class Mute:
    """A node's socket that takes subscriptions, answers pings, and tells nothing."""

    def __init__(self) -> None:
        self.subscribed = 0

    async def start(self) -> str:
        app = web.Application()
        app.router.add_get("/", self.serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"ws://{host}:{port}/"

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = msgspec.json.decode(message.data)
                self.subscribed += 1
                await socket.send_json({"jsonrpc": "2.0", "id": asked["id"], "result": self.subscribed})
        return socket

    async def stop(self) -> None:
        await self._runner.cleanup()


async def test_a_subscription_that_dies_silently_is_noticed_by_the_poll_and_made_elsewhere(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_watch, "SILENT_S", 0.3)
    mute = Mute()
    watch = VaultWatch(
        [await mute.start(), stage.node.addresses["wsUrl"]],
        stage.world.accounts,
        {RAYDIUM: stage.venue(RAYDIUM).vaults},  # type: ignore[attr-defined]
    )
    follower = Follower(stage, watch)
    try:
        await follower.subscribed()
        assert mute.subscribed == 2
        before = await stage.venue(RAYDIUM).tick(pair())
        follower.move("160")
        ends = time.monotonic() + LIMIT_S
        while mute.subscribed and time.monotonic() < ends:
            await asyncio.sleep(0.1)
            await follower.poll(names=(RAYDIUM,))
            if (await stage.venue(RAYDIUM).tick(pair())).price > before.price:
                break
        assert (await stage.venue(RAYDIUM).tick(pair())).price > before.price, "the poll sees it all the same"
        assert follower.told == []

        async def elsewhere() -> None:
            while not (watch._subscriptions.connected and watch._subscriptions._numbers and not mute_serves()):
                await follower.poll(names=(RAYDIUM,))
                await asyncio.sleep(0.1)

        def mute_serves() -> bool:
            socket = watch._subscriptions._socket
            peer = socket.get_extra_info("peername") if socket is not None else None
            return peer is None or f":{peer[1]}/" in watch._subscriptions._urls[0]

        await asyncio.wait_for(elsewhere(), LIMIT_S)
        await follower.subscribed()
        follower.move("161")
        await until(lambda: follower.told)
    finally:
        await watch.close()
        await mute.stop()
        stage.price(Decimal(150))
        stage.node.tick()


async def test_a_node_that_comes_back_is_subscribed_to_again(start_localnet: Any) -> None:
    node: Localnet = start_localnet(hold="")
    stage = Stage(node)
    follower = Follower(stage)
    try:
        await follower.subscribed()
        socket = follower.watch._subscriptions._socket
        assert socket is not None
        await socket.close()
        await until(lambda: not follower.watch._subscriptions.connected)
        await follower.subscribed()
        follower.move("149")
        await until(lambda: follower.told)
    finally:
        await stage.world.close()


def test_what_is_asked_for_together_is_told_by_one_call() -> None:
    addresses = [pubkey(token.mint) for token in REGISTRY.tokens]
    one, two = addresses[0], addresses[1]
    many = [pubkey_of(n) for n in range(3 * MAX_ADDRESSES)]
    vaults = [[many[n], many[n + 1]] for n in range(0, len(many), 2)]
    calls = parts([[one], *vaults, [one, two], vaults[0]])
    assert sorted(map(str, (each for call in calls for each in call))) == sorted(map(str, {one, two, *many}))
    assert all(len(call) <= MAX_ADDRESSES for call in calls) and len(calls) == 4
    assert all(any(set(vault) <= set(call) for call in calls) for vault in vaults)
    assert [len(call) for call in parts([many])] == [MAX_ADDRESSES] * 3


def pubkey_of(n: int) -> Any:
    from solders.pubkey import Pubkey

    return Pubkey.from_bytes(n.to_bytes(32, "big"))


async def test_a_socket_that_ends_leaves_its_successor_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket:
        closed = False

        async def __aenter__(self) -> "Socket":
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing to close."""

        async def __aiter__(self) -> AsyncIterator[Any]:
            watch._socket = newer  # Of a task that has begun meanwhile.
            for nothing in ():
                yield nothing

    watch, newer = Subscriptions(["ws://127.0.0.1:9"], ACCOUNTS, lambda what, result: None), cast(Any, Socket())
    monkeypatch.setattr(ClientSession, "ws_connect", lambda *_, **__: Socket())
    running = asyncio.create_task(watch._run())
    await until(lambda: watch._socket is newer)
    await asyncio.sleep(0.05)
    assert watch._socket is newer and watch.connected
    running.cancel()
