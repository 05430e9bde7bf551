"""Which venues and pools a pair may use: as a table that every process follows, in the events of orders, and for operators."""

import io
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Account, ApiKey
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.execution.work import Work
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from routing.mock.tokens import REGISTRY, SOL, TOKENS, USDC
from routing.mock.world import MockWorld, mock_world
from routing.permits import Permit, Permits
from routing.registry import NotRead, Registry
from routing.values import Pair
from routing.venues import METEORA, RAYDIUM
from routing.world import permits, registry
from tests.factories import accepted, claimed, new_order
from tests.waiting import until

FOUND = REGISTRY.pair_named("SOL-USDC")
assert FOUND is not None
PAIR: Pair = FOUND
POOL = "Gh9ZwEmdLJ8DscKNTkTqPbNwLNNBjuSzaG9Vp2KGtKJr"
INSERT = "INSERT INTO routing_permit (base, quote, venue, pool, min_liquidity) VALUES (%s, %s, %s, %s, %s)"


@pytest.fixture(autouse=True)
def database(database: Connection) -> Iterator[Connection]:
    database.execute("TRUNCATE routing_permit")
    registry.refresh()
    yield database
    database.execute("TRUNCATE routing_permit")
    registry.refresh()


def permit(database: Connection, venue: str, pool: str = "", least: str = "0") -> None:
    database.execute(INSERT, (SOL.mint, USDC.mint, venue, pool, least))


def test_a_change_is_followed_within_a_second(database: Connection) -> None:
    own = Registry(lambda: str(settings.DATABASE_URL), lambda: TOKENS)
    try:
        assert own.permits().of(PAIR) == ()
        permit(database, "METEORA", least="1000.5")
        changed = time.monotonic()
        until(lambda: own.permits().of(PAIR), 30)
        assert time.monotonic() - changed < 1
        for pair in (PAIR, PAIR.reverse):
            (found,) = own.permits().of(pair)
            assert (found.venue, found.pool, found.least) == (METEORA, "", Decimal("1000.5"))
        for statement in ("UPDATE routing_permit SET min_liquidity = 7", "DELETE FROM routing_permit"):
            before = own.permits()
            database.execute(statement)
            until(partial(changes, own, before), 30)
        assert own.permits().of(PAIR) == ()
    finally:
        own.close()


def changes(own: Registry, before: Permits) -> bool:
    return own.permits() is not before


def test_while_nobody_knows_the_permits_nobody_trades() -> None:
    own = Registry(lambda: "postgresql:///none?host=/nowhere", lambda: TOKENS)
    try:
        with pytest.raises(NotRead):
            own.permits()
    finally:
        own.close()


@pytest.mark.parametrize(("venue", "pool", "least"), [("RAYDIUM", "", "-1"), ("RAYDIUM", "", "NaN")])
def test_the_table_takes_no_nonsense(database: Connection, venue: str, pool: str, least: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        permit(database, venue, pool, least)
    permit(database, venue)
    with pytest.raises(psycopg.errors.UniqueViolation):
        permit(database, venue)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MockWorld]:
    made = mock_world(
        tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60, permits=permits
    )
    made.market.move("SOL-USDC", price=Decimal(150), hold=True)
    yield made
    await made.close()


async def routed(database: Connection, account: int, world: MockWorld) -> Any:
    """The move of the step `routing`."""
    order = accepted(database, new_order(account, token_in=SOL.mint, token_out=USDC.mint, amount=Decimal(1)))
    steps = Steps(world.router, RetryPolicy(3, 0, 0), random.Random(1), submit_timeout_s=5, resend_after_s=0.2)
    return await steps.next(Work.begin(claimed(database, order)))


async def test_the_event_says_why_a_venue_or_pool_is_not_chosen(
    database: Connection, account: int, world: MockWorld
) -> None:
    move = await routed(database, account, world)
    assert move.event is Event.BUILD and len(move.data.quotes) == 2 and move.data.refusals == []
    permit(database, "METEORA")
    registry.refresh()
    move = await routed(database, account, world)
    assert move.event is Event.BUILD and move.data.venue == METEORA
    assert [(each.venue, each.code) for each in move.data.refusals] == [(RAYDIUM, "VENUE_NOT_PERMITTED")]
    permit(database, "RAYDIUM", least="1000000000")
    registry.refresh()
    move = await routed(database, account, world)
    assert move.event is Event.BUILD and move.data.venue == METEORA
    (refusal,) = move.data.refusals
    assert (refusal.venue, refusal.code) == (RAYDIUM, "POOL_TOO_SMALL")
    assert "SOL-USDC is traded from 1000000000 USDC" in refusal.message


