"""Checkpoints of books: an answer that begins at one says what folding all fills says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from accounts.models import Account
from books.checkpoints import newest
from books.fills import EARLIEST, LATEST, connected
from books.following import horizon_of
from books.keeper import BEHIND, Keeper
from books.reading import books
from books.statement import Books, Line
from orders.ledger.horizon import GRACE_S
from orders.ledger.statements import Connection
from orders.recovery.retention import purge
from routing.mock.tokens import BONK, JUP, SOL, USDC
from tests import waiting
from tests.factories import connect

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
EVERY, MANY = 100, 1_050
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
TRADED = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch,
    attempts, resting, created_at, updated_at, finished_at, tx_hash, amount_in, amount_out, executed_price, fee, venue, mode)
SELECT overlay(gen_random_uuid()::text placing '0190a0b0' from 1 for 8)::uuid,
    %(account)s, '', 'market', CASE WHEN buys THEN quote ELSE base END, CASE WHEN buys THEN base ELSE quote END, 1, 50,
    'confirmed', 5, 1, 1, false, at, at, at, 'signature-' || n, gives, takes, takes / gives, 0.4, 'RAYDIUM', 'mock'
FROM generate_series(1, %(many)s) AS n
-- Several of one moment, as a group commit makes them.
CROSS JOIN LATERAL (SELECT %(began)s + (n / 3) * %(step)s AS at, random() < 0.55 AS buys,
    round((0.01 + random())::numeric, 9) AS gives, round((0.01 + random())::numeric, 9) AS takes) t
CROSS JOIN LATERAL (SELECT (%(base)s::text[])[1 + n %% 3] AS base, (%(quote)s::text[])[1 + n %% 3] AS quote) p
"""


def trade(
    connection: Connection,
    account: int,
    many: int = MANY,
    began: datetime = BEGAN,
    step: timedelta = timedelta(minutes=1),
) -> None:
    """Three fills a step."""
    pairs = {"base": [SOL.mint, JUP.mint, BONK.mint], "quote": [USDC.mint, USDC.mint, SOL.mint]}
    connection.execute(TRADED, {"account": account, "many": many, "began": began, "step": step, **pairs})


@pytest.fixture
def traded(database: Connection, account: int) -> int:
    trade(database, account)
    return account


def kept(connection: Connection, keeper: Keeper | None = None) -> int:
    """How many checkpoints are written until none is due."""
    keeper, written = keeper or Keeper("mock", EVERY), 0
    horizon, now = horizon_of(connection)
    keeper._look_at = float("-inf")
    while more := keeper.keep(connection, now, horizon):
        written += more
    return written


def read(account: int, **asked: Any) -> Books:
    with connected() as connection:
        return books(connection, account, "mock", **asked)


def lines(found: Books) -> dict[Any, tuple[Any, ...]]:
    def plain(line: Line) -> tuple[Any, ...]:
        return tuple(getattr(line, name) for name in Line.__slots__)

    return {place: plain(line) for place, line in found.lines.items()}


ASKED: list[dict[str, Any]] = [
    {},
    {"until": BEGAN + timedelta(minutes=200)},
    {"period": "day", "since": BEGAN + timedelta(minutes=123), "until": BEGAN + timedelta(minutes=300)},
    {"period": "hour", "since": BEGAN + timedelta(minutes=240)},
    {"period": "hour", "since": EARLIEST},
]


@pytest.fixture
def unchanged(traded: int) -> Iterator[None]:
    """What is read at the end is what was read without a checkpoint."""
    before = [read(traded, **asked) for asked in ASKED]
    yield
    for asked, was in zip(ASKED, before, strict=True):
        now = read(traded, **asked)
        assert now.positions == was.positions and lines(now) == lines(was), asked


def test_answers_from_checkpoints_are_those_of_all_fills(database: Connection, traded: int, unchanged: None) -> None:
    assert kept(database) == MANY // EVERY
    assert kept(database) == 0, "none is due, and those that stand are right"
    found = newest(database, traded, "mock", LATEST)
    assert found is not None and found.fills == MANY // EVERY * EVERY


def test_an_answer_folds_what_follows_the_newest_checkpoint(database: Connection, traded: int) -> None:
    """Nothing before it is read: here it is not even what it was."""
    kept(database)
    before = read(traded)
    database.execute(
        "UPDATE orders_order SET amount_out = 2 * amount_out WHERE finished_at < %s", [BEGAN + timedelta(minutes=200)]
    )
    assert read(traded).positions == before.positions


