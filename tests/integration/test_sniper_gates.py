"""What an executor does with what was found of a token that a sniper buys unseen."""

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.execution.work import GateFailed, Work
from orders.ledger.statements import Connection
from orders.lifecycle import Event
from routing.gates import Finding, Purchase, Verdict
from routing.mock.world import MockWorld, mock_world
from routing.tokens import Tokens
from routing.values import Token
from routing.venue import VenueUnavailable
from routing.world import registry, tokens
from tests.factories import accepted, claimed, new_order

GOOD, BAD, UNKNOWN = (Finding("freezeAuthority", verdict, "so") for verdict in Verdict)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MockWorld]:
    made = mock_world(tmp_path, seed=1, latency=0, failure_rate=0, deadline_ms=5_000, max_age_ms=60_000, valid_s=60)
    yield made
    await made.close()


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOL is what nobody has verified; that it trades is known by its mint."""
    found = [Token(t.symbol, t.mint, t.decimals, verified=t.symbol != "SOL", rank=t.rank) for t in tokens().tokens]
    monkeypatch.setattr(registry, "current", lambda: Tokens(found))


async def routed(
    database: Connection, account: int, world: MockWorld, found: Any, options: Any = None, **fields: Any
) -> Any:
    """The move of the step `routing`."""
    asked: list[Purchase] = []

    async def look(purchase: Purchase) -> list[Finding]:
        asked.append(purchase)
        if isinstance(found, Exception):
            raise found
        return list(found)

    sniper = {"type": "sniper", "trigger_kind": "token_launch"}
    order = accepted(database, new_order(account, **(sniper | {"amount": Decimal(10)} | swapped() | fields)))
    work = Work.begin(claimed(database, order))
    return await stepped(world, look, **(options or {})).next(work), asked


def stepped(world: MockWorld, look: Any, **options: Any) -> Steps:
    retry = RetryPolicy(3, 0, 0)
    return Steps(world.router, retry, random.Random(1), submit_timeout_s=5, resend_after_s=0.2, look=look, **options)


def swapped() -> dict[str, str]:
    """Buys SOL."""
    known = {token.symbol: token.mint for token in tokens().tokens}
    return {"token_in": known["USDC"], "token_out": known["SOL"]}


async def test_what_passed_is_in_the_event(
    database: Connection, account: int, world: MockWorld, unverified: None
) -> None:
    move, asked = await routed(database, account, world, [GOOD])
    assert move.event is Event.BUILD and move.data.gates[0].verdict == "pass" and len(asked) == 1


async def test_what_failed_ends_the_order(
    database: Connection, account: int, world: MockWorld, unverified: None
) -> None:
    move, _ = await routed(database, account, world, [GOOD, BAD])
    assert move.event is Event.FAIL and move.data.error.code == GateFailed.code
    assert move.data.error.details == {"freezeAuthority": "so"}


@pytest.mark.parametrize("found", [[GOOD, UNKNOWN], [], VenueUnavailable("no node answers")])
async def test_nothing_is_bought_on_unknown(
    database: Connection, account: int, world: MockWorld, unverified: None, found: Any
) -> None:
    move, _ = await routed(database, account, world, found)
    assert (move.event, move.data.reason) == (Event.REST, "GATE_UNKNOWN")


async def test_what_an_operator_verified_is_not_looked_at(database: Connection, account: int, world: MockWorld) -> None:
    move, asked = await routed(database, account, world, [BAD])
    assert move.event is Event.BUILD and asked == []


async def test_nor_what_is_no_sniper(database: Connection, account: int, world: MockWorld, unverified: None) -> None:
    move, asked = await routed(database, account, world, [BAD], type="market", trigger_kind=None)
    assert move.event is Event.BUILD and asked == []
