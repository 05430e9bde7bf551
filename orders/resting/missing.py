"""Stops whose pair has had no fresh price for a while: nothing fires and nothing moves, so their accounts are told."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orders.alerts import AlertKind, raise_alert
from orders.ledger.statements import Connection
from orders.mints import stored_as
from orders.wire import timestamp
from routing.prices import PriceStore
from routing.world import tokens
from triggers.book import Book

MISSING_S = 60.0
EVERY_S = 5.0
"""Between two looks."""
ACCOUNTS = """
SELECT DISTINCT account_id FROM orders_order
WHERE resting AND token_in = ANY(%s) AND token_out = ANY(%s) AND trigger_condition = 'lte' AND COALESCE(mode, 'mock') = %s
"""


@dataclass(slots=True)
class Seen:
    """The newest price of a pair, and since when by our own monotonic clock nothing has changed or was told of it."""

    price_at: datetime | None
    since: float


class Missing:
    """One in a process. A price is fresh when another one has come: no clock is compared with another."""

    def __init__(
        self, book: Book, prices: PriceStore, *, mode: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._book, self._prices, self._mode, self._clock = book, prices, mode, clock
        self._seen: dict[str, Seen] = {}
        self._looked_at = float("-inf")

    def look(self, connection: Connection) -> int:
        """How many alerts were written. Raises `redis.RedisError`."""
        now = self._clock()
        if now - self._looked_at < EVERY_S:
            return 0
        self._looked_at = now
        pairs = self._book.pairs()
        markets = self._prices.read(pairs)
        self._seen = {pair: seen for pair, seen in self._seen.items() if pair in pairs}
        told = 0
        for pair in pairs:
            best = markets[pair].best if pair in markets else None
            price_at = None if best is None else best.observed_at
            seen = self._seen.get(pair)
            if seen is None or price_at is not None and price_at != seen.price_at:
                self._seen[pair] = Seen(price_at, now)
            elif now - seen.since >= MISSING_S:
                told += self._tell(connection, pair, seen)
                seen.since = now  # Asked again later: who began to rest meanwhile is told as well, each once.
        return told

    def _tell(self, connection: Connection, name: str, seen: Seen) -> int:
        """One alert an account and outage, whichever process notices it."""
        pair = tokens().pair_named(name)
        if pair is None:
            return 0
        stored = [list(stored_as(token.mint)) for token in (pair.token_in, pair.token_out)]
        since = None if seen.price_at is None else timestamp(seen.price_at)
        told = 0
        for (account,) in connection.execute(ACCOUNTS, (*stored, self._mode)).fetchall():
            data = {"code": "PRICE_MISSING", "pair": name, "since": since}
            once = f"price:{account}:{pair.token_in.mint}:{pair.token_out.mint}:{since or 'ever'}"
            told += raise_alert(connection, AlertKind.PRICE_MISSING, data, account_id=account, once=once)
        return told
