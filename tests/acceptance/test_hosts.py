"""Two web processes and three order workers of one engine on three hosts; one is cut off, and healed.

What must hold is what the fault suite demands (`tests.chaos.checker`).
"""

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg

from orderengine.host.processes import BASE_DIR
from tests.acceptance.hosts import Host, Storage
from tests.chaos.checker import Evidence, violations
from tests.chaos.clients import Load

RATE = 8.0
ALIVE = "SELECT count(*) FROM orders_executor WHERE state = 'alive' AND heartbeat_at > now() - interval '5 seconds'"

DEAD = "SELECT count(*) FROM orders_executor WHERE state = 'dead'"
OPEN = "SELECT count(*) FROM orders_order WHERE finished_at IS NULL"


@contextlib.asynccontextmanager
async def hosts(folder: Path) -> AsyncIterator[tuple[Storage, list[Host]]]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOST": "127.0.0.1",
        "DATA_DIR": str(folder / "shared"),
        "SECRET_KEY": "hosts-" * 10,
        "ALLOWED_HOSTS": "127.0.0.1",
        "MOCK_LATENCY": "0.4",
        "RATE_LIMIT_ACCOUNT": "off",
        "RATE_LIMIT_ADDRESS": "off",
        "DJANGO_SETTINGS_MODULE": "orderengine.settings",
    }
    (folder / "shared").mkdir()
    storage = Storage(folder)
    made: list[Host] = []
    try:
        await storage.up()
        rng = random.Random(5)
        for name in ("one", "two", "three"):
            host = Host(name, folder, dict(environment))
            await host.connect(storage.postgres, storage.redis, rng)
            made.append(host)
        yield storage, made
    finally:
        await asyncio.gather(*(host.stop() for host in made))
        storage.stop()


def prepared(host: Host) -> str:
    """The schema, and a key."""
    for command in (["prepare", "--no-wait"], ["keys", "create", "acme"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=BASE_DIR, env=host.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def until(url: str, query: str, met, limit_s: float) -> float:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while not met((await (await connection.execute(query)).fetchall())[0][0]):
            assert time.monotonic() - began < limit_s, query
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def answers(host: Host, limit_s: float = 120) -> None:
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(limit_s):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{host.url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.3)


class TwoFronts(Load):
    """Clients of a balancer: every request and every socket goes to the next web process that is not known to be down."""

    def __init__(self, fronts: list[Host], key: str, rng: random.Random) -> None:
        super().__init__("", "", key, "hosts", rng, rate=RATE)
        self.fronts = fronts
        self._turn = 0
        self._next_front()

    async def _post(self, key, body):  # type: ignore[no-untyped-def]
        self._next_front()
        return await super()._post(key, body)

    async def _follow(self, order_id: str) -> None:
        self._next_front()
        await super()._follow(order_id)

    def _next_front(self) -> None:
        self._turn += 1
        front = self.fronts[self._turn % len(self.fronts)]
        self._url, self._ws_url = front.url, front.url.replace("http", "ws")
        self.plans.go_to(self._url, self._ws_url)


async def test_a_host_is_cut_off_and_the_others_go_on() -> None:
    folder = Path(tempfile.mkdtemp(prefix="orderengine-hosts-"))
    try:
        async with hosts(folder) as (storage, [one, two, three]):
            url = storage.postgres.url
            key = await asyncio.to_thread(prepared, one)
            one.start("web", "orders", "dbsync", "beat", "quotes", "limit", "sniper")
            two.start("web", "orders")
            three.start("orders")
            await asyncio.gather(answers(one), answers(two))
            await until(url, ALIVE, lambda alive: alive >= 3, 120)
            load = TwoFronts([one, two], key, random.Random(11))
            load.start()
            await asyncio.sleep(4)

            two.cut()
            load.fronts = [one]  # As a balancer does when its health check fails.
            lost = await until(url, ALIVE, lambda alive: alive <= 2, 60)
            dead = await until(url, DEAD, lambda dead: dead >= 1, 60)
            await asyncio.sleep(2)
            during = load._count
            confirmed = [stream for stream in load.streams.values() if stream.ended]
            assert confirmed, "orders go on while a host is away"

            two.heal()
            load.fronts = [one, two]
            back = await until(url, ALIVE, lambda alive: alive >= 3, 60)
            await answers(two)
            await asyncio.sleep(3)
            await load.stop()
            await load.settle(120)
            await until(url, OPEN, lambda open_: open_ == 0, 120)
            await load.settle(60)
            seen = Evidence.gather(url, folder / "shared", load)
            await load.close()
            resumed = sum(stream.sockets > 1 for stream in load.streams.values())
            taken = sum("takeover" in event["data"] for events in seen.events.values() for event in events)
            print(f"\n{len(seen.orders)} orders, {during} of them before the healing")
            print(
                f"silent after {lost:.1f} s, its worker declared dead {dead:.1f} s later, back {back:.1f} s after the healing"
            )
            print(f"{taken} takeovers, {resumed} streams resumed over several sockets")
            assert violations(seen) == []
            assert len(seen.orders) > 40 and resumed > 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
