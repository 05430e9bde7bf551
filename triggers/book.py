"""The trigger book in Redis: which orders rest, found by the price that fires them.

It is an index that Redis may lose at any moment; `orders.resting.keeper` rebuilds it from Postgres. A claimed order stays on the
list `triggers:again` until its executor has taken it, and comes back to the book if nobody does. All times in the book are by
Redis' clock: callers say how long, never when.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from redis import Redis

from routing.prices import client
from routing.world import tokens
from triggers import rules
from triggers.changes import LISTED as LISTED
from triggers.changes import Arm as Arm
from triggers.changes import Left as Left
from triggers.changes import Rest as Rest
from triggers.changes import details_key as details_key
from triggers.rules import sortable

LUA = Path(__file__).parent / "lua"
AGAIN, TIME = "triggers:again", "triggers:time"
PAIRS = "triggers:pairs"
COMPLETE, REBUILD, INVALIDATIONS = "triggers:complete", "triggers:rebuild", "triggers:invalidations"
MAX_MOVED = 500
"""Trailing stops that change their bucket in one script, which blocks Redis for about two milliseconds."""
TIMEOUT_S = 2.0
"""Redis answers in a millisecond; a rebuild's pipelines of thousands of scripts take longer."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a pair's market stands against its book; None where nothing can be due."""

    pair: str
    best: Decimal | None
    launch: Decimal | None
    """0 while the pair is traded."""
    liquidity: Decimal | None
    volume: Decimal | None
    """As a multiple of its average."""

    @property
    def reached(self) -> dict[str, Decimal | None]:
        return {rules.LAUNCH: self.launch, rules.LIQUIDITY: self.liquidity, rules.VOLUME: self.volume}


def source(*names: str) -> str:
    """A script and what stands in front of it."""
    return "".join((LUA / f"{name}.lua").read_text() for name in names)


def bound(value: Decimal | None, *, up: bool = False) -> str:
    return "" if value is None else sortable(value, up=up)


def order_of(details: str) -> UUID:
    return UUID(details.rpartition(":")[2])


class Book:
    """Safe from any thread. Raises `redis.RedisError` while Redis is away."""

    def __init__(self, url: str) -> None:
        self.redis: Redis = client(url, timeout_s=TIMEOUT_S)

        def script(*names: str) -> Any:
            return self.redis.register_script(source(*names))

        self._arm = script("clock", "trailing", "places", "arm")
        self._disarm = script("trailing", "places", "disarm")
        self._follow, self._claim_trailing = (
            script("clock", "trailing", "follow"),
            script("clock", "trailing", "claim_trailing"),
        )
        self._claim_limits, self._claim_snipers = script("clock", "claim_limits"), script("clock", "claim_snipers")
        self._overdue = script("clock", "overdue")
        self._peek, self._unlist, self._complete = script("peek"), script("unlist"), script("complete")

    def change(self, changes: Iterable[Arm | Left]) -> int:
        """Arms and disarms, in order, in one pipeline; how many of them changed the book."""
        known = tokens()
        with self.redis.pipeline(transaction=False) as pipe:
            for change in changes:
                if isinstance(change, Left):
                    name = known.name(change.pair)
                    key = details_key(change.order_id, name, sniper=change.sniper)
                    self._disarm([key, AGAIN], [name, str(change.order_id), change.seq], client=pipe)
                    continue
                rest = change.rest
                name = known.name(rest.pair)
                fields = [name, str(rest.order_id), rest.seq, rest.kind, rules.plain(rest.price)]
                flags = [change.again_in_ms, int(change.shelved), int(change.force)]
                trail = [rest.bps, rules.plain(rest.activation)]
                key = details_key(rest.order_id, name, sniper=rest.sniper)
                self._arm([key, AGAIN], [*fields, *flags, rest.pair, *trail], client=pipe)
            return sum(pipe.execute())

    def remove(self, held: Iterable[tuple[str, int]]) -> int:
        """Takes orders out by their details as they stand in the book, and seq; how many were there."""
        with self.redis.pipeline(transaction=False) as pipe:
            for key, seq in held:
                _, pair, order_id = key.split(":")
                self._disarm([key, AGAIN], [pair, order_id, seq], client=pipe)
            return sum(pipe.execute())

    def claim(
        self, pair: str, kind: str, reached: Decimal, *, most: int, again_in_ms: int
    ) -> tuple[list[UUID], dict[str, str]]:
        """Takes orders of the kind that are due at `reached` out of the index; see `claim_limits`, `claim_snipers`.

        Returns them and what their trigger says beside: the high that trailing stops have followed.
        """
        if kind == rules.TRAILING:
            return self.claim_trailing(pair, reached, most=most, again_in_ms=again_in_ms)
        claim = self.claim_limits if kind in (rules.GTE, rules.LTE) else self.claim_snipers
        return claim(pair, kind, reached, most=most, again_in_ms=again_in_ms), {}

    def claim_trailing(
        self, pair: str, best: Decimal, *, most: int, again_in_ms: int
    ) -> tuple[list[UUID], dict[str, str]]:
        """Trailing stops of one high that are due at `best`; those of another high come with the next call."""
        high, *ids = self._claim_trailing([AGAIN], [pair, rules.plain(best), most, again_in_ms]) or [None]
        return [UUID(text) for text in ids], {} if high is None else {"high": high}

    def follow(self, prices: Mapping[str, Decimal], *, gap_ms: int, most: int = MAX_MOVED) -> None:
        """Moves the trailing stops of pairs up with their prices. Costs the same however many follow a price."""
        again = 0
        while prices:
            with self.redis.pipeline(transaction=False) as pipe:
                for pair, best in prices.items():
                    keys = [f"trail_last:{pair}", f"trail_recent:{pair}"]
                    self._follow(keys, [pair, rules.plain(best), gap_ms, most, again], client=pipe)
                left = pipe.execute()
            prices = {pair: best for (pair, best), more in zip(prices.items(), left, strict=True) if more}
            again = 1

    def recent_highs(self, pair: str) -> list[tuple[int, Decimal]]:
        """Prices that counted for the pair's trailing stops and that Postgres may not have: (age in ms, the second's highest)."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(f"trail_recent:{pair}")
            pipe.time()
            found, (seconds, micros) = pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        return [(max(0, now_ms - int(second) * 1000), Decimal(high)) for second, high in sorted(found.items())]

    def forget_highs(self, pair: str, older_than_ms: int) -> None:
        """Postgres has what is older."""
        seconds, _ = self.redis.time()
        held = self.redis.hkeys(f"trail_recent:{pair}")
        if old := [second for second in held if int(second) < seconds - older_than_ms // 1000]:
            self.redis.hdel(f"trail_recent:{pair}", *old)

    def claim_limits(self, pair: str, kind: str, best: Decimal, *, most: int, again_in_ms: int) -> list[UUID]:
        """The first orders that are due at `best`, in price-time order; they are out of the index."""
        bound = sortable(best, up=kind == rules.LTE)
        keys = [f"limit_index:{pair}:{kind}", AGAIN]
        return [UUID(text) for text in self._claim_limits(keys, [pair, kind, bound, most, again_in_ms])]

    def claim_snipers(self, pair: str, kind: str, reached: Decimal, *, most: int, again_in_ms: int) -> list[UUID]:
        """Snipers whose threshold is at most `reached`."""
        keys = [f"sniper_index:{pair}:{kind}", AGAIN]
        return [UUID(text) for text in self._claim_snipers(keys, [pair, sortable(reached), most, again_in_ms])]

    def pairs(self) -> set[str]:
        """Pairs that orders wait for."""
        found: set[str] = self.redis.smembers(PAIRS)  # type: ignore[assignment]
        return found

    def peek(self, edges: Sequence[Edge]) -> list[tuple[bool, bool]]:
        """For each edge whether limits, and whether snipers, are due. Costs the same however many orders wait."""
        with self.redis.pipeline(transaction=False) as pipe:
            for edge in edges:
                keys = [f"limit_index:{edge.pair}:{kind}" for kind in (rules.GTE, rules.LTE)]
                keys += [f"sniper_index:{edge.pair}:{kind}" for kind in edge.reached]
                reached = [bound(value) for value in edge.reached.values()]
                self._peek(keys, [edge.pair, bound(edge.best), bound(edge.best, up=True), *reached], client=pipe)
            return [(bool(limits), bool(snipers)) for limits, snipers in pipe.execute()]

    def unlist(self, pair: str) -> None:
        """No venue trades the pair now."""
        self._unlist([f"sniper_index:{pair}:{LISTED}", f"sniper_index:{pair}:{rules.LAUNCH}"], [pair])

    def overdue(self, most: int) -> list[str]:
        """Details of orders to be looked at again: claimed and never taken, or shelved until now."""
        found: list[str] = self._overdue([AGAIN, TIME], [most])
        return found

    def page(self, cursor: int, most: int) -> tuple[int, dict[str, int]]:
        """The next orders of the complete book, details and seq, and the cursor behind them; 0 at the end."""
        following, keys = self.redis.scan(cursor, count=most)
        held = [key for key in map(str, keys) if key.startswith(("limit:", "sniper:"))]
        if not held:
            return following, {}
        with self.redis.pipeline(transaction=False) as pipe:
            for key in held:
                pipe.hget(key, "seq")
            seqs = pipe.execute()
        return following, {key: int(seq) for key, seq in zip(held, seqs, strict=True) if seq}

    def invalidate(self) -> None:
        """The book may have missed something: the keeper is to rebuild it from Postgres."""
        self.redis.incr(INVALIDATIONS)

    def is_complete(self) -> bool:
        """Whether it was rebuilt since Redis started and since it was last invalidated."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.mget(COMPLETE, INVALIDATIONS)
            pipe.info("server")
            (complete, invalidations), run = pipe.execute()
        return bool(complete == mark_of(run, invalidations))

    def begin_rebuild(self) -> tuple[str, str]:
        """What `end_rebuild` wants."""
        invalidations = self.redis.get(INVALIDATIONS) or "0"
        mark = mark_of(self.redis.info("server"), invalidations)
        self.redis.set(REBUILD, mark)
        return mark, str(invalidations)

    def end_rebuild(self, begun: tuple[str, str]) -> bool:
        """Everything that rests is armed. False: the book was wiped or invalidated meanwhile, so it is to be rebuilt again."""
        return bool(self._complete([COMPLETE, REBUILD, INVALIDATIONS], list(begun)))

    def close(self) -> None:
        self.redis.close()


def mark_of(run: Any, invalidations: Any) -> str:
    """`run` as INFO says it: another run of Redis may have lost the last second's changes."""
    return f"{run['run_id']}:{invalidations or 0}"
