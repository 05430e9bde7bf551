"""Prices of a chain, on a local Solana: how many pairs a poll asks for, and how soon a moved pool becomes an order.

A crossing: a limit rests, a swap moves both pools past it. Measured from the moment at which a subscriber of our own is told of
the block, to BEST in Redis, to the transaction of the order, which is committed and sent at once; with the node's subscriptions
and by polling alone. All of it, the chain included, is on this machine.
"""

import asyncio
import json
import random
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import redis
from solders.pubkey import Pubkey
from websockets.sync.client import connect

from benchmarks.engines import BenchEngine, running
from benchmarks.figures import Figure, percentile
from localnet.accounts import config_of
from localnet.formats import CPMM
from localnet.genesis import TOKENS
from routing.mock.tokens import REGISTRY
from routing.poller import Poller
from routing.solana.world import solana_world
from routing.tokens import Tokens
from routing.values import Pair, Token
from tests.localnet.node import Localnet

PAIR = "SOL-USDC"
REST, LIMIT, CROSSED = "100", "104", "108"
LIMIT_S = 60.0
SETTLED_S = 1.2
"""Until the poll has seen the waiting order and its pools are subscribed to; a random part of a poll's period comes on top."""


def run(quick: bool) -> list[Figure]:
    figures = polled(20 if quick else 100)
    for told in (True, False):
        figures += crossings(5 if quick else 40, told=told)
    return figures


def polled(tokens: int) -> list[Figure]:
    """Of one poll in a process of its own that has read the pools before."""
    node = Localnet(hold="").start()
    try:
        made = [_listed(node, n) for n in range(tokens)]
        node.tick()
        found = asyncio.run(_poll(node, made))
    finally:
        node.stop()
        shutil.rmtree(node.folder, ignore_errors=True)
    what = f"localnet: a poll of {found['pairs']:,.0f} pairs at two venues, {found['pools']:,.0f} pools"
    return [
        Figure("prices.pairs", "localnet: pairs in a poll that are priced", found["priced"], at_least=found["pairs"]),
        Figure("prices.poll.requests", f"{what}: requests to nodes", found["requests"]),
        Figure("prices.poll.ms", f"{what}: takes, p50", found["ms"], "ms", at_most=300),
        Figure("prices.poll.cpu", f"{what}: CPU of the poller a pair", 1000 * found["cpu_ms"] / found["pairs"], "µs"),
    ]


def _listed(node: Localnet, n: int) -> Token:
    mint = str(Pubkey.from_bytes(b"bench" + n.to_bytes(27, "big")))
    node.control("token", mint=mint, symbol=f"B{n}", decimals=6)
    for venue in ("RAYDIUM", "METEORA"):
        node.control("pool", venue=venue, base=mint, quote="USDC", price="2", depth="100000")
    return Token(f"B{n}", mint, 6)


async def _poll(node: Localnet, made: list[Token]) -> dict[str, float]:
    tokens = Tokens([*REGISTRY.tokens, *made])
    genesis = node.addresses["genesisHash"]
    world = solana_world(
        [node.addresses["rpcUrl"]],
        genesis_hash=genesis,
        tokens=lambda: tokens,
        deadline_ms=5_000,
        max_age_ms=60_000,
        watch_vaults=False,
    )
    requests, read = [0], world.nodes.read

    async def counted(*asked: Any) -> Any:
        requests[0] += 1
        return await read(*asked)

    world.nodes.read = counted  # type: ignore[method-assign]
    both = [(token.mint, "USDC") for token in made] + [("USDC", token.mint) for token in made]
    pairs: list[Pair] = [pair for two in both if (pair := tokens.pair(*two)) is not None]
    poller = Poller(world.router, deadline_ms=5_000)
    took, cpu, asked, priced = [], [], [], 0
    try:
        for n in range(12):
            await asyncio.sleep(0.5)
            before, began, began_cpu = requests[0], time.perf_counter(), time.process_time()
            markets = await poller.poll(pairs)
            if n < 2:
                continue  # It looks for the pools first.
            took.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - began_cpu))
            asked.append(requests[0] - before)
            priced = sum(market.best is not None and len(market.ticks) == 2 for market in markets)
    finally:
        await world.close()
    return {
        "pairs": len(pairs),
        "pools": 2 * len(made),
        "priced": priced,
        "requests": percentile(asked, 50),
        "ms": percentile(took, 50),
        "cpu_ms": percentile(cpu, 50),
    }


