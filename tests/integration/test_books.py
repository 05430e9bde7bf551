"""Fills, positions and statements, from orders as the ledger confirms them."""

import csv
import io
import json
import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings

from accounts.models import Account, ApiKey, digest
from books import audit, export
from books.fills import BATCH, EARLIEST, LATEST, Wanted, batches, connected
from books.views import all_fills
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from orders.recovery.retention import purge
from routing.mock.tokens import JUP, SOL, USDC
from tests.factories import accepted, change, claimed, filled, new_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
KEY = "oe_books_tests"
MANY = 100_000
FILLED = """
INSERT INTO orders_order (id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch,
    attempts, resting, created_at, updated_at, finished_at, tx_hash, amount_in, amount_out, executed_price, fee, venue, mode)
SELECT overlay(gen_random_uuid()::text placing '0190a0b0' from 1 for 8)::uuid,
    %(account)s, '', 'market', %(sold)s, %(bought)s, 1, 50, 'confirmed', 5, 1, 1, false, at, at, at,
    'signature-' || n, 1, 150.123456, 150.123456, 0.4, 'RAYDIUM', 'mock'
FROM generate_series(1, %(many)s) AS n, LATERAL (SELECT timestamptz '2025-01-01' + n * interval '1 second' AS at) AS t
"""


@pytest.fixture
def api(database: Connection, account: int) -> Client:
    ApiKey.objects.get_or_create(
        hash=digest(KEY), defaults={"account_id": account, "prefix": KEY[:10], "scopes": ["trade", "read"]}
    )
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {KEY}"})


def got(api: Client, path: str, **asked: Any) -> Any:
    answer = api.get(path, asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


async def body(api: Any) -> bytes:
    return b"".join([piece async for piece in api.streaming_content])


def streamed(api: Client, path: str, **asked: Any) -> str:
    """Read on an event loop, as the server does."""
    from asgiref.sync import async_to_sync

    answer = api.get(path, asked)
    assert answer.status_code == 200, answer
    text = async_to_sync(body)(answer).decode()
    answer.close()
    return text


@pytest.fixture
def sold(database: Connection, account: int) -> list[UUID]:
    chain = [
        {"kind": "venue", "token": USDC.mint, "amount": "0.4"},
        {"kind": "network", "token": SOL.mint, "amount": "0.000005"},
    ]
    return [
        filled(database, account, token_in=USDC.mint, token_out=SOL.mint, amount_in="300", amount_out="2", fees=chain),
        filled(database, account, amount_in="0.5", amount_out="80", fees=chain),
        filled(database, account, token_in=USDC.mint, token_out=JUP.mint, amount_in="10", amount_out="20"),
    ]


def test_a_fill_is_what_a_confirmed_order_says(api: Client, sold: list[UUID]) -> None:
    fills = got(api, "/api/fills")["fills"]
    assert [fill["orderId"] for fill in fills] == [str(each) for each in reversed(sold)]
    order = got(api, f"/api/orders/{sold[1]}")
    shared = fills[1].keys() & order.keys()
    assert {name: fills[1][name] for name in shared - {"seq"}} == {name: order[name] for name in shared - {"seq"}}
    assert {"amountIn", "amountOut", "fees", "txHash", "venue", "mode", "mintIn"} <= shared
    assert fills[1]["price"] == order["executedPrice"] and fills[1]["at"] == order["updatedAt"]
    # The mock, and older rows, tell the venue's fee alone.
    assert fills[0]["fees"] == [{"kind": "venue", "token": JUP.mint, "amount": "0.4"}]


def test_only_confirmed_orders_of_the_account_are_fills(
    api: Client, database: Connection, account: int, sold: list[UUID]
) -> None:
    other = int(Account.objects.get_or_create(name="other")[0].pk)
    filled(database, other)
    accepted(database, new_order(account))
    failed = claimed(database, accepted(database, new_order(account)))
    assert all(statements.record(database, [change(failed, Event.FAIL)]))
    assert len(got(api, "/api/fills")["fills"]) == len(sold)
    assert got(api, "/api/account")["fills"] == len(sold)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"token": "jup"}, [2]),
        ({"pair": "SOL-USDC"}, [1]),
        ({"pair": "USDC-SOL"}, [0]),
        ({"order": "asc"}, [0, 1, 2]),
        ({"venue": "RAYDIUM", "order": "asc"}, [0, 1, 2]),
        ({"venue": "METEORA"}, []),
        ({"mode": "localnet"}, []),
        ({"to": "2026-01-01T00:00:00Z"}, []),
    ],
)
def test_fills_are_found(api: Client, sold: list[UUID], asked: dict[str, str], found: list[int]) -> None:
    assert [each["orderId"] for each in got(api, "/api/fills", **asked)["fills"]] == [str(sold[n]) for n in found]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_fills_follow_each_other(api: Client, database: Connection, sold: list[UUID], order: str) -> None:
    database.execute("UPDATE orders_order SET finished_at = '2026-01-01'")  # Of one moment: the id decides.
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = got(api, "/api/fills", limit=1, order=order, **cursor)
        seen += [fill["orderId"] for fill in page["fills"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == sorted(map(str, sold), reverse=order == "desc")


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("/api/fills", {"from": "yesterday"}, "from"),
        ("/api/fills", {"venue": "NOWHERE"}, "venue"),
        ("/api/fills.csv", {"limit": "5"}, "limit"),
        ("/api/fills.ndjson", {"token": "XXX"}, "token"),
        ("/api/statement", {"every": "week"}, "every"),
        ("/api/statement", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ("/api/statement.csv", {"from": "2020-01-01T00:00:00Z"}, "from"),
        ("/api/positions", {"token": "SOL"}, "token"),
    ],
)
def test_what_is_not_understood_is_refused(api: Client, path: str, asked: dict[str, str], field: str) -> None:
    answer = api.get(path, asked, headers={"Accept": "text/csv"} if path.endswith("csv") else {})
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["error"]["details"]) == [field]


