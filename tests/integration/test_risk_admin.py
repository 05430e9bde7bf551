"""Limits in the admin: changed by whoever may halt trading, checked as over REST, and noted with who changed them."""

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Account
from orders.ledger.statements import Connection
from risk.changes import By, limits_of, set_limits
from risk.models import Change, Rule
from risk.values import EVERYBODY, Limits
from routing.gates import Gates
from routing.mock.tokens import BONK, SOL
from tests.integration.test_roles import client_of, public  # noqa: F401  (it removes the people)

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
ADD, EVERYBODYS = "/admin/risk/rule/add/", f"/admin/risk/rule/{EVERYBODY}/change/"


@pytest.fixture
def operator(database: Connection, account: int) -> Client:
    return client_of("operator")


def post(client: Client, path: str, **fields: object) -> str:
    """The page that follows."""
    answer = client.post(path, fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def change(account: int) -> str:
    return f"/admin/risk/rule/{account}/change/"


def test_gates_are_written_as_in_an_order(operator: Client, account: int) -> None:
    post(operator, ADD, account=account, gates='{"maxTopHoldersBps": 2500}')
    assert limits_of(Rule.objects.get(pk=account)) == Limits(gates=Gates(max_top_holders_bps=2500))
    assert "maxTopHoldersBps" in operator.get(change(account)).content.decode()
    for wrong, said in (("{]", "malformed"), ('{"minPoolSize": "-1"}', "minPoolSize"), ('{"max": 1}', "unknown field")):
        assert said in post(operator, change(account), gates=wrong)
    assert limits_of(Rule.objects.get(pk=account)).gates == Gates(max_top_holders_bps=2500)
    post(operator, change(account), gates='{"minPoolSize": "1e3"}')
    assert Rule.objects.get(pk=account).gates == {"minPoolSize": "1000"}, "without an exponent, as over the API"
    post(operator, change(account), gates="")
    assert limits_of(Rule.objects.get(pk=account)).gates is None


def test_an_operator_sets_limits_and_is_noted(operator: Client, account: int) -> None:
    post(operator, ADD, account=account, max_notional_per_order="250.50", max_open_orders="3", denied_tokens="bonk")
    rule = Rule.objects.get(pk=account)
    assert limits_of(rule) == Limits(
        max_notional_per_order=Decimal("250.5"), max_open_orders=3, denied_tokens=(BONK.mint,)
    )
    assert rule.limits_by_staff
    page = operator.get(change(account)).content.decode()
    assert 'value="250.5"' in page and "BONK" in page

    post(operator, change(account), max_notional_per_order="250.5", allowed_tokens="SOL", denied_tokens="bonk")
    post(operator, change(account), max_notional_per_order="250.5", allowed_tokens="nothing")
    assert limits_of(Rule.objects.get(pk=account)).allowed_tokens == ()
    assert "nothing" in operator.get(change(account)).content.decode(), "an empty list is not the same as none"
    said = [(each.by, each.before, each.after) for each in Change.objects.order_by("id")]
    assert said[1:] == [
        (
            "user role-operator",
            {"maxOpenOrders": 3, "allowedTokens": None},
            {"maxOpenOrders": None, "allowedTokens": [SOL.mint]},
        ),
        (
            "user role-operator",
            {"allowedTokens": [SOL.mint], "deniedTokens": [BONK.mint]},
            {"allowedTokens": [], "deniedTokens": []},
        ),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"max_daily_spend": "0"},
        {"max_daily_spend": "NaN"},
        {"max_daily_spend": "1e30"},
        {"max_open_orders": "-1"},
        {"price_collar_bps": "0"},
        {"denied_tokens": "SOL, WHAT"},
    ],
)
def test_what_is_no_limit_is_refused_and_changes_nothing(
    operator: Client, account: int, fields: dict[str, str]
) -> None:
    set_limits(account, Limits(max_open_orders=3), By("key"))
    assert "Please correct the error" in post(operator, change(account), **fields)
    assert limits_of(Rule.objects.get(pk=account)) == Limits(max_open_orders=3)
    assert Change.objects.count() == 1


def test_an_account_that_has_limits_is_not_added_again(operator: Client, account: int) -> None:
    set_limits(account, Limits(max_open_orders=3), By("key"))
    assert "It has limits already" in post(operator, ADD, account=account)
    assert limits_of(Rule.objects.get(pk=account)).max_open_orders == 3


def test_everybody_s_limits_are_changed_too(operator: Client) -> None:
    post(operator, EVERYBODYS, max_orders_per_minute="600")
    assert limits_of(Rule.objects.get(pk=EVERYBODY)) == Limits(max_orders_per_minute=600)


def test_mainnet_s_caps_stay_while_anybody_trades(operator: Client, settings: Settings) -> None:
    settings.CAPS_REQUIRED = True
    assert "caps per order and per day" in post(operator, EVERYBODYS, max_orders_per_minute="600")
    assert not Change.objects.exists()
    post(operator, EVERYBODYS, max_notional_per_order="100", max_daily_spend="1000")
    assert limits_of(Rule.objects.get(pk=EVERYBODY)).max_daily_spend == 1000


def test_whoever_may_not_halt_may_not_change_limits(operator: Client, account: int) -> None:
    Account.objects.get_or_create(name="other")
    for who in ("bare staff", "trader"):
        client = client_of(who)
        assert client.get(EVERYBODYS).status_code in (302, 403)
        assert client.post(EVERYBODYS, {"max_open_orders": "1"}).status_code in (302, 403)
        assert client.post(ADD, {"account": account}).status_code in (302, 403)
    assert not Change.objects.exists()
