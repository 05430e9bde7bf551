"""Money that is worth nothing: what wallets hold on paper, and which paper transactions have landed, in Postgres.

All processes of an engine share it, so that a takeover finds the same fate. What lands is decided once, under its row's lock,
together with what it moves.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from routing.values import Fate, Fill, SwapStatus
from runtime.postgres import CONNECT, set_up

SQL = Path(__file__).parent / "sql"
HOLDINGS, GIVE, TAKE, SEND, SEEN, LOCK, SETTLE = (
    (SQL / f"paper_{name}.sql").read_text() for name in ("holdings", "give", "take", "send", "seen", "lock", "settle")
)
STATEMENT_TIMEOUT_MS = 3_000
encode = msgspec.json.Encoder(decimal_format="string").encode


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a transaction, beside its fate."""

    fill: Fill | None = None
    error: str | None = None
    message: str | None = None


class Known(msgspec.Struct, frozen=True):
    """A transaction that was sent."""

    fate: Fate | None
    """None: not decided yet."""
    outcome: Outcome
    age_s: float

    def status(self, signature: str) -> SwapStatus:
        outcome = self.outcome
        return SwapStatus(signature, self.fate or Fate.PENDING, outcome.fill, outcome.error, outcome.message)


class Move(msgspec.Struct, frozen=True):
    """What a landed transaction changes of a wallet; base units by mint, SOL under that of wrapped SOL."""

    wallet: str
    takes: Sequence[tuple[str, int]] = ()
    gives: Sequence[tuple[str, int]] = ()


class PaperStore:
    """One connection for all threads of the process. Everything blocks, and raises `psycopg.Error`."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def holdings(self, wallets: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Wallet → mint → base units."""
        found: dict[str, dict[str, int]] = {wallet: {} for wallet in wallets}
        for wallet, mint, units in self._run(lambda c: c.execute(HOLDINGS, {"wallets": list(wallets)}).fetchall()):
            found[wallet][mint] = int(units)
        return found

    def give(self, wallet: str, mint: str, units: int) -> None:
        self._run(lambda c: c.execute(GIVE, {"wallet": wallet, "mint": mint, "units": units}))

    def send(self, signature: str, reference: str) -> None:
        """Again: the same."""
        self._run(lambda c: c.execute(SEND, {"signature": signature, "reference": reference, "fate": None}))

    def bury(self, signature: str, reference: str) -> None:
        """One that was never sent lands no more, whoever sends it later."""
        fields = {"signature": signature, "reference": reference, "fate": Fate.EXPIRED}
        self._run(lambda c: c.execute(SEND, fields))

    def seen(self, signatures: Sequence[str]) -> Mapping[str, Known]:
        rows = self._run(lambda c: c.execute(SEEN, {"signatures": list(signatures)}).fetchall())
        return {
            signature: Known(
                None if fate is None else Fate(fate),
                Outcome() if outcome is None else msgspec.convert(outcome, Outcome),
                age_s,
            )
            for signature, fate, outcome, age_s in rows
        }

    def settle(self, signature: str, fate: Fate, outcome: Outcome, move: Move | None = None) -> bool:
        """Decides the fate of a transaction that was sent, and makes its move. False: it was decided already, or the wallet has
        less than the move takes, and nothing has changed."""
        made = move or Move("")

        def decide(connection: psycopg.Connection[Any]) -> bool:
            with connection.transaction() as decision:
                if connection.execute(LOCK, {"signature": signature}).fetchone() is None:
                    return False
                for mint, units in made.takes:
                    taken = {"wallet": made.wallet, "mint": mint, "units": units}
                    if units and connection.execute(TAKE, taken).fetchone() is None:
                        raise psycopg.Rollback(decision)
                for mint, units in made.gives:
                    connection.execute(GIVE, {"wallet": made.wallet, "mint": mint, "units": units})
                written = {"signature": signature, "fate": fate, "outcome": encode(outcome).decode()}
                connection.execute(SETTLE, written)
                return True
            return False

        return bool(self._run(decide))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, act: Callable[[psycopg.Connection[Any]], Any]) -> Any:
        with self._lock:
            if self._connection is None or self._connection.closed or self._connection.broken:
                self._connection = psycopg.connect(self._url(), autocommit=True, application_name="paper", **CONNECT)
                set_up(self._connection, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
            return act(self._connection)
