"""Two web processes behind each proxy are restarted one after the other under load: no client gets a 5xx.

Requests with and without an Idempotency-Key, GETs and orders, on connections of their own and on kept ones.
"""

import asyncio
import collections
import shutil
import signal
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.hosts import Host
from tests.acceptance.test_hosts import answers, hosts, prepared
from tests.deploy import proxies

RATE = 50
ROUNDS = 2
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1", "slippageBps": 5000}
AVAILABLE = {"caddy": proxies.CADDY, "nginx": proxies.NGINX}


class Clients:
    """`RATE` requests a second, in turn: an order with a key, an order without, a GET."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, verify=False, timeout=30)
        self.said: collections.Counter[str] = collections.Counter()
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
            await asyncio.sleep(max(0.0, began + turn / RATE - time.monotonic()))
        await asyncio.gather(*self._tasks)
        await self._http.aclose()

    async def one(self, turn: int) -> None:
        began = time.monotonic()
        kind = ("keyed order", "order", "read")[turn % 3]
        try:
            if kind == "read":
                answer = await self._http.get("/api/orders?limit=1")
            else:
                headers = {"Idempotency-Key": f"turn-{turn}"} if kind == "keyed order" else {}
                answer = await self._http.post("/api/orders/execute", json=ORDER, headers=headers)
            self.said[f"{kind} {answer.status_code}"] += 1
        except httpx.HTTPError as error:
            self.said[f"{kind} {type(error).__name__}"] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._running = False


async def restart(host: Host) -> None:
    child = host.children["web"]
    child.send_signal(signal.SIGTERM)
    await asyncio.to_thread(child.wait, 30)
    host.start("web")
    await answers(host)


@pytest.mark.parametrize("kind", list(AVAILABLE))
async def test_no_client_sees_a_rolling_restart(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not AVAILABLE[kind]:
        pytest.skip(f"no {kind}: apt-get install {kind}")
    folder = Path(tempfile.mkdtemp(prefix="orderengine-rolling-"))
    try:
        async with hosts(folder) as (_, [one, two, three]):
            key = await asyncio.to_thread(prepared, one)
            for host in (one, two):
                host.environment["ALLOWED_HOSTS"] = f"127.0.0.1,{proxies.DOMAIN}"
                host.environment["HTTPS"] = "true"
                host.environment["FORWARDED_ALLOW_IPS"] = "127.0.0.1"
                host.environment["STOP_DELAY_S"] = "3"
                host.start("web")
            three.start("orders")
            await asyncio.gather(answers(one), answers(two))
            web = [f"127.0.0.1:{host.port}" for host in (one, two)]
            proxy_folder = folder / "proxy"
            proxy_folder.mkdir()
            with getattr(proxies, kind)(proxy_folder, web) as proxy:
                clients = Clients(proxy.url, key)
                running = asyncio.create_task(clients.run())
                await asyncio.sleep(3)
                for _ in range(ROUNDS):
                    await restart(one)
                    await restart(two)
                await asyncio.sleep(2)
                clients.stop()
                await running
            with capsys.disabled():
                print(f"\n{kind}: {dict(sorted(clients.said.items()))}, slowest {clients.slowest:.2f} s")
            log = (proxy_folder / "proxy.log").read_text()[-2000:]
            assert {said.rpartition(" ")[2] for said in clients.said} == {"200"}, f"{clients.said}\n{log}"
            assert clients.said.total() > RATE * 5
    finally:
        shutil.rmtree(folder, ignore_errors=True)
