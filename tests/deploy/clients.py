"""Clients of a proxy, who notice everything but 200."""

import asyncio
import collections
import ssl
import time

import httpx

RATE = 50
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "slippageBps": 5000}


class Clients:
    """`rate` requests a second, in turn: an order with an Idempotency-Key, an order without, a GET.

    Requests on connections of their own and on kept ones. `said` counts the answers, `accepted` has the orders' ids.
    """

    def __init__(self, url: str, key: str, *, verify: "ssl.SSLContext | bool" = False, rate: float = RATE) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, verify=verify, timeout=30)
        self._rate = rate
        self.said: collections.Counter[str] = collections.Counter()
        self.accepted: set[str] = set()
        self.slowest = 0.0
        self._running = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        turn, began = 0, time.monotonic()
        while self._running:
            task = asyncio.create_task(self.one(turn))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            turn += 1
            await asyncio.sleep(max(0.0, began + turn / self._rate - time.monotonic()))
        await asyncio.gather(*self._tasks)
        await self._http.aclose()

    async def one(self, turn: int) -> None:
        began = time.monotonic()
        kind = ("keyed order", "order", "read")[turn % 3]
        try:
            if kind == "read":
                answer = await self._http.get("/api/orders?limit=1")
            else:
                headers = {"Idempotency-Key": f"turn-{began}-{turn}"} if kind == "keyed order" else {}
                answer = await self._http.post("/api/orders/execute", json=ORDER, headers=headers)
                if answer.status_code == 200:
                    self.accepted.add(answer.json()["orderId"])
            self.said[f"{kind} {answer.status_code}"] += 1
        except httpx.HTTPError as error:
            self.said[f"{kind} {type(error).__name__}"] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._running = False

    @property
    def statuses(self) -> set[str]:
        return {said.rpartition(" ")[2] for said in self.said}
