"""The tokens and permits of this process: their tables, read again within half a second of a change.

A thread of its own reads, so that a look-up costs the reading of an attribute and waits for nothing.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from routing.permits import Permit, Permits
from routing.tokens import Tokens
from routing.values import Program, Token, VenueName
from runtime.follower import Connection, Follower

log = logging.getLogger(__name__)

EVERY_S = 0.5
"""Between two looks at the version of the table: changes are promised to be seen within a second."""
SQL = Path(__file__).parent / "sql"
READ, VERSION, ADD, PERMITS = (
    (SQL / f"{name}.sql").read_text() for name in ("tokens", "token_version", "add_tokens", "permits")
)


class NotRead(psycopg.OperationalError):
    """The table of tokens has not been read yet: Postgres did not answer."""


class Registry:
    """`url` is asked for when reading begins; `built_in` gives the tokens that come with this world, which are added to the
    table where they are missing."""

    def __init__(self, url: Callable[[], str], built_in: Callable[[], Iterable[Token]]) -> None:
        self._built_in = built_in
        self._tokens: Tokens | None = None
        self._permits = Permits()
        self._version: int | None = None
        self._follower = Follower("tokens", "the tokens", url, self._look, every_s=EVERY_S)

    def current(self) -> Tokens:
        """The tokens of at most a second ago; older ones while Postgres is away. Raises `NotRead`.

        Waits at most once in a process, for the first look.
        """
        found = self._tokens
        if found is None:
            self._follower.first()
            found = self._tokens
        if found is None:
            raise NotRead("the tokens are not known yet: Postgres does not answer")
        return found

    def permits(self) -> Permits:
        """What pairs may use, as young as `current`. Raises `NotRead`: nobody trades where it must not meanwhile."""
        self.current()
        return self._permits

    def refresh(self) -> Tokens:
        """The tokens with every change that was committed before this call, if Postgres answers. Blocks."""
        self._follower.refresh()
        return self.current()

    def fix(self, tokens: Tokens) -> None:
        """These are the tokens, without a table and without permits: for programs without a database."""
        self._tokens = tokens

    def close(self) -> None:
        """Ends the reading; who asks later begins anew."""
        self._follower.close()
        self._tokens = self._version = None

    def _look(self, connection: Connection) -> None:
        row = connection.execute(VERSION, prepare=True).fetchone()
        version = row[0] if row else None
        # The version is read first: a change that comes between the two is read twice, not missed.
        if version != self._version or self._tokens is None:
            tokens, complete = self._read(connection)
            rows = connection.execute(PERMITS)
            self._permits = Permits((base, quote, permit_of(*said)) for base, quote, *said in rows)
            self._tokens = tokens
            self._version = version if complete else None  # Asked again until the table holds them.

    def _read(self, connection: Connection) -> tuple[Tokens, bool]:
        """And whether the table holds all of them: it takes none while the disk is full or the server read-only, and what
        comes with this world is known all the same."""
        known = [token_of(row) for row in connection.execute(READ)]
        missing = set(self._built_in()) - set(known)
        if missing:
            rows = json.dumps([{**asdict(token), "extensions": list(token.extensions)} for token in missing])
            try:
                connection.execute(ADD, {"tokens": rows})
            except (psycopg.errors.DiskFull, psycopg.errors.ReadOnlySqlTransaction) as error:
                log.warning("tokens that come with this world are not kept yet: %s", str(error).strip())
                mints = {token.mint for token in known}
                return Tokens([*known, *(token for token in missing if token.mint not in mints)]), False
            known = [token_of(row) for row in connection.execute(READ)]
        return Tokens(known), True


def permit_of(venue: str, pool: str, least: Decimal) -> Permit:
    return Permit(VenueName(venue), pool, least)


def token_of(row: tuple[Any, ...]) -> Token:
    """A token of a row of `tokens.sql`."""
    symbol, mint, decimals, program, verified, name, extensions, *others = row
    return Token(symbol, mint, decimals, Program(program), verified, name, tuple(extensions), *others)
