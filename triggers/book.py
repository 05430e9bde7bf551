"""The trigger book in Redis: which orders rest, found by the price that fires them.

An index that Redis may lose at any moment: `orders.resting.keeper` makes it good from Postgres. A claimed order is not gone until
its executor has it: it is on the list `triggers:again` and comes back to the book if nobody takes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from redis import Redis

from routing.prices import client
from triggers import rules
from triggers.changes import LISTED as LISTED
from triggers.changes import Arm as Arm
from triggers.changes import Left as Left
from triggers.changes import Rest as Rest
from triggers.changes import details_key as details_key
from triggers.changes import ms as ms
from triggers.rules import sortable

LUA = Path(__file__).parent / "lua"
AGAIN = "triggers:again"
PAIRS = "triggers:pairs"
COMPLETE, REBUILD, INVALIDATIONS = "triggers:complete", "triggers:rebuild", "triggers:invalidations"
TIMEOUT_S = 2.0
"""Redis answers in a millisecond; a sweep's pipelines of thousands of scripts take some more."""


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


def bound(value: Decimal | None, *, up: bool = False) -> str:
    return "" if value is None else sortable(value, up=up)


def order_of(details: str) -> UUID:
    return UUID(details.rpartition(":")[2])


class Book:
    """Safe from any thread. Raises `redis.RedisError` while Redis is away."""

    def __init__(self, url: str) -> None:
        self.redis: Redis = client(url, timeout_s=TIMEOUT_S)
        places = (LUA / "places.lua").read_text()

        def script(name: str, before: str = "") -> Any:
            return self.redis.register_script(before + (LUA / f"{name}.lua").read_text())

        self._arm, self._disarm = script("arm", places), script("disarm", places)
        self._claim_limits, self._claim_snipers = script("claim_limits"), script("claim_snipers")
        self._peek, self._unlist, self._complete = script("peek"), script("unlist"), script("complete")

    def change(self, changes: Iterable[Arm | Left]) -> int:
        """Arms and disarms, in order, in one pipeline; how many of them changed the book."""
        with self.redis.pipeline(transaction=False) as pipe:
            for change in changes:
                if isinstance(change, Left):
                    key = details_key(change.order_id, change.pair, sniper=change.sniper)
                    self._disarm([key, AGAIN], [change.pair, str(change.order_id), change.seq], client=pipe)
                    continue
                rest = change.rest
                told = [rest.pair, str(rest.order_id), rest.seq, rest.kind, rules.plain(rest.price)]
                flags = [change.again_at_ms, int(change.shelved), int(change.force)]
                self._arm([rest.details, AGAIN], [*told, *flags], client=pipe)
            return sum(pipe.execute())

    def claim_limits(self, pair: str, kind: str, best: Decimal, *, most: int, again_at_ms: int) -> list[UUID]:
        """The first orders that are due at `best`, in price-time order; they are out of the index."""
        bound = sortable(best, up=kind == rules.LTE)
        keys = [f"limit_index:{pair}:{kind}", AGAIN]
        return [UUID(text) for text in self._claim_limits(keys, [pair, kind, bound, most, again_at_ms])]

    def claim_snipers(self, pair: str, kind: str, reached: Decimal, *, most: int, again_at_ms: int) -> list[UUID]:
        """Snipers whose threshold is at most `reached`."""
        keys = [f"sniper_index:{pair}:{kind}", AGAIN]
        return [UUID(text) for text in self._claim_snipers(keys, [pair, sortable(reached), most, again_at_ms])]

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
        """Nobody trades the pair now."""
        self._unlist([f"sniper_index:{pair}:{LISTED}", f"sniper_index:{pair}:{rules.LAUNCH}"], [pair])

    def overdue(self, now_ms: int, most: int) -> list[str]:
        """Details of orders to be looked at again: claimed and never taken, or shelved until now."""
        found: list[str] = self.redis.zrangebyscore(AGAIN, "-inf", now_ms, start=0, num=most)  # type: ignore[assignment]
        return found

    def page(self, cursor: int, most: int) -> tuple[int, dict[str, int]]:
        """The next orders of the whole book, details and seq, and the cursor behind them; 0 at the end."""
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
        """The book may have missed something: it is to be compared with Postgres from one end to the other."""
        self.redis.incr(INVALIDATIONS)

    def is_complete(self) -> bool:
        """No: Redis was wiped or restarted, or somebody doubts, since it was last compared with Postgres as a whole."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.mget(COMPLETE, INVALIDATIONS)
            pipe.info("server")
            (whole, doubts), run = pipe.execute()
        return bool(whole == mark_of(run, doubts))

    def begin_rebuild(self) -> tuple[str, str]:
        """What `end_rebuild` wants."""
        doubts = self.redis.get(INVALIDATIONS) or "0"
        mark = mark_of(self.redis.info("server"), doubts)
        self.redis.set(REBUILD, mark)
        return mark, str(doubts)

    def end_rebuild(self, sweep: tuple[str, str]) -> bool:
        """Everything that rests is armed. False: something happened meanwhile, sweep again."""
        return bool(self._complete([COMPLETE, REBUILD, INVALIDATIONS], list(sweep)))

    def close(self) -> None:
        self.redis.close()


def mark_of(run: Any, doubts: Any) -> str:
    """`run` as INFO says it: another run of Redis may have lost its last second."""
    return f"{run['run_id']}:{doubts or 0}"
