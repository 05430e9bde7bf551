"""Clients as they should be: they retry with their key, resume their sockets, and write everything down.

Each request is an operation that ended `ok`, `failed` (certainly nothing happened) or `unknown`, as Jepsen has it.
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.following import Stream, ask_until_taken, follow
from tests.chaos.plan_load import PlanClients
from tests.waiting import Stalls

FINAL = ("confirmed", "failed", "cancelled", "expired")
REQUEST_TIMEOUT_S = 5.0
POOLS = 32
PAIRS = (("SOL", "USDC"), ("USDC", "SOL"))
LIMIT = {"type": "limit", "allowFarPrice": True}
MARKET: dict[str, Any] = {}
OUT_OF_REACH = LIMIT | {"limitPrice": "1000000"}
KINDS: tuple[tuple[dict[str, Any], int], ...] = (
    (MARKET, 70),
    (LIMIT | {"limitPrice": "0.000001"}, 14),
    ({"type": "sniper", "trigger": {"kind": "liquidity", "minLiquidity": "1"}}, 8),
    (OUT_OF_REACH, 8),
)
"""What is ordered, and how often in a hundred. The middle ones rest until the next tick; the last until it is cancelled."""
PLANS_OF_A_HUNDRED = 7
"""Of what is asked for; each has three orders or so."""


@dataclass(slots=True)
class Operation:
    key: str
    started: float
    seconds: float
    """Beyond what this process itself was kept waiting for."""
    outcome: str
    status: int | None
    order_id: str | None


class Load:
    """Clients at `rate` orders a second until `stop`; `flaky` is the part of sockets that are dropped in between."""

    def __init__(
        self, url: str, ws_url: str, key: str | None, name: str, rng: random.Random, *, rate: float, flaky: float = 0.2
    ) -> None:
        self._url, self._ws_url = url, ws_url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._name, self._rng = name, rng
        self._rate, self._flaky = rate, flaky
        # httpx looks at every connection of a pool for each request: with one pool the hundreds of clients that wait out a long
        # outage would take the whole core, and count their own queue as the engine's.
        self._pools = [httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S, verify=False) for _ in range(POOLS)]
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalls = Stalls()
        self._stopped = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self.operations: list[Operation] = []
        self.orders: dict[str, set[str]] = {}
        """Key → the orders it was answered with: one, or the promise is broken."""
        self.streams: dict[str, Stream] = {}
        self.abandoned: list[str] = []
        self._count = self._asked = 0
        self.plans = PlanClients(url, ws_url, self._headers, random.Random(rng.random()), lambda: self._pool)

    @property
    def _pool(self) -> httpx.AsyncClient:
        self._asked += 1
        return self._pools[self._asked % POOLS]

    @property
    def stalled(self) -> float:
        """Seconds so far that the machine kept this process from its work for."""
        return self._stalls.seconds

    def start(self) -> None:
        self._stalls.start()
        self._runner = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """No new orders; those under way go on."""
        self._stopped.set()
        if self._runner is not None:
            await self._runner

    async def settle(self, limit_s: float) -> None:
        """Waits until every client has what it waits for, those that get their order only now included, or the time is up."""
        ends = time.monotonic() + limit_s
        while self._tasks and time.monotonic() < ends:
            await asyncio.wait(tuple(self._tasks), timeout=ends - time.monotonic())

    async def close(self) -> None:
        self._stalls.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._closed = True
        for pool in self._pools:
            await pool.aclose()

    async def burst(self, count: int, kind: dict[str, Any] = MARKET) -> list[str]:
        """`count` orders at once, market orders if nothing else is said; their keys, when all are accepted."""
        orders = [self._next(kind) for _ in range(count)]
        await asyncio.gather(*map(self._post_until_taken, orders))
        return [key for key, _ in orders]

    def plan(self, kind: dict[str, Any] | None = None, *, cancels: bool = True) -> None:
        """One more client of a plan, of any kind if none is named; `cancels`: it does so after a while."""
        self._count += 1
        self._go(self.plans.run(f"{self._name}-plan-{self._count}", kind, cancels=cancels))

    async def _run(self) -> None:
        while not self._stopped.is_set():
            if self._rng.random() * 100 < PLANS_OF_A_HUNDRED:
                self.plan()
            [kind] = self._rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
            self._go(self._post_until_taken(self._next(kind)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rng.expovariate(self._rate)):
                    await self._stopped.wait()

    def _go(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self, kind: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self._count += 1
        token_in, token_out = self._rng.choice(PAIRS)
        # One in twenty can hardly fill: failed orders have promises too. (Resting ones would try for ever.)
        slippage = 0 if kind is MARKET and self._rng.random() < 0.05 else 5000
        amount = f"{self._rng.uniform(0.1, 2):.3f}"
        body = {"tokenIn": token_in, "tokenOut": token_out, "amount": amount, "slippageBps": slippage}
        return f"{self._name}-{self._count}", body | kind

    async def _post_until_taken(self, order: tuple[str, dict[str, Any]]) -> None:
        key, body = order
        taken = await ask_until_taken(lambda: self._post(key, body), self._rng, closed=lambda: self._closed)
        if not taken:
            self.abandoned.append(key)
            return
        self.orders.setdefault(key, set()).update(taken)
        self._go(self._follow(taken[0]))
        if body.items() >= OUT_OF_REACH.items():
            self._go(self._cancel(taken[0]))

    async def _cancel(self, order_id: str) -> None:
        """A while later, as often as it takes."""
        status = 503
        while status >= 500:
            await asyncio.sleep(self._rng.uniform(0.3, 2.0))
            with contextlib.suppress(httpx.HTTPError, RuntimeError):
                answer = await self._pool.delete(f"{self._url}/api/orders/{order_id}", headers=self._headers)
                status = answer.status_code

    async def _post(self, key: str, body: dict[str, Any]) -> str | None:
        started, status, order_id, outcome = time.time(), None, None, "unknown"
        stalled = self.stalled
        try:
            headers = {**self._headers, "Idempotency-Key": key}
            answer = await self._pool.post(f"{self._url}/api/orders/execute", json=body, headers=headers)
            status = answer.status_code
            if answer.is_success:
                outcome, order_id = "ok", answer.json()["orderId"]
            elif status < 500 and status != 429:
                outcome = "failed"
        except (httpx.HTTPError, RuntimeError, ValueError, KeyError):
            pass
        seconds = time.time() - started - (self.stalled - stalled)
        self.operations.append(Operation(key, started, seconds, outcome, status, order_id))
        return order_id

    async def _follow(self, order_id: str) -> None:
        stream = self.streams.setdefault(order_id, Stream(order_id, FINAL))
        await follow(stream, lambda: f"{self._ws_url}/ws/{order_id}", self._headers, self._rng, flaky=self._flaky)


class NeverReads:
    """A socket on the account's feed whose client does not read a byte."""

    def __init__(self, port: int, key: str | None) -> None:
        self._port, self._key = port, key
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        _, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1)
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        authorization = f"Authorization: Bearer {self._key}\r\n" if self._key else ""
        self._writer.write(
            f"GET /ws/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{authorization}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await self._writer.drain()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
