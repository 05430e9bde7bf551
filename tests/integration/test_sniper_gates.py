"""What an executor does with what was found of a token that a sniper buys unseen."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orders.events import Requeued, RequeueData
from orders.execution.retry import RetryPolicy
from orders.execution.steps import Steps
from orders.execution.work import GateFailed, Work
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import Position
from orders.lifecycle import Event
from orders.models import Order
from orders.representation import order_out
from orders.transitions import transition
from routing.gates import ENGINES, Finding, Gates, Purchase, Verdict, merged
from routing.mock.world import MockWorld, mock_world
from routing.tokens import Tokens
from routing.values import Token
from routing.venue import VenueUnavailable
from routing.world import registry, tokens
from tests.factories import accepted, claimed, executor, new_order

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


def stepped(world: MockWorld, answer: Any, **options: Any) -> Steps:
    values: dict[str, Any] = {"submit_timeout_s": 5, "resend_after_s": 0.2, "look": answer}
    return Steps(world.router, RetryPolicy(3, 0, 0), random.Random(1), **(values | options))


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
    assert [each.verdict for each in move.data.gates] == ["pass", "fail"]


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


async def test_what_an_order_asks_for_itself_is_looked_at_whoever_verified_the_token(
    database: Connection, account: int, world: MockWorld
) -> None:
    gates = Gates(max_top_holders_bps=3_000, sellable=False)
    move, [purchase] = await routed(
        database,
        account,
        world,
        [GOOD],
        {"defaults": lambda _: [Gates(max_top_holders_bps=1, min_lp_burnt_bps=2)]},
        gates=gates,
    )
    assert move.event is Event.BUILD
    assert purchase.gates == merged([gates, Gates(min_lp_burnt_bps=2), ENGINES])
    assert (purchase.pair.name, purchase.amount, purchase.expected > 0) == ("USDC-SOL", Decimal(10), True)


@pytest.mark.parametrize("options", [{"look_by_default": False}, {"look": None}])
async def test_where_nobody_looks_only_an_order_that_asks_is_held_to_gates(
    database: Connection, account: int, world: MockWorld, unverified: None, options: dict[str, Any]
) -> None:
    move, asked = await routed(database, account, world, [BAD], options)
    assert move.event is Event.BUILD and asked == []
    move, _ = await routed(database, account, world, [UNKNOWN], options, gates=Gates(sellable=True))
    assert (move.event, move.data.reason) == (Event.REST, "GATE_UNKNOWN")


async def test_unknown_for_too_long_ends_the_order(database: Connection, account: int, world: MockWorld) -> None:
    """The timeout counts from the first time, over all attempts, and anew for an order that is sent round again."""
    own = {
        "type": "sniper",
        "trigger_kind": "token_launch",
        "gates": Gates(timeout=timedelta(minutes=5)),
        "resting": True,
    }
    order = accepted(database, new_order(account, amount=Decimal(10), **own, **swapped()))
    fired = {order.id: {"observedAt": "2026-01-01T00:00:00Z"}}

    async def looks(minutes: int) -> Any:
        """The move of an attempt so long after the first look; it is recorded."""
        since = "UPDATE orders_order SET gates_since = now() - %s * interval '1 minute' WHERE id = %s AND gates_since IS NOT NULL"
        database.execute(since, (minutes, order.id))
        [taken] = statements.claim(database, executor(database), [order.id], fired)
        work = Work.begin(taken)
        move = await stepped(world, answering([GOOD, UNKNOWN])).next(work)
        assert move is not None
        change = transition(work.position, move.event, move.data, delay_ms=move.delay_ms)
        assert all(statements.record(database, [change]))
        return move

    assert (await looks(0)).data.reason == "GATE_UNKNOWN"
    assert (await looks(4)).data.reason == "GATE_UNKNOWN"
    ended = await looks(5)
    assert (ended.event, ended.data.error.code) == (Event.FAIL, "GATE_TIMEOUT")
    assert ended.data.error.details == {"freezeAuthority": "so"}
    assert [each.verdict for each in ended.data.gates] == ["pass", "unknown"]

    row = database.execute(
        "SELECT account_id, epoch, seq, status, gates_since FROM orders_order WHERE id = %s", (order.id,)
    )
    account_id, epoch, seq, status, since = row.fetchone() or [None] * 5
    assert since is not None
    again = RequeueData(requeued=Requeued(by="staff"), resting=True)
    change = transition(Position(order.id, account_id, epoch, seq, status), Event.REQUEUE, again)
    assert all(statements.record(database, [change]))
    assert (await looks(9)).data.reason == "GATE_UNKNOWN"


def answering(found: list[Finding]) -> Any:
    async def look(purchase: Purchase) -> list[Finding]:
        return found

    return look


def test_an_order_s_gates_come_back_as_they_were_asked(database: Connection, account: int) -> None:
    gates = Gates(min_pool_size=Decimal("1.5"), min_pool_age=timedelta(minutes=2), transfer_hook=False)
    order = accepted(database, new_order(account, type="sniper", trigger_kind="token_launch", gates=gates))
    assert claimed(database, order).gates == gates
    assert order_out(Order.objects.get(pk=order.id)).gates == gates
