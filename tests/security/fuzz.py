"""`python -m tests.security.fuzz --seed N --minutes M --url URL --data-dir DIR`: broken traffic beside honest orders.

Against a running engine on this machine, and on no other. Sixteen connections at a time send what `broken` draws while
orders go in at a steady rate. Prints the figures; exits 1 when a process grows beyond its bound, `/healthz` gets slow, a
server error is answered, or an order that was accepted is not confirmed.

Other work on the machine makes everything slow. So each probe of `/healthz` goes to a bare server as well, at the same
moment, and the time is read that the web process' loop spent waiting for a core: only what is left is the engine's.
`--probes FILE` keeps each probe as a line of JSON.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.security import control
from tests.security.broken import KINDS

ATTACKERS = 16
CLIENTS = 8
MAX_RSS = 250 * 1024 * 1024
"""Bytes, of a process of ours that started below it; any other may grow by so much."""
MAX_HEALTH_S = 0.5
CALM_S = 5.0
"""Orders without broken traffic come first, for comparison."""
CONFIRM_EVERY_S = 5.0
SETTLE_S = 60
BODY = b'{"tokenIn":"SOL","tokenOut":"USDC","amount":"1","slippageBps":5000}'
ORDER = b"POST /api/orders/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b"


@dataclass(frozen=True)
class Probe:
    """Of `/healthz`, in seconds."""

    at: float
    """Since the first broken connection; negative before it."""
    took: float
    bare: float
    """What the bare server took at that moment."""
    waited: float
    """What the thread of the engine's loop waited for a core meanwhile."""

    @property
    def own(self) -> float:
        return self.took - max(self.bare, self.waited)