def crossings(count: int, *, told: bool) -> list[Figure]:
    rng = random.Random(1)
    with running(EXECUTION_MODE="localnet", VAULT_SUBSCRIPTIONS=str(told).lower()) as engine, Crossing(engine) as bench:
        bench.move(REST)
        times = [bench.cross(SETTLED_S + rng.random() / 2) for _ in range(count)]
    name, how = ("told", "told by the node") if told else ("polled", "by polling alone")
    best, sent = ([1000 * each[n] for each in times] for n in (0, 1))
    return [
        Figure(f"prices.{name}.best.p50", f"localnet: block to BEST written, {how}, p50", percentile(best, 50), "ms"),
        Figure(f"prices.{name}.best.p99", f"localnet: block to BEST written, {how}, p99", percentile(best, 99), "ms"),
        Figure(f"prices.{name}.sent.p50", f"localnet: block to order sent, {how}, p50", percentile(sent, 50), "ms"),
        Figure(f"prices.{name}.sent.p99", f"localnet: block to order sent, {how}, p99", percentile(sent, 99), "ms"),
    ]


class Crossing:
    """A market that is moved, and who looks on: at the chain, at Redis, at Postgres. One clock, as it is one machine."""

    def __init__(self, engine: BenchEngine) -> None:
        self._engine = engine
        found = engine.engine.localnet
        self._api = httpx.Client(
            base_url=engine.engine.url, headers={"Authorization": f"Bearer {engine.key}"}, timeout=30, trust_env=False
        )
        self._control = httpx.Client(base_url=found["controlUrl"], timeout=30, trust_env=False)
        self._redis: redis.Redis = redis.Redis.from_url(engine.engine.services["redisUrl"], decode_responses=True)
        pool = CPMM.pool(config_of(CPMM), TOKENS["SOL"].mint, TOKENS["USDC"].mint)
        self._socket = connect(found["wsUrl"])
        vault = str(CPMM.vault(pool, TOKENS["SOL"].mint))
        asked = {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [vault, {"encoding": "base64"}]}
        self._socket.send(json.dumps(asked))
        self._socket.recv(timeout=LIMIT_S)

    def __enter__(self) -> "Crossing":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._api, self._control, self._redis, self._socket):
            each.close()

    def move(self, price: str) -> float:
        """When we were told of the block that moved the pool."""
        with_hold = {"base": "SOL", "quote": "USDC", "price": price, "hold": True}
        while self._told(0):
            pass
        self._control.post("/market", json=with_hold).raise_for_status()
        assert self._told(LIMIT_S), "the pool does not move"
        return time.time()

    def _told(self, timeout_s: float) -> bool:
        try:
            self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return False
        return True

    def cross(self, wait_s: float) -> tuple[float, float]:
        """Seconds from the block to BEST, and to the transaction of the order."""
        order = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "0.01", "type": "limit", "limitPrice": LIMIT}
        placed = self._api.post("/api/orders/execute", json=order).raise_for_status().json()["orderId"]
        time.sleep(wait_s)
        block = self.move(CROSSED)
        written = until(self._best)
        sent = until(lambda: self._sent(placed))
        self._engine.until_finished()
        self.move(REST)
        until(lambda: not self._best())
        return written - block, sent - block

    def _best(self) -> float | None:
        net, written = self._redis.hmget(f"quotes:{PAIR}:BEST", "net_price", "written_at")
        return int(written) / 1000 if net and written and Decimal(net) >= Decimal(LIMIT) else None

    def _sent(self, order_id: str) -> float | None:
        found = self._engine.rows(
            "SELECT at FROM orders_orderevent WHERE order_id = %s AND status = 'submitted' ORDER BY seq LIMIT 1",
            order_id,
        )
        at: datetime | None = found[0][0] if found else None
        return at.timestamp() if at else None


def until(found: Callable[[], Any]) -> Any:
    ends = time.monotonic() + LIMIT_S
    while time.monotonic() < ends:
        if answer := found():
            return answer
        time.sleep(0.001)
    raise RuntimeError("in vain")
