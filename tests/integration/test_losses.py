"""The limit of a day's loss: what fills have realised, noted beside the work, and orders that are held to it."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Account, ApiKey, digest
from books.following import Following, horizon_of
from books.keeper import Keeper
from books.losses import Losses
from books.statement import Entry
from books.today import Today, loss
from orders.ledger import statements
from orders.ledger.statements import Connection
from orders.ledger.values import NewOrder, Worth
from risk.changes import By, set_limits
from risk.models import Budget
from risk.rules import rules
from risk.values import EVERYBODY, Limits
from routing.mock.tokens import NEW, REGISTRY, SOL, USDC
from routing.values import precedence
from tests.factories import accepted, executor, filled, new_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
OPERATOR = By("user operator", staff=True)
WORTH = {USDC.mint: Decimal(1), SOL.mint: Decimal(150)}
KEY = "oe_losses_tests"
BUY, SELL = {"token_in": USDC.mint, "token_out": SOL.mint}, {"token_in": SOL.mint, "token_out": USDC.mint}


def note(connection: Connection, losses: Losses | None = None, worth: dict[str, Decimal] = WORTH) -> Losses:
    losses = losses or Losses("mock")
    horizon, now = horizon_of(connection)
    losses.note(connection, now, horizon, lambda: worth)
    return losses


def lost(account: int) -> Decimal:
    return Budget.objects.get(pk=account).lost.normalize()


def round_trip(connection: Connection, account: int, paid: str, received: str) -> None:
    """A SOL is bought and sold."""
    filled(connection, account, **BUY, amount_in=paid, amount_out="1")
    filled(connection, account, **SELL, amount_in="1", amount_out=received)


def denied(connection: Connection, account: int, **fields: Any) -> dict[str, Any] | None:
    """Why an order that buys (unless `fields` say otherwise) is denied when it is claimed."""
    order: NewOrder = accepted(connection, new_order(account, **(BUY | {"amount": Decimal(1)} | fields)))
    [taken] = statements.claim(connection, executor(connection), [order.id], {}, worth=Worth(list(WORTH), WORTH))
    return taken.denied


@pytest.fixture
def other(database: Connection) -> int:
    return int(Account.objects.get_or_create(name="other")[0].pk)


@pytest.fixture
def api(account: int) -> Client:
    ApiKey.objects.get_or_create(
        hash=digest(KEY), defaults={"account_id": account, "prefix": KEY[:10], "scopes": ["trade", "read"]}
    )
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {KEY}"})


@pytest.fixture
def rewound(database: Connection) -> Callable[..., None]:
    def rewind(days: int = 1) -> None:
        """What was traded so far was traded then."""
        database.execute("UPDATE orders_order SET finished_at = finished_at - %s * interval '1 day'", [days])

    return rewind


def test_an_account_that_loses_too_much_stops_and_others_go_on(
    api: Client, database: Connection, account: int, other: int
) -> None:
    for each in (account, other):
        set_limits(each, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    losses = note(database)
    round_trip(database, account, "150", "135")
    note(database, losses)
    assert lost(account) == 15 and denied(database, account) is None
    round_trip(database, account, "150", "144")
    round_trip(database, other, "150", "130.000000001")
    note(database, losses)

    assert denied(database, account) == {"code": "LOSS_BUDGET_EXCEEDED", "limit": "20", "value": "21"}
    assert denied(database, account, **SELL) is None, "what sells into a quote token goes on"
    assert denied(database, other) is None
    rules.refresh()
    found = api.get("/api/account").json()
    assert (found["used"]["lostToday"], found["used"]["lostUnpriced"]) == ("21", [])
    assert found["limits"]["maxDailyLoss"] == "20"
    refused = api.post("/api/orders/test", {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "1"}, "application/json")
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["code"] == "LOSS_BUDGET_EXCEEDED" and error["details"] == {"limit": ["20"], "value": ["21"]}


def test_a_loss_of_all_together_stops_everybody(database: Connection, account: int, other: int) -> None:
    third = int(Account.objects.get_or_create(name="third")[0].pk)
    set_limits(EVERYBODY, Limits(max_daily_loss=Decimal(10)), OPERATOR)
    losses = note(database)
    round_trip(database, account, "150", "142")
    round_trip(database, other, "150", "151")
    note(database, losses)
    assert lost(EVERYBODY) == 7 and denied(database, third) is None, "gains make up for losses"
    round_trip(database, other, "150", "146.9")
    note(database, losses)

    for each in (account, other, third):
        assert denied(database, each) == {"code": "LOSS_BUDGET_EXCEEDED", "limit": "10", "value": "10.1"}
    assert not Budget.objects.filter(pk=account).exists(), "it has no limit of its own"


def test_a_loss_counts_from_the_cost_whenever_that_was_paid(
    database: Connection, account: int, rewound: Callable[..., None]
) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    filled(database, account, **BUY, amount_in="300", amount_out="2")
    rewound(40)
    losses = note(database)
    assert lost(account) == 0
    filled(database, account, **SELL, amount_in="0.5", amount_out="60")
    note(database, losses)
    assert lost(account) == 15, "three days' gains apart, half a SOL had cost 75"
    filled(database, account, **SELL, amount_in="0.5", amount_out="85")
    note(database, losses)
    assert lost(account) == 5
    filled(database, account, **SELL, amount_in="1", amount_out="200")
    note(database, losses)
    assert lost(account) == 0, "a gain is no loss"


def test_a_day_s_end_is_the_end_of_its_loss(database: Connection, account: int, rewound: Callable[..., None]) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    round_trip(database, account, "150", "120")
    note(database)
    assert lost(account) == 30 and denied(database, account) is not None

    database.execute("UPDATE risk_budget SET day = day - 1")
    assert denied(database, account) is None, "before anything is noted, too"
    rewound()
    round_trip(database, account, "150", "149")
    note(database)
    assert lost(account) == 1 and Budget.objects.get(pk=account).day == datetime.now(UTC).date()


def test_a_new_day_s_first_claim_knows_nothing_unpriced(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20), max_daily_spend=Decimal(1000)), OPERATOR)
    note(database)
    database.execute("UPDATE risk_budget SET day = day - 1, unpriced = ARRAY['SOL']")
    assert denied(database, account) is None
    budget = Budget.objects.get(pk=account)
    assert budget.day == datetime.now(UTC).date() and budget.unpriced is None


def test_who_goes_on_following_goes_over_to_the_next_day() -> None:
    rank = {token.mint: precedence(token) for token in REGISTRY.tokens}
    night = datetime(2026, 11, 27, 23, 59, tzinfo=UTC)
    today = Today(rank.__getitem__, night.date(), {})
    today.take(Entry(night, USDC.mint, SOL.mint, Decimal(300), Decimal(2), ()))
    today.take(Entry(night, SOL.mint, USDC.mint, Decimal(1), Decimal(120), ()))
    assert today.realised(night.date()) == {USDC.mint: Decimal(-30)}
    assert today.realised(date(2026, 11, 28)) == {}
    today.take(Entry(night + timedelta(minutes=2), SOL.mint, USDC.mint, Decimal(1), Decimal(145), ()))
    assert today.realised(date(2026, 11, 28)) == {USDC.mint: Decimal(-5)}
    assert loss(today.realised(date(2026, 11, 28)), {USDC.mint: Decimal(1)}) == (5, [])


def test_what_nobody_can_price_is_no_loss_and_is_said(api: Client, database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    filled(database, account, token_in=SOL.mint, token_out=NEW.mint, amount_in="2", amount_out="1000")
    filled(database, account, token_in=NEW.mint, token_out=SOL.mint, amount_in="500", amount_out="0.9")
    round_trip(database, account, "150", "147")
    losses = note(database, worth={USDC.mint: Decimal(1)})
    used = api.get("/api/account").json()["used"]
    assert (used["lostToday"], used["lostUnpriced"]) == ("3", ["SOL"])
    assert denied(database, account) is None

    note(database, losses)
    used = api.get("/api/risk").json()["used"]
    assert (used["lostToday"], used["lostUnpriced"]) == ("18", []), "0.1 SOL at 150"


def test_fills_of_another_mode_are_not_counted(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    round_trip(database, account, "150", "100")
    database.execute("UPDATE orders_order SET mode = 'localnet'")
    note(database)
    assert lost(account) == 0
    note(database, Losses("localnet"))
    assert lost(account) == 50


@pytest.mark.parametrize("seed", range(3))
def test_who_follows_knows_what_a_restart_finds(database: Connection, account: int, seed: int) -> None:
    """In whatever order transactions commit, wherever checkpoints stand: to the last place."""
    rng = random.Random(seed)
    set_limits(account, Limits(max_daily_loss=Decimal(1)), OPERATOR)
    set_limits(EVERYBODY, Limits(max_daily_loss=Decimal(1)), OPERATOR)
    losses, now = Losses("mock"), datetime.now(UTC)
    began = max(now - timedelta(minutes=5), now.replace(hour=0, minute=0, second=0, microsecond=0))
    found = []
    for n in range(12):
        sides = rng.choice([BUY, SELL])
        trade = filled(database, account, **sides, amount_in=str(rng.randint(1, 9)), amount_out=str(rng.randint(1, 9)))
        # Each is recorded up to two steps earlier than those that are seen already.
        at = began + (now - began) / 20 * max(0, n - rng.randint(0, 2))
        at = began - timedelta(days=1) if n < 3 else at
        database.execute("UPDATE orders_order SET finished_at = %s WHERE id = %s", [at, trade])
        if n == 4:
            Keeper("mock", 3).keep(database, now, now)
        losses.note(database, now, began + (now - began) / 20 * (n - 1), lambda: WORTH)
        followed = lost(account), lost(EVERYBODY)
        Losses("mock").note(database, now, now, lambda: WORTH)
        assert (lost(account), lost(EVERYBODY)) == followed and followed[0] == followed[1]
        found.append(followed)
    assert len(set(found)) > 1, "something was lost on the way"


def test_the_task_notes_losses_by_the_prices_of_the_engine(database: Connection, account: int) -> None:
    set_limits(account, Limits(max_daily_loss=Decimal(20)), OPERATOR)
    following = Following(settings)
    try:
        following.run()
        round_trip(database, account, "150", "120")
        following.run()
        assert lost(account) == 30
    finally:
        following.close()
