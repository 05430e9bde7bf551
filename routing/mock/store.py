"""The mock chain's SQLite store: many calls in one write transaction, shared by any number of processes."""

import fcntl
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from routing.clock import Clock
from routing.mock import rows, settlement
from routing.mock.calls import Answer, Call, Look, Send, Sent, Sighting, Verdict
from routing.mock.faults import Fault, Faults
from routing.mock.settlement import Settlement, Terms
from routing.values import Fate, Swap

_BUSY_TIMEOUT_S = 10.0
"""A write transaction takes milliseconds; whoever waits longer than this waits for a frozen process."""

Settle = Callable[[Terms, str, datetime], Settlement]
"""(terms, signature, landed_at) → what was traded."""


class ChainStore:
    """`landing` draws when a transaction that is sent now lands."""

    def __init__(
        self,
        directory: Path,
        *,
        settle: Settle,
        landing: Callable[[datetime], datetime],
        clock: Clock,
        rng: random.Random,
        failure_rate: float,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "chain.sqlite3"
        self._settle = settle
        self._landing = landing
        self._clock = clock
        self._rng = rng
        self._failure_rate = failure_rate
        self._db: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        # Two processes that turn the same new file to WAL at once would get an error despite the timeout.
        with open(directory / "chain.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with closing(self.connect()) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript((Path(__file__).parent / "schema.sql").read_text())
                if "amount_in" not in {column[1] for column in db.execute("PRAGMA table_info(transactions)")}:
                    db.execute("ALTER TABLE transactions ADD COLUMN amount_in TEXT")  # A store of before.

    def connect(self) -> sqlite3.Connection:
        """A connection of one's own. Commits are not synced: a killed process loses nothing by that."""
        db = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    def transact(self, calls: Sequence[Call]) -> list[Answer]:
        """Answers each call, in order, all in one transaction. Raises `sqlite3.Error`.

        The clock is read under the write lock: without it one process could learn that a transaction
        expired while another was still writing it.
        """
        with self._turn:
            if self._db is None:
                self._db = self.connect()
            return self._transact(self._db, calls)

    def settle_due(self) -> None:
        """Settles what has landed by now; for readers in any thread. Raises `sqlite3.Error`."""
        with closing(self.connect()) as own, writing(own) as db:
            self._settle_due(db, self._clock())

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _transact(self, own: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer]:
        with writing(own) as db:
            now = self._clock()
            sent = iter(self._accept(db, [call.swap for call in calls if isinstance(call, Send)], now))
            self._settle_due(db, now)
            asked = [swap for call in calls if isinstance(call, Look) for swap in call.swaps]
            seen = self._look(db, asked, now) if asked else {}
            answers: list[Answer] = []
            for call in calls:
                match call:
                    case Send():
                        answers.append(next(sent))
                    case Look():
                        answers.append([seen[swap.signature] for swap in call.swaps])
            return answers

    def _accept(self, db: sqlite3.Connection, swaps: Sequence[Swap], now: datetime) -> list[Sent]:
        if not swaps:
            return []
        fates = {signature: Fate(row[1]) for signature, row in rows.by_signature(db, swaps).items()}
        faults = Faults(db, rng=self._rng, failure_rate=self._failure_rate)
        sent: list[Sent] = []
        added = []
        for swap in swaps:
            fate = fates.get(swap.signature)
            if fate is not None:
                sent.append(Sent(Verdict.REFUSED if fate is Fate.EXPIRED else Verdict.KNOWN))
                continue
            judged = self._judge(swap, faults, now)
            sent.append(judged)
            if judged.verdict is not Verdict.DROPPED:
                # A refusal is written down too: it promises that these bytes never land.
                refused = judged.verdict in (Verdict.REFUSED, Verdict.TOO_LATE)
                fates[swap.signature] = Fate.EXPIRED if refused else Fate.PENDING
                added.append(rows.transaction(swap, judged.lands_at, fates[swap.signature]))
        faults.save(db)
        db.executemany(rows.INSERT_TRANSACTION, added)
        at = rows.micros(now)
        db.executemany(
            "INSERT INTO submissions (signature, reference, attempt, verdict, at) VALUES (?, ?, ?, ?, ?)",
            [
                (swap.signature, swap.reference, swap.attempt, one.verdict, at)
                for swap, one in zip(swaps, sent, strict=True)
            ],
        )
        return sent

    def _judge(self, swap: Swap, faults: Faults, now: datetime) -> Sent:
        """The verdict on a signature that the chain has not seen, and when it lands if it ever does."""
        try:
            valid_until = settlement.decode(swap.payload).valid_until
        except msgspec.DecodeError:
            return Sent(Verdict.REFUSED)
        if now > valid_until:
            return Sent(Verdict.TOO_LATE)
        fault, delay = faults.draw()
        if fault is Fault.REFUSE:
            return Sent(Verdict.REFUSED)
        if fault is Fault.DROP:
            return Sent(Verdict.DROPPED)
        lands_at = self._landing(now) + delay
        verdict = Verdict.UNANSWERED if fault is Fault.LAND_THEN_TIMEOUT else Verdict.ACCEPTED
        return Sent(verdict, lands_at if lands_at <= valid_until else None)

    def _settle_due(self, db: sqlite3.Connection, now: datetime) -> None:
        settled = []
        for due in rows.due(db, rows.micros(now)):
            result = self._settle(settlement.decode(due.payload), due.signature, due.lands_at)
            fate = Fate.LANDED if result.error is None else Fate.REVERTED
            taken = None if result.amount_in is None else str(result.amount_in)
            amounts = (taken, str(result.amount_out), str(result.executed_price), str(result.fee))
            settled.append((fate, *amounts, result.error, due.signature))
        db.executemany(
            "UPDATE transactions SET fate = ?, amount_in = ?, amount_out = ?, executed_price = ?, fee = ?, error = ?"
            " WHERE signature = ?",
            settled,
        )

    def _look(self, db: sqlite3.Connection, swaps: Sequence[Swap], now: datetime) -> dict[str, Sighting]:
        found = rows.by_signature(db, swaps)
        read = [found.get(swap.signature) or rows.unseen(swap) for swap in swaps]
        seen = rows.sightings(read, rows.micros(now))
        # Saying that it expired is a promise, so it is written down: another process' clock may be behind.
        expired = [
            rows.transaction(swap, None, Fate.EXPIRED)
            for swap, sighting in zip(swaps, seen, strict=True)
            if sighting.status.fate is Fate.EXPIRED and found.get(swap.signature, ("", ""))[1] != Fate.EXPIRED
        ]
        if expired:
            db.executemany(
                f"{rows.INSERT_TRANSACTION} ON CONFLICT (signature) DO UPDATE SET fate = excluded.fate",  # nosec B608
                expired,
            )
        return {sighting.status.signature: sighting for sighting in seen}


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One write transaction. It locks at once, because a reader that becomes a writer may deadlock."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
