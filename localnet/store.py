"""The chain's state on disk: one SQLite transaction a block, on disk before anybody is told of the block."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 0), slot INTEGER, height INTEGER, faucet BLOB);
CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, slot INTEGER, blockhash TEXT, at INTEGER);
CREATE TABLE IF NOT EXISTS accounts (address BLOB PRIMARY KEY, lamports INTEGER, owner BLOB, data BLOB, executable INTEGER);
CREATE TABLE IF NOT EXISTS transactions (
    signature TEXT PRIMARY KEY, slot INTEGER, height INTEGER, place INTEGER, err TEXT, raw BLOB, meta TEXT);
CREATE INDEX IF NOT EXISTS transactions_of_height ON transactions (height);
CREATE TABLE IF NOT EXISTS mentions (
    address TEXT, slot INTEGER, place INTEGER, signature TEXT, PRIMARY KEY (address, slot, place)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mentions_of_slot ON mentions (slot);
CREATE TABLE IF NOT EXISTS notes (kind TEXT, name TEXT, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""


class Landed(msgspec.Struct, frozen=True):
    """A transaction in a block; `err` is the JSON form of Solana's TransactionError, None where it succeeded."""

    signature: str
    slot: int
    height: int
    place: int
    err: Any
    raw: bytes
    meta: dict[str, Any]
    """As `getTransaction` answers it."""
    keys: tuple[str, ...]


class Block(msgspec.Struct, frozen=True):
    height: int
    slot: int
    blockhash: str
    at: int
    """Unix time in seconds."""


