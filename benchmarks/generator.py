"""The load generator, a process of its own: `python -m benchmarks.generator`, JSON in on one line, JSON out.

`closed`: a number of connections, each sends the next order when the last is answered. `open`: orders at a fixed rate
whatever the answers do, latency counted from the moment an order was due, every nth order watched. `hold`: WebSockets
that stay open until standard input ends; says `open` when all are.
"""

import asyncio
import gc
import os
import resource
import signal
import sys
import time
from collections import Counter, deque
from typing import Any

import msgspec
import uvloop

from benchmarks.connections import HttpConnection, WebSocket, post, upgrade
from benchmarks.watching import Watches
from orderengine.host.launch import die_with_parent

TICK_S = 0.002
ANSWER_S = 10.0
"""How long answers may take after the last request."""


class Spec(msgspec.Struct, kw_only=True):
    mode: str
    host: str = "127.0.0.1"
    port: int
    key: str | None = None
    path: str = "/api/orders/execute"
    body: str = ""
    connections: int = 50
    seconds: float = 10.0
    rate: float = 0.0
    watch_every: int = 0
    watch_s: float = 30.0
    """How long watchers may take after the last order."""
    unique: bool = False
    """Give each request an Idempotency-Key of its own."""
    paths: list[str] = []
    keep: bool = False
    """Report each accepted order with the moment its request was due."""


def order_id(answer: bytes) -> str:
    start = answer.index(b'"orderId":"') + 11
    return answer[start : start + 36].decode()


class Load:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.host = f"{spec.host}:{spec.port}"
        self.message = post(spec.path, self.host, spec.key, spec.body.encode())
        self.watches = Watches(spec.host, spec.port, spec.key)
        self.statuses: Counter[int] = Counter()
        self.latencies_ms: list[float] = []
        self.accepted: list[tuple[str, float]] = []
        """(order id, when its request was due, time of day)."""
        self.sent = self.answered = 0
        self.ends = 0.0
        self.last_answer = 0.0
        self.idle: list[HttpConnection] = []
        self.due: deque[float] = deque()
        self.most_due = 0

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.spec.connections):
            _, connection = await loop.create_connection(
                lambda: HttpConnection(self.on_answer), self.spec.host, self.spec.port
            )
            self.idle.append(connection)

    def request(self) -> bytes:
        if not self.spec.unique:
            return self.message
        key = f"Idempotency-Key: {os.getpid()}-{self.sent}\r\n"
        return post(self.spec.path, self.host, self.spec.key, self.spec.body.encode(), key)

    def send(self, connection: HttpConnection, counted_from: float) -> None:
        self.sent += 1
        connection.request(self.request(), counted_from)

    def on_answer(self, connection: HttpConnection, status: int, body: bytes) -> None:
        now = time.monotonic()
        self.answered += 1
        self.last_answer = now
        self.statuses[status] += 1
        self.latencies_ms.append((now - connection.sent_at) * 1000)
        if status == 200 and self.spec.keep:
            self.accepted.append((order_id(body), time.time() - (now - connection.sent_at)))
        if status == 200 and self.spec.watch_every and self.answered % self.spec.watch_every == 0:
            self.watches.start(order_id(body))
        if self.spec.mode == "open":
            if self.due:
                self.send(connection, self.due.popleft())
            else:
                self.idle.append(connection)
        elif now < self.ends:
            self.send(connection, now)

    async def run(self) -> dict[str, Any]:
        await self.connect()
        gc.collect()
        gc.freeze()
        gc.disable()
        started, cpu = time.monotonic(), time.process_time()
        started_at = time.time()
        self.ends = started + self.spec.seconds
        if self.spec.mode == "open":
            await self.arrive(started)
        else:
            for connection in self.idle:
                self.send(connection, time.monotonic())
            await asyncio.sleep(self.spec.seconds)
        limit = time.monotonic() + ANSWER_S
        while self.answered < self.sent and time.monotonic() < limit:
            await asyncio.sleep(0.01)
        answered_s = max(self.last_answer - started, self.spec.seconds)
        load_cpu = time.process_time() - cpu
        await self.watches.wait(self.spec.watch_s)
        return {
            "started_at": started_at,
            "seconds": answered_s,
            "sent": self.sent,
            "answered": self.answered,
            "ok": self.statuses[200],
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "latencies_ms": self.latencies_ms,
            "accepted": self.accepted,
            "most_due": self.most_due,
            "cpu_s": time.process_time() - cpu,
            "load_cpu_s": load_cpu,
            "watches": self.watches.report(),
        }

    async def arrive(self, started: float) -> None:
        """Orders at the moments they are due, in ticks of two milliseconds."""
        gap = 1 / self.spec.rate
        made, total = 0, round(self.spec.rate * self.spec.seconds)
        while made < total:
            now = time.monotonic()
            while made < total and started + made * gap <= now:
                self.due.append(started + made * gap)
                made += 1
            while self.due and self.idle:
                connection = self.idle.pop()
                if not connection.lost:  # The server closes what was idle for seconds.
                    self.send(connection, self.due.popleft())
            self.most_due = max(self.most_due, len(self.due))
            await asyncio.sleep(max(TICK_S, started + made * gap - now))


class Hold:
    """Sockets that stay open and say nothing."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.host = f"{spec.host}:{spec.port}"
        self.snapshots = 0
        self.events = 0
        self.closed: Counter[int] = Counter()

    def said(self, text: bytes, arrived_at: float) -> None:
        if text.startswith(b'{"type":"snapshot"'):
            self.snapshots += 1
        else:
            self.events += 1

    def ended(self, code: int) -> None:
        self.closed[code] += 1

    async def open_all(self) -> None:
        loop = asyncio.get_running_loop()
        waiting: set[asyncio.Task[Any]] = set()
        for path in self.spec.paths:
            request = upgrade(path, self.host, self.spec.key)

            def made(request: bytes = request) -> WebSocket:
                return WebSocket(request, self.said, self.ended)

            waiting.add(asyncio.create_task(loop.create_connection(made, self.spec.host, self.spec.port)))
            if len(waiting) >= self.spec.connections:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        if waiting:
            await asyncio.gather(*waiting)
        limit = time.monotonic() + self.spec.seconds
        while self.snapshots < len(self.spec.paths) and time.monotonic() < limit:
            await asyncio.sleep(0.05)

    async def run(self) -> dict[str, Any]:
        started = time.monotonic()
        await self.open_all()
        opened_s = time.monotonic() - started
        closed_early = dict(self.closed)
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        return {
            "opened_s": opened_s,
            "wanted": len(self.spec.paths),
            "snapshots": self.snapshots,
            "events": self.events,
            "closed": {str(code): count for code, count in (closed_early | dict(self.closed)).items()},
            "cpu_s": time.process_time(),
        }


def end_at_once(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A client that does not understand the server measures nothing."""
    print(context.get("exception") or context["message"], file=sys.stderr, flush=True)
    os._exit(1)


async def measured(spec: Spec) -> dict[str, Any]:
    asyncio.get_running_loop().set_exception_handler(end_at_once)
    return await (Hold(spec) if spec.mode == "hold" else Load(spec)).run()


def raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    die_with_parent(signal.SIGKILL)
    raise_file_limit()
    spec = msgspec.json.decode(sys.stdin.readline(), type=Spec)
    result = msgspec.json.encode(uvloop.run(measured(spec)))
    # With PYTHONUNBUFFERED sys.stdout.buffer is the bare file, whose write may end half-way at a signal.
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(result + b"\n")


if __name__ == "__main__":
    main()
