"""Trading state and limits over REST: whose they are, who may change them, and that new orders are held to them at once."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

import celery_app  # noqa: F401  (the broker)
from accounts.models import Account, ApiKey, digest
from orders.execution.worker import gates_of
from orders.ledger.statements import Connection
from orders.models import Order
from risk.changes import By, set_state
from risk.models import Budget
from risk.rules import rules
from risk.values import EVERYBODY, TradingState
from routing.gates import Gates
from tests.factories import accepted, limit_order

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1"}


def client(account: int, secret: str, *scopes: str) -> Client:
    fields = {"account_id": account, "prefix": secret[:10], "scopes": list(scopes)}
    ApiKey.objects.get_or_create(hash=digest(secret), defaults=fields)
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})


@pytest.fixture
def trader(database: Connection, account: int) -> Iterator[Client]:
    rules.refresh()
    yield client(account, "oe_risk_trader", "trade", "read")
    rules.close()


@pytest.fixture
def staff(trader: Client, account: int) -> Client:
    other = Account.objects.get_or_create(name="operators")[0]
    return client(int(other.pk), "oe_risk_staff", "trade", "read", "staff")


def put(api: Client, path: str = "/api/risk", **limits: Any) -> Any:
    return api.put(path, limits, content_type="application/json")


def switch(api: Client, **body: Any) -> Any:
    return api.post("/api/trading-state", body, content_type="application/json")


def tried(api: Client, **fields: Any) -> Any:
    """The order as `POST /api/orders/test` checks it; it goes through the same door as a real one."""
    return api.post("/api/orders/test", {**ORDER, **fields}, content_type="application/json")


def test_an_account_sets_its_limits_and_reads_them(trader: Client) -> None:
    answer = put(
        trader,
        maxNotionalPerOrder="250.50",
        maxOpenOrders=3,
        maxDailySpend=1000,
        priceCollarBps=500,
        deniedTokens=["bonk"],
    )

    assert answer.status_code == 200, answer.content
    found = trader.get("/api/risk").json()
    assert found["own"]["limits"] == {
        "maxNotionalPerOrder": "250.5",
        "maxOpenOrders": 3,
        "maxOrdersPerMinute": None,
        "maxDailySpend": "1000",
        "maxDailyLoss": None,
        "priceCollarBps": 500,
        "allowedTokens": None,
        "deniedTokens": ["BONK"],
        "gates": None,
    }
    assert (found["account"], found["tradingState"], found["currency"]) == ("tester", "ACTIVE", "USDC")
    assert found["used"] == {
        "spentToday": "0",
        "lostToday": "0",
        "lostUnpriced": [],
        "openOrders": 0,
        "ordersLastMinute": 0,
    }
    assert found["changes"][0]["by"] == "key oe_risk_tr" and found["changes"][0]["after"]["maxOpenOrders"] == 3


def test_the_account_s_page_says_what_it_may_and_what_is_used(trader: Client, staff: Client, account: int) -> None:
    put(trader, maxDailySpend="100", maxOpenOrders=3)
    put(staff, "/api/risk?account=*", maxOrdersPerMinute=600)
    switch(trader, state="REDUCING", account="tester")
    Budget.objects.filter(pk=account).update(spent=30)

    found = trader.get("/api/account").json()

    assert (found["account"], found["tradingState"], found["currency"]) == ("tester", "REDUCING", "USDC")
    assert (found["limits"]["maxDailySpend"], found["limits"]["maxOpenOrders"]) == ("100", 3)
    assert found["limitsOfEverybody"]["maxOrdersPerMinute"] == 600
    assert found["used"] == {
        "spentToday": "30",
        "lostToday": "0",
        "lostUnpriced": [],
        "openOrders": 0,
        "ordersLastMinute": 0,
    }


def test_gates_of_an_account_and_of_everybody_reach_its_executors(trader: Client, staff: Client, account: int) -> None:
    put(trader, gates={"maxTopHoldersBps": 2500, "minPoolAge": "PT2M"})
    put(staff, "/api/risk?account=*", gates={"minPoolSize": "1000.00", "sellable": False})

    found = trader.get("/api/risk").json()
    assert found["own"]["limits"]["gates"] == {"maxTopHoldersBps": 2500, "minPoolAge": "PT120S"}
    assert found["everybody"]["limits"]["gates"] == {"minPoolSize": "1000", "sellable": False}
    assert found["changes"][-1]["after"] == {"gates": found["own"]["limits"]["gates"]}
    rules.refresh()
    own, everybody = gates_of(account)
    assert own == Gates(max_top_holders_bps=2500, min_pool_age=timedelta(minutes=2))
    assert everybody == Gates(min_pool_size=Decimal(1000), sellable=False)


def test_the_log_of_changes_has_numbers_as_people_write_them(trader: Client) -> None:
    for spend in ("100", "100.0", "1E+2", "250.50"):
        assert put(trader, maxDailySpend=spend).status_code == 200

    said = [(each["before"], each["after"]) for each in trader.get("/api/risk").json()["changes"]]
    assert said[:2] == [
        ({"maxDailySpend": "100"}, {"maxDailySpend": "250.5"}),
        ({"maxDailySpend": None}, {"maxDailySpend": "100"}),
    ]


@pytest.mark.parametrize(
    "limits",
    [
        {"gates": {"maxTopHoldersBps": 10_001}},
        {"gates": {"minPoolSize": "-1"}},
        {"maxDailySpend": "-1"},
        {"maxDailySpend": "NaN"},
        {"maxOpenOrders": -1},
        {"deniedTokens": ["?"]},
        {"max": 1},
    ],
)
def test_what_is_no_limit_is_refused_and_changes_nothing(trader: Client, limits: dict[str, Any]) -> None:
    assert put(trader, maxOpenOrders=3).status_code == 200
    assert put(trader, **limits).status_code in (400, 422)
    assert trader.get("/api/risk").json()["own"]["limits"]["maxOpenOrders"] == 3


def test_new_orders_are_held_to_limits_in_words(trader: Client) -> None:
    put(trader, maxNotionalPerOrder="100", deniedTokens=["JUP"], allowedTokens=["SOL", "JUP"], priceCollarBps=1000)

    def code(**fields: Any) -> tuple[int, str, dict[str, Any]]:
        answer = tried(trader, **fields)
        error = answer.json().get("error", {})
        return answer.status_code, error.get("code"), error.get("details")

    assert code(tokenIn="USDC", tokenOut="SOL", amount="100")[0] == 200
    too_much = code(tokenIn="USDC", tokenOut="SOL", amount="100.5")
    assert too_much == (422, "NOTIONAL_EXCEEDS_MAX_PER_ORDER", {"limit": ["100"], "value": ["100.5"]})
    assert code(tokenIn="USDC", tokenOut="JUP")[1] == "TOKEN_DENIED"
    assert code(tokenIn="USDC", tokenOut="BONK")[1] == "TOKEN_NOT_ALLOWED"
    far = code(tokenIn="USDC", tokenOut="SOL", type="limit", limitPrice="0.02", amount="1")
    assert far[1] == "PRICE_OUTSIDE_COLLAR" and far[2]["limit"] == ["1000"]
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", far[2]["value"][0]), far


def test_the_switch_stops_new_orders_of_everybody_and_lets_cancels_pass(
    trader: Client, staff: Client, database: Connection, account: int
) -> None:
    resting = accepted(database, limit_order(account))
    assert switch(staff, state="HALTED").json()["account"] is None

    assert tried(trader).json()["error"]["code"] == "TRADING_HALTED"
    assert trader.get("/api/risk").json()["tradingState"] == "HALTED"
    assert trader.delete(f"/api/orders/{resting.id}").status_code == 200
    assert switch(staff, state="ACTIVE").status_code == 200
    assert tried(trader).status_code == 200
    said = [(each["account"], each["by"], each["after"]) for each in trader.get("/api/risk").json()["changes"]]
    assert said == [(None, "key oe_risk_st", {"state": "ACTIVE"}), (None, "key oe_risk_st", {"state": "HALTED"})]
    assert Order.objects.get(pk=resting.id).status == "cancelled"


def test_a_trader_may_stop_itself_and_undo_no_operator(trader: Client, staff: Client) -> None:
    assert switch(trader, state="HALTED").status_code == 403, "that would be everybody"
    assert switch(trader, state="HALTED", account="operators").status_code == 403
    assert switch(trader, state="HALTED", account="tester").status_code == 200
    assert switch(trader, state="ACTIVE", account="tester").status_code == 200
    assert switch(staff, state="REDUCING", account="tester").status_code == 200
    assert switch(trader, state="ACTIVE", account="tester").status_code == 403
    assert switch(trader, state="HALTED", account="tester").status_code == 200, "stricter is its own to choose"
    assert switch(trader, state="ACTIVE", account="tester").status_code == 403
    assert switch(staff, state="ACTIVE", account="tester").status_code == 200
    assert switch(trader, state="HALTED", account="tester").status_code == 200
    assert switch(trader, state="ACTIVE", account="tester").status_code == 200, "what it has stopped itself"
    assert switch(staff, state="ACTIVE", account="nobody").status_code == 404


def test_limits_of_an_operator_stay(trader: Client, staff: Client) -> None:
    assert put(trader, "/api/risk?account=operators", maxOpenOrders=1).status_code == 403
    assert put(staff, "/api/risk?account=tester", maxOpenOrders=1).status_code == 200
    assert put(trader, maxOpenOrders=1000).status_code == 403
    assert put(staff, "/api/risk?account=*", maxOrdersPerMinute=1).json()["account"] is None
    found = trader.get("/api/risk").json()
    assert found["own"]["limits"]["maxOpenOrders"] == found["everybody"]["limits"]["maxOrdersPerMinute"] == 1


def test_a_process_follows_a_change_within_a_second(trader: Client, account: int) -> None:
    assert tried(trader).status_code == 200
    began = time.monotonic()
    set_state(EVERYBODY, TradingState.HALTED, By("another process", staff=True))
    while tried(trader).status_code == 200:
        assert time.monotonic() < began + 10, "never seen"
    assert rules.of(account)[0].state is TradingState.HALTED