async def test_an_order_that_may_use_nothing_fails_and_says_so(
    database: Connection, account: int, world: MockWorld
) -> None:
    database.execute(INSERT, (SOL.mint, USDC.mint, "ELSEWHERE", "", 0))
    registry.refresh()
    move = await routed(database, account, world)
    assert move.event is Event.FAIL and move.data.error.code == "VENUE_NOT_PERMITTED"


def present() -> Sequence[Permit]:
    registry.refresh()
    return permits().of(PAIR)


def pairs() -> dict[str, Any]:
    account = Account.objects.get_or_create(name="permits")[0]
    _, secret = ApiKey.issue(account, scopes=["read"])
    answer = Client().get("/api/pairs", HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert answer.status_code == 200, answer.content
    return {each["pair"]: each["permits"] for each in answer.json()["pairs"]}


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("venues", *words, stdout=out)
    return out.getvalue()


def test_the_command_permits_lists_and_forbids() -> None:
    assert pairs()["SOL-USDC"] is None
    assert (
        run("permit", "USDC-SOL", "raydium", "--min-liquidity", "2500") == "SOL-USDC\tRAYDIUM\tevery pool\tfrom 2500\n"
    )
    run("permit", "SOL-USDC", "METEORA")
    run("permit", "SOL-USDC", "RAYDIUM", "--min-liquidity", "3000.5")
    assert (
        len(run("list").splitlines()) == len(run("list", "USDC-SOL").splitlines()) == 2
        and run("list", "JUP-USDC") == ""
    )
    registry.refresh()
    said = [
        {"venue": "METEORA", "pool": None, "minLiquidity": "0"},
        {"venue": "RAYDIUM", "pool": None, "minLiquidity": "3000.5"},
    ]
    for name in ("SOL-USDC", "USDC-SOL"):
        assert sorted(pairs()[name], key=lambda each: each["venue"]) == said
    assert pairs()["JUP-USDC"] is None
    run("forbid", "SOL-USDC", "METEORA")
    run("forbid", "SOL-USDC", "RAYDIUM")
    registry.refresh()
    assert pairs()["SOL-USDC"] is None


@pytest.mark.parametrize(
    "words",
    [
        ("permit", "SOL-NOBODY", "RAYDIUM"),
        ("permit", "SOL-USDC", "ORCA"),
        ("permit", "SOL-USDC", "RAYDIUM", POOL),
        ("permit", "SOL-USDC", "RAYDIUM", "--min-liquidity", "-1"),
        ("permit", "SOL-USDC", "RAYDIUM", "--min-liquidity", "NaN"),
        ("permit", "SOL-USDC", "RAYDIUM", "--min-liquidity", "much"),
        ("forbid", "SOL-USDC", "RAYDIUM"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*words)
    assert run("list") == ""


def test_on_a_chain_a_pool_is_named_by_its_address(settings: Any) -> None:
    settings.EXECUTION_MODE = "localnet"
    run("permit", "SOL-USDC", "RAYDIUM", POOL)
    for wrong in ("pool", POOL[:-1] + "0", "0" * 44):
        with pytest.raises(CommandError, match="pool is not the address"):
            run("permit", "SOL-USDC", "RAYDIUM", wrong)


def test_the_admin_permits_changes_and_forbids_and_notes_who_did(client: Client) -> None:
    User.objects.filter(username="boss").delete()
    client.force_login(User.objects.create_superuser("boss"))
    root = "/admin/routing/permitrow/"
    body = {"pair": "usdc-sol", "venue": "RAYDIUM", "pool": "", "min_liquidity": "10"}
    assert "is no pair" in client.post(f"{root}add/", body | {"pair": "SOL-NOBODY"}).content.decode()
    assert "have no addresses" in client.post(f"{root}add/", body | {"pool": POOL}).content.decode()
    assert client.post(f"{root}add/", body).status_code == 302
    assert "is permitted already" in client.post(f"{root}add/", body).content.decode()
    (found,) = present()
    assert (found.venue, found.least) == (RAYDIUM, 10)
    assert "SOL-USDC" in client.get(root).content.decode()
    page = f"{root}{ids()[0]}/"
    assert "SOL-USDC" in client.get(f"{page}change/").content.decode()
    changed = client.post(f"{page}change/", {"min_liquidity": "20", "venue": "METEORA", "pair": "JUP-USDC"})
    assert changed.status_code == 302
    (found,) = present()
    assert (found.venue, found.least) == (RAYDIUM, 20), "what is permitted stays, how much changes"
    assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert present() == ()
    noted = LogEntry.objects.filter(user__username="boss", content_type__model="permitrow")
    assert sorted(noted.values_list("action_flag", flat=True)) == [1, 2, 3]


def test_nobody_else_permits(client: Client) -> None:
    User.objects.filter(username="clerk").delete()
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get("/admin/routing/permitrow/").status_code == 403


def ids() -> list[int]:
    from routing.models import PermitRow

    return list(PermitRow.objects.values_list("id", flat=True))
