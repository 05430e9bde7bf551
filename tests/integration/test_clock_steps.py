"""Real processes whose clocks are stepped one at a time: prices and triggers go on.

The engine's beat, pollers, matchers and dbsync run on a Redis of their own; nobody takes the orders that fire, so their messages
stay on the queue and can be read.
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psutil
import pytest
import redis
from celery import Celery
from django.conf import settings

from orderengine.host import embedded
from orderengine.host.processes import beat, worker
from orders.ledger.statements import Connection
from orders.resting.placement import rest_of
from routing.mock.world import MockWorld, mock_world
from runtime.fleet import kind
from runtime.redis_url import for_kombu
from tests.clocks import Clocks
from tests.factories import accepted, limit_order, new_order
from tests.waiting import until
from triggers.book import Arm, Book
from triggers.matcher import MAX_FIRST
from triggers.pulse import standing_still

LIMIT_S = 15.0
"""Two seconds are the aim; the machine may be busy. Without the guards it takes as long as the step: 30 s at least."""
DAY_S = 86_400
STEPS = (-DAY_S, DAY_S, -30)
pytestmark = pytest.mark.skipif(
    not Clocks.available(), reason="stepping the clock of a process needs Linux and a C compiler"
)


class Stage:
    def __init__(self, directory: Path, database: Connection, account: int) -> None:
        self.directory, self.database, self.account = directory, database, account
        self.clocks = Clocks(directory)
        self.server = embedded.redis(directory)
        self.server.prepare()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.redis: redis.Redis = redis.Redis.from_url(self.server.url, decode_responses=True)
        self.book = Book(self.server.url)
        self.world: MockWorld = mock_world(
            directory, seed=1, latency=0, failure_rate=0, deadline_ms=500, max_age_ms=1500, valid_s=30
        )

    def step(self, name: str, ahead_s: int) -> None:
        self.clocks.step(self.processes[name].pid, ahead_s)

    def start(self, name: str, command: list[str], **variables: str) -> None:
        environment = (
            os.environ
            | self.clocks.environment
            | {
                "DATA_DIR": str(self.directory),
                "DATABASE_URL": settings.DATABASE_URL,
                "REDIS_URL": self.server.url,
                "EMBEDDED": "1",
                "MOCK_LATENCY": "0",
            }
            | variables
        )
        environment.pop("CELERY_BROKER_URL", None)
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def status(self, order_id: UUID) -> str:
        [found] = self.database.execute("SELECT status FROM orders_order WHERE id = %s", (order_id,)).fetchone() or [""]
        return str(found)

    def wake(self, order_id: UUID, countdown_s: float | None = None) -> None:
        """Sends the order's message; its delay is by this process's clock, which is right."""
        with Celery(broker=for_kombu(self.server.url), set_as_current=False) as sender:
            arguments = {"order_ids": [str(order_id)]}
            sender.send_task("execute_orders", kwargs=arguments, queue="orders", countdown=countdown_s)

    def stop(self) -> None:
        for process in self.processes.values():
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.kill()
            for child in children:
                child.kill()
            process.wait(10)

    def fired(self) -> set[str]:
        """Orders whose messages wait for a worker."""
        bodies = [json.loads(base64.b64decode(json.loads(text)["body"])) for text in self.redis.lrange("orders", 0, -1)]
        return {order_id for _, kwargs, _ in bodies for order_id in kwargs["order_ids"]}

    def crossing(self, price: Decimal) -> float:
        """Rests more orders than the poller fires itself, lets the market cross them; seconds until all are dispatched."""
        orders = [accepted(self.database, limit_order(self.account, limit_price=price)) for _ in range(MAX_FIRST + 5)]
        self.book.change(Arm(rest_of(order.id, order, 1)) for order in orders)
        began = time.monotonic()
        self.world.market.move("SOL-USDC", price=price + 1, hold=True)
        wanted = {str(order.id) for order in orders}
        until(lambda: wanted <= self.fired(), LIMIT_S, pause_s=0.05)
        return time.monotonic() - began


@pytest.fixture
def stage(tmp_path: Path, database: Connection, account: int) -> Iterator[Stage]:
    made = Stage(tmp_path, database, account)
    with ExitStack() as ending:
        ending.callback(made.stop)
        made.start("redis", [str(made.server.program), str(made.server.folder / "redis.conf")])
        until(made.server.answers, 60)
        made.start("beat", beat())
        for name in ("quotes", "limit", "dbsync"):
            made.start(name, worker(name, kind(name), 2))
        until(lambda: standing_still(made.redis) == [], 120)
        yield made


def test_triggers_go_on_whichever_clock_is_stepped(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    price = Decimal(100)
    taken: dict[str, float] = {}
    taken["none"] = stage.crossing(price)
    for name in ("redis", "beat", "quotes", "limit", "dbsync"):
        for ahead_s in STEPS:
            price += 10
            stage.step(name, ahead_s)
            try:
                taken[f"{name} {ahead_s:+}"] = stage.crossing(price)
                until(lambda: standing_still(stage.redis) == [], LIMIT_S)
            except AssertionError as error:
                raise AssertionError(f"{name}'s clock at {ahead_s:+} s: {standing_still(stage.redis)}") from error
    record_property("seconds", {what: round(seconds, 2) for what, seconds in taken.items()})
    print(f"crossing to dispatch: {taken}")


def test_orders_are_executed_once_whichever_way_their_worker_s_clock_is_stepped(stage: Stage) -> None:
    """While a transaction is under way, and with a message whose delay was counted by another clock."""
    stage.start("orders", worker("orders", kind("orders"), 2), MOCK_LATENCY="1")
    executed = [accepted(stage.database, new_order(stage.account)).id]
    stage.wake(executed[0])
    until(lambda: stage.status(executed[0]) == "confirmed", 60)
    for ahead_s in STEPS:
        under_way = accepted(stage.database, new_order(stage.account)).id
        stage.wake(under_way)
        until(lambda: stage.world.chain.report(str(under_way))["submissions"], LIMIT_S, pause_s=0.02)  # noqa: B023
        stage.step("orders", ahead_s)
        until(lambda: stage.status(under_way) == "confirmed", LIMIT_S)  # noqa: B023
        delayed = accepted(stage.database, new_order(stage.account)).id
        stage.wake(delayed, countdown_s=0.5)
        until(lambda: stage.status(delayed) == "confirmed", LIMIT_S)  # noqa: B023
        executed += [under_way, delayed]
    for order_id in executed:
        assert stage.world.chain.report(str(order_id))["landed"] == 1