class Store:
    """Raises `sqlite3.OperationalError` while the disk takes nothing; the block is then not made."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "localnet.sqlite3", isolation_level=None)
        # FULL: what was reported as landed outlives the machine, not just this process.
        self._db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")

    def close(self) -> None:
        self._db.close()

    def meta(self) -> tuple[int, int, bytes] | None:
        """(slot, height, the faucet's key); None in a new folder."""
        found: tuple[int, int, bytes] | None = self._db.execute("SELECT slot, height, faucet FROM meta").fetchone()
        return found

    def note(self, kind: str, name: str, value: Any) -> None:
        """Keeps what is no part of the chain: tokens' symbols, what markets are held at. JSON."""
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (kind, name, encode(value)))

    def notes(self, kind: str) -> dict[str, Any]:
        rows = self._db.execute("SELECT name, value FROM notes WHERE kind = ?", (kind,))
        return {name: json.loads(value) for name, value in rows}

    def begin_at(self, slot: int, height: int, faucet: bytes) -> None:
        self._db.execute("INSERT INTO meta VALUES (0, ?, ?, ?)", (slot, height, faucet))

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        for address, lamports, owner, data, executable in self._db.execute("SELECT * FROM accounts"):
            yield (
                Pubkey.from_bytes(address),
                Account(lamports=lamports, data=data, owner=Pubkey.from_bytes(owner), executable=bool(executable)),
            )

    def write(self, block: Block, landed: Sequence[Landed], accounts: Iterable[tuple[Pubkey, Account | None]]) -> None:
        """A block with its transactions and the accounts that changed (None: the account is gone)."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("UPDATE meta SET slot = ?, height = ?", (block.slot, block.height))
            db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (block.height, block.slot, block.blockhash, block.at))
            db.executemany(
                "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        each.signature,
                        each.slot,
                        each.height,
                        each.place,
                        json.dumps(each.err),
                        each.raw,
                        encode(each.meta),
                    )
                    for each in landed
                ),
            )
            db.executemany(
                "INSERT INTO mentions VALUES (?, ?, ?, ?)",
                ((key, each.slot, each.place, each.signature) for each in landed for key in dict.fromkeys(each.keys)),
            )
            self._write_accounts(accounts)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def drop(self, height: int, slot: int, accounts: Iterable[tuple[Pubkey, Account | None]]) -> None:
        """Everything above the height, as a fork takes it back; the accounts are as they were."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM mentions WHERE slot > ?", (self._slot_of(height),))
        db.execute("DELETE FROM transactions WHERE height > ?", (height,))
        db.execute("DELETE FROM blocks WHERE height > ?", (height,))
        db.execute("UPDATE meta SET slot = ?, height = ?", (slot, height))
        self._write_accounts(accounts)
        db.execute("COMMIT")

    def _slot_of(self, height: int) -> int:
        row = self._db.execute("SELECT slot FROM blocks WHERE height = ?", (height,)).fetchone()
        return int(row[0]) if row else 0

    def _write_accounts(self, accounts: Iterable[tuple[Pubkey, Account | None]]) -> None:
        for address, account in accounts:
            if account is None:
                self._db.execute("DELETE FROM accounts WHERE address = ?", (bytes(address),))
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)",
                    (bytes(address), account.lamports, bytes(account.owner), account.data, account.executable),
                )

    def blocks(self, above: int) -> list[Block]:
        rows = self._db.execute("SELECT * FROM blocks WHERE height > ? ORDER BY height", (above,))
        return [Block(*row) for row in rows]

    def statuses(self, above: int) -> list[tuple[str, int, int, Any]]:
        """(signature, slot, height, error) of all transactions above the height."""
        rows = self._db.execute("SELECT signature, slot, height, err FROM transactions WHERE height > ?", (above,))
        return [(signature, slot, height, json.loads(err)) for signature, slot, height, err in rows]

    def status(self, signature: str) -> tuple[int, int, Any] | None:
        row = self._db.execute(
            "SELECT slot, height, err FROM transactions WHERE signature = ?", (signature,)
        ).fetchone()
        return (row[0], row[1], json.loads(row[2])) if row else None

    def transaction(self, signature: str) -> tuple[int, int, int, bytes, dict[str, Any]] | None:
        """(slot, height, block time, bytes, meta)."""
        row = self._db.execute(
            "SELECT t.slot, t.height, b.at, t.raw, t.meta FROM transactions t JOIN blocks b USING (height)"
            " WHERE signature = ?",
            (signature,),
        ).fetchone()
        return (*row[:4], json.loads(row[4])) if row else None

    def forget(self, address: str, below_slot: int) -> None:
        """Drops an address's older transactions from the history."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        places = "FROM mentions WHERE address = ? AND slot < ?"
        db.execute(f"DELETE FROM transactions WHERE signature IN (SELECT signature {places})", (address, below_slot))  # nosec B608
        db.execute(f"DELETE FROM mentions WHERE (slot, place) IN (SELECT slot, place {places})", (address, below_slot))  # nosec B608
        db.execute("COMMIT")

    def place(self, signature: str) -> tuple[int, int] | None:
        """(slot, place in its block)."""
        return self._db.execute("SELECT slot, place FROM transactions WHERE signature = ?", (signature,)).fetchone()  # type: ignore[no-any-return]

    def signatures(
        self, address: str, *, before: tuple[int, int], limit: int
    ) -> list[tuple[str, int, int, Any, int, bytes]]:
        """(signature, slot, height, error, block time, bytes) of an address's transactions, newest first.

        `before`: (slot, place) of the first that is left out.
        """
        rows = self._db.execute(
            "SELECT m.signature, m.slot, t.height, t.err, b.at, t.raw FROM mentions m JOIN transactions t USING (signature)"
            " JOIN blocks b USING (height) WHERE m.address = ?"
            " AND (m.slot, m.place) < (?, ?) ORDER BY m.slot DESC, m.place DESC LIMIT ?",
            (address, *before, limit),
        )
        return [(signature, slot, height, json.loads(err), at, raw) for signature, slot, height, err, at, raw in rows]

    def of_slot(self, slot: int) -> tuple[Block, list[tuple[bytes, dict[str, Any]]]] | None:
        """A block and its transactions, in order."""
        found = self._db.execute("SELECT * FROM blocks WHERE slot = ?", (slot,)).fetchone()
        if found is None:
            return None
        rows = self._db.execute("SELECT raw, meta FROM transactions WHERE slot = ? ORDER BY place", (slot,))
        return Block(*found), [(raw, json.loads(meta)) for raw, meta in rows]

    def slots(self, first: int, last: int) -> list[int]:
        return [row[0] for row in self._db.execute("SELECT slot FROM blocks WHERE slot BETWEEN ? AND ?", (first, last))]


def encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
