"""Trailing stops in the book: what a tick with a new high costs beside many of them, and how soon a crossing has claimed 10,000.

The scripts of the trigger book against a Redis of its own: no worker, so a claim is the Lua call and its answer.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure
from orderengine.host import embedded

PAIR = "SOL-USDC"
SIZES = (1_000, 10_000, 100_000)
FIRED = 10_000
TICKS = 500
WARM_UP = 50
A_PIPELINE = 2_000
A_CLAIM = 500
LONG_MS = 600_000
"""Longer than the whole measurement: no gap between ticks, and nothing claimed is claimed again."""


def run(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-trailing-") as folder:
        redis = embedded.redis(Path(folder))
        redis.prepare()
        environment = dict(os.environ) | {"DATA_DIR": folder, "REDIS_URL": redis.url, "EMBEDDED": "1"}
        server = subprocess.Popen(redis.command(), env=environment, stdout=subprocess.DEVNULL)
        try:
            while not redis.answers():
                time.sleep(0.05)
            child = [sys.executable, "-m", "benchmarks.trailing", *map(str, SIZES[:2] if quick else SIZES)]
            said = subprocess.run(child, env=environment, stdout=subprocess.PIPE, check=True, timeout=600).stdout
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    return of(json.loads(said))


def of(found: dict[str, float]) -> list[Figure]:
    figures = [
        Figure(f"trailing.{size}.tick", f"{int(size):,} trailing stops: a tick with a new high", found[size], "ms")
        for size in found
        if size.isdigit()
    ]
    what = f"{FIRED:,} trailing stops crossing at once"
    return [
        *figures,
        Figure("trailing.at_once", f"{what}: all claimed", found["at_once_s"], "s", at_most=1),
        Figure("trailing.twice", f"{what}: claimed twice", found["twice"], "", at_most=0),
    ]


def measure(sizes: list[int]) -> dict[str, float]:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orderengine.settings")
    django.setup()
    from django.conf import settings

    from orders.ids import uuid7
    from routing.mock.tokens import REGISTRY, SOL, USDC
    from routing.world import registry
    from triggers import rules
    from triggers.book import Book, Edge
    from triggers.changes import Arm, Rest

    registry.fix(REGISTRY)
    book = Book(settings.REDIS_URL)
    mints = f"{SOL.mint}-{USDC.mint}"

    def fill(count: int) -> None:
        """Distances of 5 % to 15 %, so that members of one bucket differ."""
        book.redis.flushdb()
        for start in range(0, count, A_PIPELINE):
            rests = [
                Rest(uuid7(), mints, 1, rules.TRAILING, rules.NOTHING, bps=500 + n % 1_000)
                for n in range(start, min(count, start + A_PIPELINE))
            ]
            book.change(Arm(rest) for rest in rests)

    def rise(price: Decimal, ticks: int) -> Decimal:
        for _ in range(ticks):
            price += 1
            book.follow({PAIR: price}, gap_ms=LONG_MS)
            book.peek([Edge(PAIR, price, None, None, None)])
        return price

    def tick_ms() -> float:
        price = rise(Decimal(1_000), WARM_UP)  # The first ticks gather what was just armed.
        began = time.perf_counter()
        rise(price, TICKS)
        return (time.perf_counter() - began) * 1000 / TICKS

    def crossing() -> tuple[list[object], float]:
        claimed: list[object] = []
        began = time.perf_counter()
        while ids := book.claim_trailing(PAIR, Decimal(1), most=A_CLAIM, again_in_ms=LONG_MS)[0]:
            claimed += ids
        return claimed, time.perf_counter() - began

    found: dict[str, float] = {}
    for size in sizes:
        fill(size)
        found[str(size)] = tick_ms()
    fill(FIRED)
    rise(Decimal(1_000), WARM_UP)
    claimed, found["at_once_s"] = crossing()
    if len(set(claimed)) != FIRED:
        raise RuntimeError(f"{len(set(claimed))} of {FIRED} trailing stops were claimed")
    found["twice"] = len(claimed) - len(set(claimed))
    book.close()
    return found


if __name__ == "__main__":
    print(json.dumps(measure([int(size) for size in sys.argv[1:]])))