def waited_for_core(pid: int) -> float:
    """Seconds of the process' main thread since its start; 0 where the kernel does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds) or [0.0]
    parts = [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
    figures = [f"{name} {ordered[int(len(ordered) * share)] * 1000:.0f}" for name, share in parts]
    return ", ".join([*figures, f"slowest {ordered[-1] * 1000:.0f} ms"])


@dataclass
class Result:
    seed: int
    attacks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    unanswered: int = 0
    probes: list[Probe] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    restarted: set[str] = field(default_factory=set)

    @property
    def attacked(self) -> list[Probe]:
        return [probe for probe in self.probes if probe.at >= 0]

    def faults(self) -> list[str]:
        found = [f"{name}: {self.peak[name] >> 20} MB" for name in self.peak if self.peak[name] > self.bound(name)]
        found += [f"{name} was restarted" for name in sorted(self.restarted)]
        found += [f"{n} answers {status} to broken traffic" for status, n in self.statuses.items() if status == "500"]
        # A loop that waits for the interpreter's lock, whose holder waits for a core, is not told apart: hence a share.
        slow = sum(probe.own > MAX_HEALTH_S for probe in self.attacked)
        if slow > 0.01 * len(self.attacked):
            found.append(f"/healthz took {MAX_HEALTH_S} s longer than the machine made it, {slow} times")
        if self.unanswered:
            found.append(f"/healthz did not answer {self.unanswered} times")
        if self.lost or not self.accepted:
            found.append(f"{len(self.lost)} of {self.accepted} accepted orders were not confirmed")
        return found

    def bound(self, name: str) -> int:
        return MAX_RSS if self.before[name] < MAX_RSS else self.before[name] + MAX_RSS

    def report(self) -> str:
        memory = ", ".join(f"{name} {self.before[name] >> 20} to {peak >> 20}" for name, peak in self.peak.items())
        calm = [probe.took for probe in self.probes if probe.at < 0]
        slow = [probe for probe in self.attacked if probe.took > MAX_HEALTH_S]
        return "\n".join(
            [
                f"seed {self.seed}: {self.attacks.total()} broken connections {dict(self.attacks)}",
                f"answered to them: {dict(self.statuses.most_common(20))}",
                f"orders accepted {self.accepted}, refused {dict(self.refused)}, not confirmed {len(self.lost)}",
                f"/healthz without broken traffic: {spread(calm)}",
                f"/healthz with it, {len(self.attacked)} probes: {spread([probe.took for probe in self.attacked])}",
                f"a bare server beside it: {spread([probe.bare for probe in self.attacked])}",
                f"the engine's own share: {spread([probe.own for probe in self.attacked])}",
                f"beyond {MAX_HEALTH_S} s: {len(slow)}, of these by its own share "
                f"{sum(probe.own > MAX_HEALTH_S for probe in slow)}",
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
        self.waiting: set[str] = set()
        """Accepted, and not yet seen confirmed."""
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
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(*self.address)
                while (now := time.monotonic()) < self.ends:
                    await asyncio.sleep(max(0.0, due - now))
                    due = max(due, now - 1) + 1 / rate
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    answer = json.loads(await reader.readexactly(int(length)))
                    if (status := int(head[9:12])) == 200:
                        self.result.accepted += 1
                        self.waiting.add(answer["orderId"])
                    else:
                        self.result.refused[status] += 1
                writer.close()
            await asyncio.sleep(0.1)

    async def watch(self, bare: str) -> None:
        limits = httpx.Timeout(30)
        async with httpx.AsyncClient(timeout=limits) as client, httpx.AsyncClient(timeout=limits) as other:
            while time.monotonic() < self.ends:
                self.measure()
                web = self.result.pids["web"]
                waited, began = waited_for_core(web), time.monotonic()
                try:
                    took, floor = await asyncio.gather(self.probe(client, self.url), self.probe(other, bare))
                except httpx.HTTPError:
                    self.result.unanswered += 1
                else:
                    waited = waited_for_core(web) - waited
                    self.result.probes.append(Probe(began - self.starts, took, floor, waited))
                await asyncio.sleep(0.1)

    async def probe(self, client: httpx.AsyncClient, url: str) -> float:
        began = time.monotonic()
        (await client.get(f"{url}/healthz")).raise_for_status()
        return time.monotonic() - began

    def measure(self) -> None:
        result = self.result
        for file in self.run_dir.glob("*.pid"):
            name = file.stem
            with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
                pid = int(file.read_text())
                used = psutil.Process(pid).memory_info().rss
                result.before.setdefault(name, used)
                result.peak[name] = max(result.peak.get(name, 0), used)
                if result.pids.setdefault(name, pid) != pid:
                    result.restarted.add(name)

    async def confirm(self) -> None:
        """Strikes what is confirmed off the list while orders come; after the last one, until none is left."""
        async with httpx.AsyncClient(timeout=30, headers=self.headers) as client:
            while time.monotonic() < self.ends + SETTLE_S and (self.waiting or time.monotonic() < self.ends):
                await asyncio.sleep(CONFIRM_EVERY_S)
                with contextlib.suppress(httpx.HTTPError):
                    await self.strike_off(client)
        self.result.lost = self.waiting

    async def strike_off(self, client: httpx.AsyncClient) -> None:
        """Ids rise with time: the pages, newest first, are read down to the oldest order that is waited for."""
        query = {"status": "confirmed", "limit": "100"}
        while self.waiting:
            page = (await client.get(f"{self.url}/api/orders", params=query)).raise_for_status().json()
            self.waiting.difference_update(order["orderId"] for order in page["orders"])
            if not page["next"] or not self.waiting or page["orders"][-1]["orderId"] < min(self.waiting):
                return
            query["cursor"] = page["next"]

    async def run(self, minutes: float, orders_per_second: float) -> Result:
        self.starts = time.monotonic() + CALM_S
        self.ends = self.starts + minutes * 60
        with control.running() as bare:
            await self.together(bare, orders_per_second)
        return self.result

    async def together(self, bare: str, orders_per_second: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch(bare))
            tasks.create_task(self.confirm())
            for n in range(ATTACKERS):
                tasks.create_task(self.attacker(n))
            for _ in range(CLIENTS):
                tasks.create_task(self.trader(orders_per_second / CLIENTS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("DATA_DIR", ".data")))
    parser.add_argument("--orders", type=float, default=200, help="a second")
    parser.add_argument("--probes", type=Path, help="a file for the probes, one a line")
    options = parser.parse_args()
    key = json.loads((options.data_dir / "credentials.json").read_text())["apiKey"]
    fuzz = Fuzz(options.url, options.data_dir, options.seed, key)
    result = asyncio.run(fuzz.run(options.minutes, options.orders))
    if options.probes:
        options.probes.write_text("".join(json.dumps(asdict(probe)) + "\n" for probe in result.probes))
    print(result.report())
    return 1 if result.faults() else 0


if __name__ == "__main__":
    sys.exit(main())