def test_positions_by_average_cost(api: Client, sold: list[UUID]) -> None:
    found = {each["token"]: each for each in got(api, "/api/positions")["positions"]}
    sol = found["SOL"]
    expected = {
        "amount": "1.5",
        "cost": "225",
        "averagePrice": "150",
        "realised": "5",
        "quoteToken": "USDC",
        "fills": 2,
    }
    assert {name: sol[name] for name in expected} == expected
    assert sol["fees"] == [
        {"kind": "network", "token": SOL.mint, "amount": "0.00001"},
        {"kind": "venue", "token": USDC.mint, "amount": "0.8"},
    ]
    assert Decimal(sol["unrealised"]) == Decimal(sol["amount"]) * Decimal(sol["price"]) - 225
    assert Decimal(sol["value"]) == Decimal("1.5") * Decimal(sol["price"])
    account = got(api, "/api/account")
    assert account["realised"] == [{"token": "USDC", "mint": USDC.mint, "amount": "5"}]
    assert account["account"] == "tester" and account["mode"] == "mock" and account["openOrders"] == 0


def test_an_unknown_price_is_null(api: Client, database: Connection, account: int, sold: list[UUID]) -> None:
    nobody_trades_it = "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs"
    filled(database, account, token_in=USDC.mint, token_out=nobody_trades_it, amount_in="50", amount_out="7")
    [unknown] = [each for each in got(api, "/api/positions")["positions"] if each["mint"] == nobody_trades_it]
    assert [unknown[name] for name in ("price", "value", "unrealised")] == [None, None, None]
    assert unknown["cost"] == "50"
    # A sum of what is partly unknown is unknown.
    assert got(api, "/api/account")["unrealised"] == []


def test_a_mode_has_its_own_positions(api: Client, database: Connection, sold: list[UUID]) -> None:
    database.execute("UPDATE orders_order SET mode = 'localnet' WHERE id = %s", [sold[2]])
    assert [each["token"] for each in got(api, "/api/positions")["positions"]] == ["SOL"]


