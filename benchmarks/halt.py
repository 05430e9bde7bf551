"""The kill switch under load: how long after HALTED was asked for the last transaction is sent, by the chain's own log.

A thousand market orders a second, and beside them what fires by itself: limit orders and take-profits of plans at every price
that a rising market passes, and slices of schedules. Meanwhile the market rises on and the orders keep coming.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks.engines import BenchEngine, finished, generate, running
from benchmarks.figures import Figure

PAIR = "SOL-USDC"
START, STEP, EVERY_S = 150.0, 0.1, 0.1
"""USDC for one SOL; it rises by so much so often."""
LIMITS_A_STEP = 10
A_PLAN = 3
"""Every so many steps a plan's take-profit."""
SALE = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}
SCHEDULE = {
    "kind": "schedule",
    "tokenIn": "USDC",
    "tokenOut": "SOL",
    "sliceAmount": "1",
    "slices": 100,
    "every": "PT1S",
}
CONNECTIONS = 256
SECOND = 1_000_000
"""The chain's log counts microseconds."""
MAX_ENDING_S = 60
AGAIN_S = 3.0
FIRST_SENT = "SELECT min(at) FROM submissions GROUP BY signature"
UNENDED = "SELECT count(*) FROM orders_order WHERE status IN ('routing', 'building', 'submitted')"
WAITING = "SELECT count(*), count(plan_id) FROM orders_order WHERE resting AND limit_price <= %s AND trigger_condition = 'gte'"


def run(quick: bool) -> list[Figure]:
    rate, before_s, halted_s = (200, 4.0, 4.0) if quick else (1000, 8.0, 8.0)
    with running(MOCK_LATENCY="1") as engine, Desk(engine) as desk:
        steps = round((before_s + halted_s + AGAIN_S) / EVERY_S) + 50
        desk.rest(steps)
        load = generate(engine.spec("open", rate=rate, seconds=before_s + halted_s, connections=CONNECTIONS))
        with desk.rising():
            time.sleep(before_s)
            asked, answered = desk.switch("HALTED")
            said = finished(load)
            unended = ended(engine)
            waiting, of_plans = engine.row(WAITING, desk.price - 1)
            active, _ = desk.switch("ACTIVE")
            time.sleep(AGAIN_S)
        sent = desk.sent()
    before = [at for at in sent if at < asked]
    halted = [at for at in sent if asked <= at < active]
    again = [at for at in sent if at >= active]
    if not (before and again and waiting and of_plans):
        raise RuntimeError(f"nothing to be halted: {len(before)} before, {len(again)} again, {waiting} wait")
    sent_s, last = sum(at >= asked - 3 for at in before) / 3, max(halted, default=asked)
    print(
        f"  {sent_s:.0f} sent/s before; {len(halted)} after the switch, the last {1000 * (last - asked):.0f} ms"
        f" after it was asked for; answers {said['statuses']}; {waiting} wait, {of_plans} of plans",
        flush=True,
    )
    return [
        Figure("halt.rate", f"halt: transactions a second before it, {rate:,} orders a second offered", sent_s, "/s"),
        Figure("halt.answer", "halt: the switch is answered", 1000 * (answered - asked), "ms"),
        Figure(
            "halt.last",
            "halt: the last transaction is sent after the switch was asked for",
            1000 * (last - asked),
            "ms",
            at_most=1000,
        ),
        Figure(
            "halt.later", "halt: transactions later than that second", sum(at > asked + 1 for at in halted), at_most=0
        ),
        Figure("halt.unended", "halt: orders submitted before it that have not ended", unended, at_most=0),
        Figure("halt.waiting", "halt: resting orders that wait beyond their price", waiting),
        Figure("halt.plans", "halt: of them exits of plans", of_plans),
        Figure(
            "halt.again", "halt: the first transaction after ACTIVE was asked for", 1000 * (again[0] - active), "ms"
        ),
    ]


def ended(engine: BenchEngine) -> int:
    """Orders that are still being executed when everything has had its time."""
    end = time.monotonic() + MAX_ENDING_S
    while (left := int(engine.row(UNENDED)[0])) and time.monotonic() < end:
        time.sleep(0.2)
    return left


class Desk:
    """Who trades: makes what fires by itself, moves the market, and has the switch."""

    def __init__(self, engine: BenchEngine) -> None:
        self.engine = engine.engine
        key = str(self.engine.credentials["staffApiKey"])
        self._http = httpx.Client(
            base_url=self.engine.url, headers={"Authorization": f"Bearer {engine.key}"}, timeout=30
        )
        self._staff = httpx.Client(base_url=self.engine.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self.price = START

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._staff.close()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def rest(self, steps: int) -> None:
        """Limits and take-profits at the prices of so many steps, and twenty schedules."""
        self.move()
        for n in range(1, steps + 1):
            price = f"{START + n * STEP:.2f}"
            self._post("/api/orders/batch", {"orders": [SALE | {"type": "limit", "limitPrice": price}] * LIMITS_A_STEP})
            if n % A_PLAN == 0:
                exits = [{"kind": "takeProfit", "price": price}]
                self._post("/api/plans", {"kind": "bracket", "entry": False, **SALE, "exits": exits})
        for _ in range(20):
            self._post("/api/plans", SCHEDULE)

    def move(self) -> None:
        body = {"pair": PAIR, "price": f"{self.price:.2f}", "hold": True}
        self._staff.post("/api/mock/market", json=body).raise_for_status()

    @contextlib.contextmanager
    def rising(self) -> Iterator[None]:
        ended = threading.Event()

        def rise() -> None:
            while not ended.wait(EVERY_S):
                self.price += STEP
                self.move()

        thread = threading.Thread(target=rise)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def switch(self, state: str) -> tuple[float, float]:
        """When it was asked for, and when it was answered: Unix seconds."""
        asked = time.time()
        with httpx.Client(base_url=self.engine.url, headers=self._staff.headers, timeout=30) as client:
            client.post("/api/trading-state", json={"state": state}).raise_for_status()
        return asked, time.time()

    def sent(self) -> list[float]:
        """When each transaction was first sent, in Unix seconds, the oldest first."""
        [file] = self.engine.data_dir.rglob("chain.sqlite3")
        with contextlib.closing(sqlite3.connect(file)) as chain:
            return sorted(at / SECOND for (at,) in chain.execute(FIRST_SENT))
