"""What trailing stops cost: a tick with a new high while many follow it, and a crossing that fires many.

    python -m benchmarks.trailing REDIS_URL

Against an empty Redis of its own; prints milliseconds.
"""

import sys
import time
from decimal import Decimal

from orders.ids import uuid7
from triggers import rules
from triggers.book import Book, Edge
from triggers.changes import Arm, Rest

PAIR = "SOL-USDC"
MINTS = "So11111111111111111111111111111111111111112-EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
TICKS = 200
FIRED = 10_000


def arm(book: Book, many: int) -> None:
    for start in range(0, many, 2_000):
        rests = (
            Rest(uuid7(), MINTS, 1, rules.TRAILING, rules.NOTHING, bps=500 + n % 1_000)
            for n in range(start, min(many, start + 2_000))
        )
        book.change(Arm(rest) for rest in rests)


def ticks_ms(book: Book) -> float:
    """A tick at which the price rises: the bucket gets a new high, and the edge is looked at."""
    price = Decimal(1_000)
    began = time.perf_counter()
    for _ in range(TICKS):
        price += 1
        book.follow({PAIR: price}, gap_ms=60_000)
        book.peek([Edge(PAIR, price, None, None, None)])
    return (time.perf_counter() - began) * 1000 / TICKS


def crossing_s(book: Book) -> tuple[int, float]:
    fired: set[object] = set()
    count, began = 0, time.perf_counter()
    while True:
        ids, _ = book.claim_trailing(PAIR, Decimal(1), most=500, again_in_ms=60_000)
        if not ids:
            break
        fired.update(ids)
        count += len(ids)
    assert count == len(fired), "an order fired twice"
    return count, time.perf_counter() - began


def main(url: str) -> None:
    book = Book(url)
    for many in (1_000, 10_000, 100_000):
        book.redis.flushdb()
        arm(book, many)
        print(f"{many} trailing stops: a tick with a new high {ticks_ms(book):.2f} ms")
    book.redis.flushdb()
    arm(book, FIRED)
    ticks_ms(book)
    count, seconds = crossing_s(book)
    print(f"{count} trailing stops fired in {seconds:.2f} s, none twice")
    book.redis.flushdb()
    book.close()


if __name__ == "__main__":
    main(sys.argv[1])