def test_purged_orders_stay_in_the_books(api: Client, database: Connection, sold: list[UUID]) -> None:
    database.execute("UPDATE orders_order SET finished_at = finished_at - interval '40 days'")
    positions = [{**each, "price": 0, "value": 0, "unrealised": 0} for each in got(api, "/api/positions")["positions"]]
    fills, exported = got(api, "/api/fills"), streamed(api, "/api/fills.csv")
    database.execute("UPDATE orders_order SET id = overlay(id::text placing '0190a0b0' from 1 for 8)::uuid")
    renamed = got(api, "/api/fills")
    assert purge(database, days=30) == len(sold)
    assert got(api, "/api/fills") == renamed and len(renamed["fills"]) == len(fills["fills"])
    assert len(streamed(api, "/api/fills.csv").splitlines()) == len(exported.splitlines())
    after = [{**each, "price": 0, "value": 0, "unrealised": 0} for each in got(api, "/api/positions")["positions"]]
    assert after == positions


def test_a_statement_has_a_line_for_each_day_and_position(api: Client, database: Connection, sold: list[UUID]) -> None:
    for n, order_id in enumerate(sold):
        database.execute(
            "UPDATE orders_order SET finished_at = %s WHERE id = %s", [f"2026-03-0{n + 1}T23:30:00Z", order_id]
        )
    asked = {"from": "2026-03-02T12:00:00Z", "to": "2026-03-03T12:00:00Z"}
    found = got(api, "/api/statement", **asked)
    assert (found["from"], found["to"]) == ("2026-03-02T00:00:00.000000Z", "2026-03-04T00:00:00.000000Z")
    first, second = found["lines"]
    expected = {"opening": "2", "bought": "0", "sold": "0.5", "closing": "1.5", "received": "80", "realised": "5"}
    assert {name: first[name] for name in expected} == expected and first["begin"] == "2026-03-02T00:00:00.000000Z"
    assert (second["token"], second["opening"], second["closing"]) == ("JUP", "0", "20")
    hours = got(api, "/api/statement", every="hour", **asked)["lines"]
    assert [line["begin"][11:13] for line in hours] == ["23"] and hours[0]["realised"] == "5"
    rows = list(csv.DictReader(io.StringIO(streamed(api, "/api/statement.csv", **asked))))
    assert [(row["token"], row["realised"], row["networkFee"]) for row in rows] == [
        ("SOL", "5", "0.000005"),
        ("JUP", "0", ""),
    ]


def test_exports_say_what_lists_say(api: Client, sold: list[UUID]) -> None:
    fills = got(api, "/api/fills", order="asc")["fills"]
    assert [json.loads(line) for line in streamed(api, "/api/fills.ndjson").splitlines()] == fills
    rows = list(csv.DictReader(io.StringIO(streamed(api, "/api/fills.csv"))))
    plain = fills[0].keys() - {"fees"}
    for row, fill in zip(rows, fills, strict=True):
        assert {name: row[name] for name in plain} == {
            name: "" if fill[name] is None else str(fill[name]) for name in plain
        }
    assert (rows[0]["venueFee"], rows[0]["venueFeeToken"], rows[0]["networkFee"]) == ("0.4", USDC.mint, "0.000005")
    assert streamed(api, "/api/fills.ndjson", to="2026-01-01T00:00:00Z") == ""


