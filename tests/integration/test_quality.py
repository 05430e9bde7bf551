"""The admin's page of execution quality: what it measures, whom it shows it, what it costs with many orders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import Account
from console import quality, quality_page
from orders.ids import uuid7_at
from orders.ledger.statements import Connection
from routing.venues import SPLIT

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORDER = """
INSERT INTO orders_order (
    id, account_id, request_hash, type, token_in, token_out, amount, slippage_bps, status, seq, epoch, attempts, resting,
    venue, executed_price, amount_out, tx_hash, created_at, updated_at, finished_at)
VALUES (%(id)s, %(account)s, '', 'market', 'SOL', 'USDC', 1, 50, 'confirmed', %(seq)s, 1, 1,
    false, %(venue)s, %(price)s, %(price)s, 'tx', %(at)s, %(at)s, %(at)s)
"""
EVENT = "INSERT INTO orders_orderevent (order_id, seq, epoch, status, at, data) VALUES (%s, %s, 1, %s, %s, %s::jsonb)"
QUOTES = (
    '{{"venue": "{venue}", "quotes": [{{"venue": "OTHER", "netPrice": "1"}},'
    ' {{"venue": "{venue}", "netPrice": "{quoted}"}}]}}'
)


def traded(
    database: Connection,
    account: int,
    *,
    ago: timedelta = timedelta(minutes=5),
    price: str = "99",
    quoted: str = "100",
    venue: str = "RAYDIUM",
    rested_s: float = 0,
) -> None:
    """Half a second pending, one routing, two building, four submitted; before, it may have waited for a trigger."""
    accepted_at = NOW - ago
    at, order_id = accepted_at, uuid7_at(accepted_at.timestamp())
    events: list[tuple[str, float, str]] = [("pending", rested_s, '{"resting": true}')] if rested_s else []
    events += [
        ("pending", 0.5, "{}"),
        ("routing", 1, "{}"),
        ("building", 2, QUOTES.format(venue=venue, quoted=quoted)),
        ("submitted", 4, "{}"),
        ("confirmed", 0, "{}"),
    ]
    row = {"id": order_id, "account": account, "venue": venue, "price": price, "at": accepted_at, "seq": len(events)}
    database.execute(ORDER, row)
    for seq, (status, took_s, data) in enumerate(events, 1):
        database.execute(EVENT, (order_id, seq, status, at, data))
        at += timedelta(seconds=took_s)


def measured(**asked: Any) -> quality.Quality:
    return quality.measured(NOW - HOUR, NOW, **asked)


def test_slippage_and_times_are_measured_from_the_events(database: Connection, account: int) -> None:
    traded(database, account, ago=timedelta(minutes=59), price="100")
    traded(database, account, price="99", rested_s=600, ago=timedelta(minutes=20))
    traded(database, account, price="101", venue="METEORA")

    found = measured()

    assert (found.all.orders, found.all.slippage.median) == (3, 0)
    assert found.venues["RAYDIUM"].slippage == quality.Spread(50, pytest.approx(95))
    assert found.venues["METEORA"].slippage.median == -100, "more than was quoted"
    assert {stage: spread.median for stage, spread in found.all.stages.items()} == {
        "pending": 0.5,
        "routing": 1,
        "building": 2,
        "submitted": 4,
    }
    assert found.shares[0] == {"RAYDIUM": 1} and found.slices[0].orders == 1
    assert sum(len(share) for share in found.shares) == 3


def test_it_is_asked_by_account_and_venue(database: Connection, account: int) -> None:
    other = Account.objects.get_or_create(name="quality-other")[0]
    traded(database, account)
    traded(database, other.pk, price="98", venue="METEORA", ago=timedelta(minutes=6))

    assert list(measured().accounts) in (["tester", "quality-other"], ["quality-other", "tester"])
    assert list(measured(account=other).accounts) == ["quality-other"]
    assert measured(account=other).all.slippage.median == 200
    assert measured(account=other, venue="RAYDIUM").all == quality.Group(
        0, quality.Spread(), dict.fromkeys(quality.STAGES, quality.Spread())
    )
    database.execute("DELETE FROM orders_order WHERE account_id = %s", [other.pk])
    other.delete()


def test_an_order_without_a_quote_has_times_and_no_slippage(database: Connection, account: int) -> None:
    traded(database, account, quoted="0")
    assert measured().all.slippage.median is None and measured().all.stages["routing"].median == 1


def test_a_slice_with_many_orders_is_sampled(
    database: Connection, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MOST", 3)
    for n in range(9):
        traded(database, account, ago=timedelta(seconds=1 + n), price="100" if n < 3 else "50")
    assert measured().all.orders == 3 and measured().all.slippage.p95 == 0, "the newest ones"
    assert measured(account=Account.objects.get(pk=account)).all.orders == 3


def test_one_slice_alone_is_seen() -> None:
    """As on the first day: a line needs two points, and a gap is no line."""
    [line] = quality_page.curve([None, 5.0, None], 0, 10)
    (left, y), (right, same) = [point.split(",") for point in line.split()]
    assert float(right) - float(left) == pytest.approx(quality_page.WIDTH / 3) and y == same

    assert len(quality_page.curve([1.0, 2.0, None, 3.0], 0, 10)) == 2


@pytest.fixture
def operator() -> Any:
    user = User.objects.create(username="quality-operator", is_staff=True, is_superuser=True)
    client = Client(headers={"Host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    user.delete()


@pytest.mark.filterwarnings("ignore:No directory at")
def test_the_page(database: Connection, account: int, operator: Client, settings: Any) -> None:
    traded(database, account, ago=NOW - datetime.now(UTC) + timedelta(minutes=5), price="98.5")
    text = operator.get("/admin/quality/?span=1h").content.decode()
    assert "150.0" in text and "tester" in text and "<td>RAYDIUM</td>" in text
    assert "There is no account &#x27;nobody&#x27;." in operator.get("/admin/quality/?account=nobody").content.decode()
    assert "There is no venue" in operator.get("/admin/quality/?venue=x").content.decode()
    assert "There is no account" in operator.get("/admin/quality/?account=a%00b").content.decode()
    assert "No confirmed orders." in operator.get("/admin/quality/?venue=METEORA").content.decode()
    traded(database, account, ago=NOW - datetime.now(UTC) + timedelta(minutes=6), venue=SPLIT)
    assert f"<td>{SPLIT}</td>" in operator.get(f"/admin/quality/?span=1h&venue={SPLIT}").content.decode()

    person = User.objects.create(username="quality-bare", is_staff=True)
    operator.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert operator.get("/admin/quality/").status_code == 403
    person.delete()