def test_purged_orders_are_in_checkpoints_as_before(database: Connection, traded: int, unchanged: None) -> None:
    kept(database)
    assert purge(database, days=30) == MANY
    assert kept(database, Keeper("mock", EVERY)) == 0


def test_two_keepers_write_the_same(database: Connection, traded: int, unchanged: None) -> None:
    one, other = Keeper("mock", EVERY), Keeper("mock", EVERY)
    kept(database, one)
    database.execute("DELETE FROM books_checkpoint WHERE fills > 300")
    kept(database, other)
    assert kept(database, one) == 0
    [[rows, highest]] = database.execute("SELECT count(*), max(fills) FROM books_checkpoint").fetchall()
    assert (rows, highest) == (MANY // EVERY, MANY // EVERY * EVERY)


def test_no_checkpoint_stands_where_a_fill_may_still_appear(database: Connection, account: int) -> None:
    trade(database, account, MANY, datetime.now(UTC) - timedelta(seconds=MANY / 3), timedelta(seconds=1))
    kept(database)
    found = newest(database, account, "mock", LATEST)
    assert found is not None and found.at < datetime.now(UTC) - BEHIND


def test_the_horizon_waits_for_who_is_writing(database: Connection) -> None:
    with connect() as other, other.transaction():
        [[began]] = other.execute("SELECT now() FROM (SELECT pg_current_xact_id()) x").fetchall()
        database.execute("SELECT pg_sleep(%s)", [2 * GRACE_S])
        horizon, now = horizon_of(database)
        assert horizon < began < now - timedelta(seconds=GRACE_S)
    waiting.until(lambda: horizon_of(database)[0] > began, 30)


def test_a_fill_that_appears_before_checkpoints_ends_them(database: Connection, traded: int) -> None:
    """As after a step of the clock that nobody saw, or a change by hand."""
    keeper = Keeper("mock", EVERY)
    kept(database, keeper)
    trade(database, traded, 3, BEGAN + timedelta(minutes=150))
    for _ in range(10):  # A few checkpoints are looked at at a time.
        kept(database, keeper)
    from_checkpoints = read(traded)
    [[count]] = database.execute("SELECT count(*) FROM books_checkpoint").fetchall()
    database.execute("TRUNCATE books_checkpoint")
    assert read(traded).positions == from_checkpoints.positions and count == (MANY + 3) // EVERY


def test_a_clock_that_is_set_back_ends_what_it_may_pass_again(database: Connection, account: int) -> None:
    now = datetime.now(UTC)
    trade(database, account, MANY, now - timedelta(minutes=MANY // 3 + 5))
    keeper = Keeper("mock", EVERY)
    kept(database, keeper)
    written = newest(database, account, "mock", LATEST)
    assert written is not None
    back = written.at + timedelta(seconds=30)  # Less than BEHIND before it.
    keeper.keep(database, back, back, timedelta(seconds=1))
    left = newest(database, account, "mock", LATEST)
    assert left is not None and left.fills == written.fills - EVERY
    # What is ahead of the clock is not used either.
    database.execute("UPDATE books_checkpoint SET at = now() + interval '1 minute' WHERE fills = %s", [left.fills])
    earlier = newest(database, account, "mock", LATEST)
    assert earlier is not None and earlier.fills == left.fills - EVERY


def test_positions_that_have_another_quote_token_by_now_are_folded_again(
    database: Connection, traded: int, unchanged: None
) -> None:
    keeper = Keeper("mock", EVERY)
    kept(database, keeper)
    before, right = read(traded), newest(database, traded, "mock", LATEST)
    assert right is not None
    turned = [[each[1], each[0], *each[2:]] for each in msgspec.json.decode(right.positions)]
    database.execute(
        "UPDATE books_checkpoint SET positions = %s::jsonb WHERE fills = %s",
        [msgspec.json.encode(turned).decode(), right.fills],
    )
    assert read(traded).positions == before.positions
    for _ in range(10):
        kept(database, keeper)
    assert newest(database, traded, "mock", LATEST) == right


def test_an_account_and_a_mode_have_their_own(database: Connection, traded: int) -> None:
    database.execute(
        "UPDATE orders_order SET mode = 'localnet' WHERE finished_at >= %s", [BEGAN + timedelta(minutes=170)]
    )
    trade(database, int(Account.objects.get_or_create(name="other")[0].pk), EVERY - 1)
    kept(database)
    kept(database, Keeper("localnet", EVERY))
    rows = database.execute(
        "SELECT account_id, mode, max(fills) FROM books_checkpoint GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    assert [row[:2] for row in rows] == [(traded, "localnet"), (traded, "mock")]
    assert sum(row[2] for row in rows) == MANY // EVERY * EVERY