FORMULAS = ['=HYPERLINK("http://evil.example","x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "＝1"]


def test_no_cell_is_a_formula(api: Client, database: Connection, account: int, sold: list[UUID]) -> None:
    """Whoever names an order writes into somebody's spreadsheet."""
    plain = ["a=b", "-12.5", "'quoted", ""]
    for name in [*FORMULAS, *plain]:
        database.execute("UPDATE orders_order SET client_order_id = %s WHERE id = %s", [name, sold[1]])
        row = next(
            row
            for row in csv.DictReader(io.StringIO(streamed(api, "/api/fills.csv"), newline=""))
            if row["tokenIn"] == "SOL"
        )
        assert row["clientOrderId"] == (f"'{name}" if name in FORMULAS else name)
    # A number that is negative is one.
    filled(database, account, amount_in="5", amount_out="700")
    lines = csv.DictReader(io.StringIO(streamed(api, "/api/statement.csv")))
    assert "-3.5" in [line["closing"] for line in lines]


def test_a_page_of_fills_opens_no_connection(api: Client, sold: list[UUID]) -> None:
    """It is asked for again and again: it uses those that are open."""
    before = got(api, "/api/fills")
    with override_settings(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere"):
        assert got(api, "/api/fills") == before


def test_exports_wait_for_a_turn(api: Client, sold: list[UUID]) -> None:
    held = [api.get("/api/fills.csv") for _ in range(export.MAX_AT_ONCE)]
    refused = api.get("/api/fills.csv")
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "UNAVAILABLE"
    for each in held:  # Nobody has read them: the client went away.
        each.close()
        each.close()
    for slot in range(export.MAX_AT_ONCE):
        assert export.slots.acquire(timeout=10), slot
    for _ in range(export.MAX_AT_ONCE):
        export.slots.release()


def resident() -> int:
    """Bytes of memory of this process: libpq's, too."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_a_long_export_takes_no_memory(database: Connection, account: int) -> None:
    """Rows are read and made as they are sent: a hundred thousand take what a few batches do."""
    database.execute(FILLED, {"account": account, "sold": SOL.mint, "bought": USDC.mint, "many": MANY})
    database.execute("ANALYZE orders_order")
    rows, before, most = 0, resident(), 0
    for piece in export.ndjson(all_fills(Wanted(account_id=account))):
        rows += piece.count(b"\n")
        most = max(most, resident())
    assert rows == MANY
    assert most - before < 24 * 1024 * 1024, f"{(most - before) / 1024 / 1024:.0f} MiB more than before"


def test_an_export_reads_an_index_in_order(database: Connection, account: int) -> None:
    database.execute(FILLED, {"account": account, "sold": SOL.mint, "bought": USDC.mint, "many": 20_000})
    database.execute("ANALYZE orders_order")
    since = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    wanted = Wanted(account_id=account, since=since, until=since + timedelta(seconds=3 * BATCH))
    with connected() as connection:
        found = [fill for batch in batches(connection, wanted) for fill in batch]
    assert len(found) == 3 * BATCH
    assert [fill.at for fill in found] == sorted(fill.at for fill in found)


def test_an_audit_has_all_that_is_known_of_an_order(
    api: Client, database: Connection, account: int, sold: list[UUID], capfdbinary: Any
) -> None:
    staff = ApiKey.issue(Account.objects.get(pk=account), scopes=["staff", "read"])[1]
    failed = claimed(database, accepted(database, new_order(account)))
    assert all(statements.record(database, [change(failed, Event.FAIL)]))
    assert api.get("/api/audit.ndjson").status_code == 403
    operator = Client(headers={"Host": "localhost", "Authorization": f"Bearer {staff}"})
    lines = [json.loads(line) for line in streamed(operator, "/api/audit.ndjson").splitlines()]
    assert [line["order"]["orderId"] for line in lines] == [*map(str, sold), str(failed.id)]
    first, last = lines[0], lines[-1]
    assert first["account"] == "tester"
    assert [event["status"] for event in first["events"]] == [
        "pending",
        "routing",
        "building",
        "submitted",
        "confirmed",
    ]
    assert [event["seq"] for event in first["events"]] == [1, 2, 3, 4, 5]
    [intent] = first["transactions"]
    assert intent["signature"] == first["order"]["txHash"] and intent["resolution"] == "landed" and intent["payload"]
    assert "quotes" in first["events"][2]["data"]
    assert last["deadLetters"][0]["reason"] == "VENUE_UNAVAILABLE" and last["transactions"] == []
    assert operator.get("/api/audit.ndjson", {"account": "nobody"}).status_code == 400
    assert streamed(operator, "/api/audit.ndjson", to="2026-01-01T00:00:00Z") == ""
    call_command("export", "audit", "--account", "tester")
    assert [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()] == lines
    call_command("export", "fills", "--account", "tester", "--format", "csv")
    assert capfdbinary.readouterr().out.decode() == streamed(api, "/api/fills.csv")


def test_an_audit_goes_over_many_pages(database: Connection, account: int) -> None:
    database.execute(FILLED, {"account": account, "sold": SOL.mint, "bought": USDC.mint, "many": 2 * audit.PAGE + 1})
    ids = [line.order.order_id for page in audit.audited(EARLIEST, LATEST) for line in page]
    assert len(set(ids)) == len(ids) == 2 * audit.PAGE + 1 and ids == sorted(ids)


@pytest.fixture(autouse=True)
def no_mode_but_the_mock() -> Iterator[None]:
    assert settings.EXECUTION_MODE == "mock"
    yield
