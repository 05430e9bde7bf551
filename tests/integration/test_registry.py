"""The tokens of a process follow the table."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings

from orders.ledger.statements import Connection
from routing.mock.tokens import REGISTRY, SOL, TOKENS
from routing.registry import NotRead, Registry
from routing.values import Token
from tests.waiting import until

MINT = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
INSERT = """
INSERT INTO routing_token (mint, symbol, name, decimals, program, extensions, verified, source, rank)
VALUES (%s, %s, '', 9, 'token', '[]', %s, 'test', 1000)
"""


@pytest.fixture
def database(database: Connection) -> Iterator[Connection]:
    database.execute("TRUNCATE routing_token")
    yield database
    database.execute("TRUNCATE routing_token")


@pytest.fixture
def registry(database: Connection) -> Iterator[Registry]:
    made = Registry(lambda: str(settings.DATABASE_URL), lambda: TOKENS)
    yield made
    made.close()


def test_the_tokens_of_the_world_are_added_where_they_are_missing(database: Connection, registry: Registry) -> None:
    assert registry.current().tokens == TOKENS
    rows = dict(database.execute("SELECT mint, symbol FROM routing_token WHERE verified").fetchall())
    assert rows == {token.mint: token.symbol for token in TOKENS}


FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON routing_token EXECUTE FUNCTION no_room()
"""


def test_they_are_known_while_the_table_takes_none(database: Connection, registry: Registry) -> None:
    database.execute(FULL)
    try:
        assert registry.current().tokens == TOKENS
    finally:
        database.execute("DROP TRIGGER no_room ON routing_token; DROP FUNCTION no_room")
    until(lambda: database.execute("SELECT 1 FROM routing_token").fetchone(), 30)


def test_what_an_operator_said_of_them_stays(database: Connection, registry: Registry) -> None:
    registry.current()
    database.execute("UPDATE routing_token SET verified = false WHERE mint = %s", (SOL.mint,))
    database.execute("DELETE FROM routing_token WHERE symbol = 'JUP'")
    found = registry.refresh()
    assert found.resolve("SOL") is None and found.resolve("JUP") is not None
    known = found.resolve(SOL.mint)
    assert known is not None and known.label == SOL.mint


def test_a_change_is_seen_within_a_second(database: Connection, registry: Registry) -> None:
    assert registry.current().resolve("WIF") is None
    database.execute(INSERT, (MINT, "WIF", True))
    changed = time.monotonic()
    until(lambda: registry.current().resolve("wif") is not None, 30)
    assert time.monotonic() - changed < 1
    pair = registry.current().pair_named("WIF-USDC")
    assert pair is not None and pair.token_in.mint == MINT
    database.execute("UPDATE routing_token SET verified = false WHERE mint = %s", (MINT,))
    until(lambda: registry.current().resolve("WIF") is None, 30)
    pair = registry.current().pair(MINT, "USDC")
    assert pair is not None and pair.name == f"{MINT}-USDC"


def test_a_change_is_seen_when_its_transaction_ends_however_long_that_takes(
    database: Connection, registry: Registry
) -> None:
    registry.current()
    with psycopg.connect(settings.DATABASE_URL) as late:
        late.execute(INSERT, (MINT, "WIF", True))
        assert registry.refresh().resolve("WIF") is None
        waiting = threading.Thread(target=database.execute, args=(INSERT, (MINT[::-1], "OTHER", True)))
        waiting.start()  # Waits for the other: versions come in the order of the commits.
        assert registry.refresh().resolve("OTHER") is None
        late.commit()
    waiting.join(30)
    found = registry.refresh()
    assert found.resolve("WIF") is not None and found.resolve("OTHER") is not None


def test_no_two_mints_have_one_verified_symbol(database: Connection, registry: Registry) -> None:
    registry.current()
    database.execute(INSERT, (MINT, "SOL", False))
    found = registry.refresh().resolve("SOL")
    assert found is not None and found.mint == SOL.mint
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("UPDATE routing_token SET symbol = 'sol', verified = true WHERE mint = %s", (MINT,))


def test_without_postgres_nothing_is_guessed(database: Connection) -> None:
    url = ["postgresql:///none?host=/nowhere"]
    registry = Registry(lambda: url[0], lambda: TOKENS)
    try:
        for _ in range(2):
            with pytest.raises(NotRead):
                registry.current()
        url[0] = str(settings.DATABASE_URL)
        until(lambda: read(registry) == TOKENS, 30)
    finally:
        registry.close()


def test_a_look_up_costs_nothing(registry: Registry) -> None:
    registry.current()
    began, looks = time.perf_counter(), 100_000
    for _ in range(looks):
        registry.current()
    assert (time.perf_counter() - began) / looks < 5e-6
    assert REGISTRY.tokens == registry.current().tokens


def read(registry: Registry) -> tuple[Token, ...]:
    try:
        return registry.refresh().tokens
    except NotRead:
        return ()
