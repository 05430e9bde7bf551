"""`python -m tests.security.fuzz --seed N --minutes M --url URL --data-dir DIR`: broken traffic beside honest orders.

Against a running engine on this machine, and on no other. Sixteen connections at a time send what `broken` draws while
orders go in at a steady rate. Prints the figures; exits 1 when a process grows beyond its bound, `/healthz` gets slow, a
server error is answered, or an order that was accepted is not confirmed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.security.broken import KINDS

ATTACKERS = 16
CLIENTS = 8
MAX_RSS = 250 * 1024 * 1024
"""Bytes, of a process of ours that started below it; any other may grow by so much."""
MAX_HEALTH_S = 0.5
CALM_S = 5.0
"""Orders without broken traffic come first. Where `/healthz` is slow even then the machine is busy with something else,
and the bound is three times what was seen."""
SETTLE_S = 60
BODY = b'{"tokenIn":"SOL","tokenOut":"USDC","amount":"1","slippageBps":5000}'
ORDER = b"POST /api/orders/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b"
RUN_PIDS = ("web", "orders-1", "quotes", "limit", "sniper", "dbsync", "beat", "redis", "postgres")


@dataclass
class Result:
    seed: int
    attacks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    calm_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    restarted: set[str] = field(default_factory=set)

    @property
    def max_health_s(self) -> float:
        return max(MAX_HEALTH_S, 3 * max(self.calm_s, default=0.0))

    @property
    def slow_share(self) -> float:
        """Of the probes of `/healthz`, those that took longer than the bound."""
        return sum(took > self.max_health_s for took in self.health_s) / max(1, len(self.health_s))

    def faults(self) -> list[str]:
        found = [f"{name}: {self.peak[name] >> 20} MB" for name in self.peak if self.peak[name] > self.bound(name)]
        found += [f"{name} was restarted" for name in sorted(self.restarted)]
        found += [f"{n} answers {status} to broken traffic" for status, n in self.statuses.items() if status == "500"]
        if self.slow_share > 0.01:
            found.append(f"/healthz took longer than {self.max_health_s:.1f} s in {self.slow_share:.1%} of the probes")
        if self.lost or not self.accepted:
            found.append(f"{len(self.lost)} of {len(self.accepted)} accepted orders were not confirmed")
        return found

    def bound(self, name: str) -> int:
        return MAX_RSS if self.before[name] < MAX_RSS else self.before[name] + MAX_RSS

    def report(self) -> str:
        memory = ", ".join(f"{name} {self.before[name] >> 20} to {peak >> 20}" for name, peak in self.peak.items())
        ordered = sorted(self.health_s) or [0.0]
        return "\n".join(
            [
                f"seed {self.seed}: {self.attacks.total()} broken connections {dict(self.attacks)}",
                f"answered to them: {dict(self.statuses.most_common(20))}",
                f"orders accepted {len(self.accepted)}, refused {dict(self.refused)}, not confirmed {len(self.lost)}",
                f"/healthz without broken traffic: slowest {max(self.calm_s, default=0.0) * 1000:.0f} ms",
                f"/healthz with it: median {ordered[len(ordered) // 2] * 1000:.0f} ms, "
                f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:.0f} ms, slowest {ordered[-1] * 1000:.0f} ms",
                f"MB: {memory}",
                *(self.faults() or ["no fault"]),
            ]
        )


class Fuzz:
    def __init__(self, url: str, data_dir: Path, seed: int, key: str) -> None:
        parts = urlsplit(url)
        if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"only engines on this machine are attacked, not {parts.hostname}")
        self.address = (parts.hostname, parts.port or 80)
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"}
        self.run_dir = data_dir / "run"
        self.result = Result(seed)
        self.starts = self.ends = 0.0

    async def attacker(self, n: int) -> None:
        rng = random.Random(self.result.seed * 1_000_003 + n)
        await asyncio.sleep(self.starts - time.monotonic())
        while time.monotonic() < self.ends:
            kind = rng.choice(KINDS)
            self.result.attacks[kind.__name__] += 1
            with contextlib.suppress(OSError):
                async with asyncio.timeout(5):
                    await self.attack(rng, kind(rng))
            await asyncio.sleep(rng.random() * 0.2)

    async def attack(self, rng: random.Random, data: bytes) -> None:
        """Sends at once or in pieces; reads or does not; leaves in one of three ways."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            pieces = rng.choice([1, 1, 2, 5])
            size = len(data) // pieces + 1
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await asyncio.wait_for(writer.drain(), 2)
                await asyncio.sleep(rng.choice([0, 0, 0.05]))
            if rng.random() < 0.2 and writer.can_write_eof():
                writer.write_eof()
            if rng.random() < 0.7:
                await self.read(reader)
        finally:
            writer.transport.abort() if rng.random() < 0.5 else writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                first = await reader.read(65536)
                status = first[9:12].decode("latin-1") if first.startswith(b"HTTP/1.") else "closed"
                self.result.statuses[status] += 1
                while await reader.read(65536):
                    pass

    async def trader(self, rate: float) -> None:
        """`rate` orders a second over a connection that is kept."""
        token = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()
        request = ORDER % token + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
        due = time.monotonic()
        while time.monotonic() < self.ends:
            reader, writer = await asyncio.open_connection(*self.address)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while (now := time.monotonic()) < self.ends:
                    await asyncio.sleep(max(0.0, due - now))
                    due = max(due, now - 1) + 1 / rate
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    answer = json.loads(await reader.readexactly(int(length)))
                    if (status := int(head[9:12])) == 200:
                        self.result.accepted.add(answer["orderId"])
                    else:
                        self.result.refused[status] += 1
            writer.close()

    async def watch(self) -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while time.monotonic() < self.ends:
                self.measure()
                began = time.monotonic()
                (await client.get(f"{self.url}/healthz")).raise_for_status()
                probes = self.result.calm_s if began < self.starts else self.result.health_s
                probes.append(time.monotonic() - began)
                await asyncio.sleep(0.1)

    def measure(self) -> None:
        result = self.result
        for name in RUN_PIDS:
            with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
                pid = int((self.run_dir / f"{name}.pid").read_text())
                used = psutil.Process(pid).memory_info().rss
                result.before.setdefault(name, used)
                result.peak[name] = max(result.peak.get(name, 0), used)
                if result.pids.setdefault(name, pid) != pid:
                    result.restarted.add(name)

    async def settle(self) -> None:
        """Waits until every accepted order is confirmed."""
        result, ends = self.result, time.monotonic() + SETTLE_S
        while True:
            result.lost = result.accepted - await self.confirmed()
            if not result.lost or time.monotonic() > ends:
                return
            await asyncio.sleep(1)

    async def confirmed(self) -> set[str]:
        found: set[str] = set()
        async with httpx.AsyncClient(timeout=30, headers=self.headers) as client:
            query = {"status": "confirmed", "limit": "100"}
            while True:
                page = (await client.get(f"{self.url}/api/orders", params=query)).raise_for_status().json()
                found.update(order["orderId"] for order in page["orders"])
                if not page["next"] or self.result.accepted <= found:
                    return found
                query["cursor"] = page["next"]

    async def run(self, minutes: float, orders_per_second: float) -> Result:
        self.starts = time.monotonic() + CALM_S
        self.ends = self.starts + minutes * 60
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch())
            for n in range(ATTACKERS):
                tasks.create_task(self.attacker(n))
            for _ in range(CLIENTS):
                tasks.create_task(self.trader(orders_per_second / CLIENTS))
        await self.settle()
        return self.result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("DATA_DIR", ".data")))
    parser.add_argument("--orders", type=float, default=200, help="a second")
    options = parser.parse_args()
    key = json.loads((options.data_dir / "credentials.json").read_text())["apiKey"]
    fuzz = Fuzz(options.url, options.data_dir, options.seed, key)
    result = asyncio.run(fuzz.run(options.minutes, options.orders))
    print(result.report())
    return 1 if result.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
